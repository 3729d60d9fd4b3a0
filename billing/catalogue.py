"""Bringing ``plans.toml`` to Stripe. A price is never edited: a new amount makes a successor under the same key."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from billing import stripe_client, writes
from billing.installation import public_id
from billing.models import PlanPrice
from billing.money import format_money
from billing.plans import Catalogue, Price
from billing.write_request import WriteRequest


def push(session: Session, catalogue: Catalogue, *, dry_run: bool = False) -> list[str]:
    """Make what Stripe lacks and remember what it has. Returns a line for each price; commits."""
    wanted = catalogue.prices()
    there = {
        found["lookup_key"]: found for found in stripe_client.find_prices([p.lookup_key for _, p in wanted])
    }
    products = {p.item: str(there[p.lookup_key]["product"]) for _, p in wanted if p.lookup_key in there}
    lines = []
    for title, price in wanted:
        amount = format_money(price.amount, price.currency)
        label = f"{price.lookup_key}: {amount}{f' a {price.interval}' if price.interval else ''}"
        found = there.get(price.lookup_key)
        if found is not None and _same(found, price):
            lines.append(f"{label}: there")
        elif dry_run:
            lines.append(f"{label}: would be made")
            continue
        else:
            if price.item not in products:
                products[price.item] = _make_product(session, title, price)
            found = _make_price(session, price, products[price.item], replaces=found)
            lines.append(f"{label}: made")
        if not dry_run:
            _remember(session, price, found)
    return lines


def _same(found: dict[str, Any], price: Price) -> bool:
    interval = (found.get("recurring") or {}).get("interval")
    return (found["unit_amount"], found["currency"], interval) == (
        price.amount,
        price.currency,
        price.interval,
    )


def _make_product(session: Session, title: str, price: Price) -> str:
    params = {"name": title, "metadata": {"plan": price.item, "installation": public_id(session)}}
    answer = writes.perform(session, WriteRequest("product.create", f"product:{price.item}", params))
    return str(answer["id"])


def _make_price(
    session: Session, price: Price, product: str, *, replaces: dict[str, Any] | None
) -> dict[str, Any]:
    params: dict[str, Any] = {
        "product": product,
        "unit_amount": price.amount,
        "currency": price.currency,
        "lookup_key": price.lookup_key,
        "metadata": {"plan": price.item},
        "transfer_lookup_key": replaces is not None,
    }
    if price.interval:
        params["recurring"] = {"interval": price.interval}
    after = f":after:{replaces['id']}" if replaces else ""
    name = f"price:{price.lookup_key}:{price.amount}{after}"
    return writes.perform(session, WriteRequest("price.create", name, params))


def _remember(session: Session, price: Price, found: dict[str, Any]) -> None:
    row = session.get(PlanPrice, price.lookup_key) or PlanPrice(lookup_key=price.lookup_key)
    row.price_id, row.product_id, row.item = found["id"], str(found["product"]), price.item
    row.amount, row.currency, row.interval = price.amount, price.currency, price.interval
    session.add(row)
    session.commit()
