"""Bringing ``plans.toml`` to Stripe. A price is never edited: a new amount makes a successor under the same key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from billing import stripe_client, writes
from billing.installation import public_id
from billing.models import PlanPrice, StripeWrite
from billing.money import format_money
from billing.plans import Catalogue, Price
from billing.write_request import WriteRequest


def push(session: Session, catalogue: Catalogue, *, dry_run: bool = False) -> list[str]:
    """Make what Stripe lacks and remember what it has. Returns a line for each price; commits."""
    wanted = catalogue.prices()
    there = {
        found["lookup_key"]: found for found in stripe_client.find_prices([p.lookup_key for _, p in wanted])
    }
    products = _known_products(session)
    products |= {p.item: str(there[p.lookup_key]["product"]) for _, p in wanted if p.lookup_key in there}
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


def _known_products(session: Session) -> dict[str, str]:
    """The product of each item from earlier pushes, also of one that ended half-way: its key may be too old."""
    made = select(StripeWrite.name, StripeWrite.stripe_object_id).where(
        StripeWrite.operation == "product.create", StripeWrite.state == "done"
    )
    found = {name.split(":")[1]: str(product) for name, product in session.execute(made)}
    found |= {row.item: row.product_id for row in session.execute(select(PlanPrice)).scalars()}
    session.rollback()
    return found


def _fresh(session: Session, name: str) -> str:
    """The name of a write that Stripe has not refused: an operator pushes again once the cause is mended."""
    refused = select(func.count()).where(
        or_(StripeWrite.name == name, StripeWrite.name.startswith(f"{name}:again:", autoescape=True)),
        StripeWrite.state.in_(("failed", "declined")),
    )
    times = session.execute(refused).scalar_one()
    return f"{name}:again:{times}" if times else name


def _same(found: dict[str, Any], price: Price) -> bool:
    """Whether it can be sold as it is. An archived price keeps its lookup key, so it is replaced as well."""
    interval = (found.get("recurring") or {}).get("interval")
    is_ = (found["active"], found["unit_amount"], found["currency"], interval)
    return is_ == (True, price.amount, price.currency, price.interval)


def _make_product(session: Session, title: str, price: Price) -> str:
    params = {"name": title, "metadata": {"plan": price.item, "installation": public_id(session)}}
    name = _fresh(session, f"product:{price.item}")
    answer = writes.perform(session, WriteRequest("product.create", name, params))
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
    name = _fresh(session, f"price:{price.lookup_key}:{price.amount}{after}")
    return writes.perform(session, WriteRequest("price.create", name, params))


def _remember(session: Session, price: Price, found: dict[str, Any]) -> None:
    row = session.get(PlanPrice, price.lookup_key) or PlanPrice(lookup_key=price.lookup_key)
    row.price_id, row.product_id, row.item = found["id"], str(found["product"]), price.item
    row.amount, row.currency, row.interval = price.amount, price.currency, price.interval
    session.add(row)
    session.commit()
