"""Which Stripe price stands for a line of the catalogue, and what a price of ours is that no longer does.

What people are shown is what these rows say: a file that was changed and not pushed yet must neither show nor sell
anything but what Stripe will charge.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing.models import PastPrice, PlanPrice
from billing.plans import Catalogue, Plan, Price

# Made once (``people.OF_CUSTOMER``).
BY_ID = select(PlanPrice).where(PlanPrice.price_id == bindparam("id"))
PAST_BY_ID = select(PastPrice).where(PastPrice.price_id == bindparam("id"))


def on_sale(session: Session, catalogue: Catalogue) -> Catalogue:
    """The catalogue as Stripe charges it: its plans at the amounts of ``flask plans push``, without what is not at
    Stripe yet."""
    rows = {row.lookup_key: row.amount for row in session.execute(select(PlanPrice)).scalars()}
    plans = (_at(plan, rows) for plan in catalogue.plans)
    return Catalogue(tuple(plan for plan in plans if plan.prices), catalogue.products)


def _at(plan: Plan, rows: dict[str, int]) -> Plan:
    sold = (price for price in plan.prices if price.lookup_key in rows)
    return replace(plan, prices=tuple(replace(one, amount=rows[one.lookup_key]) for one in sold))


def sold(session: Session, price: Price | None) -> PlanPrice | None:
    """The price at Stripe of a line of the catalogue; None where there is no such line, or it was not pushed yet."""
    return session.get(PlanPrice, price.lookup_key) if price is not None else None


def at_stripe(session: Session, price: Price) -> Price:
    """The line of the catalogue with the amount that Stripe will charge for it."""
    row = sold(session, price)
    return replace(price, amount=row.amount) if row else price


def known(session: Session, price_id: str | None) -> PlanPrice | PastPrice | None:
    """A price by Stripe's id, whether it is on sale, left the file or was replaced; None where it is not ours."""
    now = session.execute(BY_ID, {"id": price_id}).scalar()
    return now or session.execute(PAST_BY_ID, {"id": price_id}).scalar()
