"""The writes of a push: products and prices made, products renamed, prices archived. Each has a name of its own, and
what an earlier push left open is finished first."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from billing import writes
from billing.installation import public_id
from billing.models import StripeWrite
from billing.payloads import Object
from billing.plans import Price
from billing.write_request import WriteRequest

OPERATIONS = ("product.create", "product.update", "price.create", "price.update")


def settle(session: Session) -> None:
    """Finish what a push that broke off left open: done later, it would undo what is pushed now. Raises as
    ``writes.settle`` does."""
    writes.settle(session, OPERATIONS)


def make_product(session: Session, item: str, title: str) -> str:
    """Make the product of an item; its id."""
    params = {"name": title, "metadata": {"plan": item, "installation": public_id(session)}}
    request = WriteRequest("product.create", _fresh(session, f"product:{item}"), params)
    return str(writes.perform(session, request)["id"])


def rename_product(session: Session, product: str, params: Object) -> None:
    """Bring the fields of a product to what the file says."""
    name = _fresh(session, f"product-update:{product}")
    writes.perform(session, WriteRequest("product.update", name, params, product))


def make_price(session: Session, price: Price, product: str, replaces: str | None) -> Object:
    """Make a price, which takes the lookup key over from the one that it replaces."""
    params: Object = {
        "product": product,
        "unit_amount": price.amount,
        "currency": price.currency,
        "lookup_key": price.lookup_key,
        "metadata": {"plan": price.item},
        "transfer_lookup_key": replaces is not None,
    }
    if price.interval:
        params["recurring"] = {"interval": price.interval}
    after = f":after:{replaces}" if replaces else ""
    name = _fresh(session, f"price:{price.lookup_key}:{price.amount}{after}")
    return writes.perform(session, WriteRequest("price.create", name, params))


def archive_price(session: Session, price_id: str) -> None:
    """Sell a price no longer; whoever has it keeps it."""
    name = _fresh(session, f"price-archive:{price_id}")
    writes.perform(session, WriteRequest("price.update", name, {"active": False}, price_id))


def _fresh(session: Session, name: str) -> str:
    """The name of a write that has not ended: what is asked for once more, since somebody undid it at Stripe or
    Stripe refused it, is another write."""
    ended = select(func.count()).where(
        or_(StripeWrite.name == name, StripeWrite.name.startswith(f"{name}:again:", autoescape=True)),
        StripeWrite.state.in_(("failed", "declined", "done")),
    )
    times = session.execute(ended).scalar_one()
    return f"{name}:again:{times}" if times else name
