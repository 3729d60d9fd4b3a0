"""What is on sale, without Stripe behind it: rows as ``flask plans push`` leaves them."""

from __future__ import annotations

from flask import Flask

from billing.extensions import db
from billing.models import PlanPrice
from billing.plans import Catalogue, Plan, Price


def put_on_sale(app: Flask, catalogue: Catalogue | None = None) -> Catalogue:
    """Sell this catalogue, or the one that we ship, as if it had been pushed."""
    found: Catalogue = catalogue or app.extensions["catalogue"]
    app.extensions["catalogue"] = found
    for _, price in found.prices():
        row = PlanPrice(lookup_key=price.lookup_key, price_id=f"price_{price.lookup_key}", item=price.item)
        row.product_id, row.amount = f"prod_{price.item}", price.amount
        row.currency, row.interval = price.currency, price.interval
        db.session.add(row)
    db.session.commit()
    return found


def first_file(item: str) -> Catalogue:
    """One plan."""
    return Catalogue((Plan(item, "Pro", "", (), (), 0, (Price(item, 2900, "eur", "month"),)),), ())


def second_file(item: str) -> Catalogue:
    """The same plan by another name and at another price, and another plan."""
    other = f"{item}-more"
    month, more = Price(item, 3900, "eur", "month"), Price(other, 900, "eur", "month")
    plans = (Plan(item, "Pro plus", "", (), (), 0, (month,)), Plan(other, "More", "", (), (), 0, (more,)))
    return Catalogue(plans, ())
