"""Bringing ``plans.toml`` to Stripe. A price is never edited: a new amount makes a successor under the same lookup
key, and whoever has the old price keeps it. ``comparison`` says what is to be done."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import catalogue_writes, leases
from billing.comparison import Step, compare
from billing.errors import PushUnderWay
from billing.leases import Lease
from billing.models import PastPrice, PlanPrice
from billing.payloads import Object, ref
from billing.plans import Catalogue, Price

LEASE = "catalogue"
# Longer than one write takes at most (``writes``); it is renewed before each. A killed push keeps it for as long.
LEASE_SECONDS = 60
WAIT_SECONDS = 15


def push(
    session: Session, catalogue: Catalogue, *, archive: bool = False, agreed: list[Step] | None = None
) -> list[str]:
    """Make what Stripe lacks and remember what it has. Returns a line for each change at Stripe; commits.

    ``archive``: end the sale of what left the file and nobody has. ``agreed``: the comparison that somebody said
    yes to; where by now something else would be changed, nothing is. Raises PushUnderWay then, or where another
    process pushes.
    """
    lease = leases.take(session, LEASE, wait=WAIT_SECONDS, seconds=LEASE_SECONDS)
    if lease is None:
        raise PushUnderWay(
            "Another push is under way, or one was killed within the last minute; run it again then."
        )
    try:
        catalogue_writes.settle(session)
        steps = compare(session, catalogue, archive=archive, past=False)
        if agreed is not None and any(step.writes and step not in agreed for step in steps):
            raise PushUnderWay(
                "Stripe’s prices changed since they were compared. Nothing was done; run it again."
            )
        _remember_those_there(session, steps)
        return [step.says(done=True) for step in _changed(session, lease, steps)]
    finally:
        session.rollback()
        leases.free(session, lease)


def _remember_those_there(session: Session, steps: list[Step]) -> None:
    rows = {row.lookup_key: row for row in session.execute(select(PlanPrice)).scalars()}
    for step in steps:
        if step.kind == "there" and step.price is not None:
            _remember(session, step.price, step.found, rows.get(step.subject))
    session.commit()


def _changed(session: Session, lease: Lease, steps: list[Step]) -> Iterator[Step]:
    """Each step that changes something at Stripe, once it is done."""
    made: dict[str, str] = {}
    for step in steps:
        if not step.writes:
            continue
        if not leases.renew(session, lease, seconds=LEASE_SECONDS):
            raise PushUnderWay("This push took too long, and another one may have begun; run it again.")
        _do(session, step, made)
        yield step


def _do(session: Session, step: Step, made: dict[str, str]) -> None:
    """One step at Stripe, and what we keep of it. ``made``: the products that this push has made so far, by item."""
    product = made.get(step.item) or step.product or ""
    if step.kind == "product":
        made[step.item] = catalogue_writes.make_product(session, step.item, step.params["name"])
    elif step.kind == "rename":
        catalogue_writes.rename_product(session, product, step.params)
    elif step.kind == "archive":
        # Ours first: whoever dies in between leaves a price that is sold to nobody, and the next push archives it.
        _retire(session, session.query(PlanPrice).filter_by(price_id=step.found["id"]).one_or_none())
        session.commit()
        catalogue_writes.archive_price(session, step.found["id"])
    elif step.price is not None:
        answer = catalogue_writes.make_price(session, step.price, product, step.found.get("id"))
        _remember(session, step.price, answer, session.get(PlanPrice, step.price.lookup_key))
    session.commit()


def _remember(session: Session, price: Price, found: Object, row: PlanPrice | None) -> None:
    """Which Stripe price stands for the line from now on; the one that did (``row``) is kept as a past one."""
    if row is not None and row.price_id != found["id"]:
        _retire(session, row)
        row = None
    if row is None:
        row = PlanPrice(lookup_key=price.lookup_key, price_id=found["id"])
    row.product_id, row.item = str(ref(found["product"])), price.item
    row.amount, row.currency, row.interval = price.amount, price.currency, price.interval
    session.add(row)


def _retire(session: Session, row: PlanPrice | None) -> None:
    """Nobody is sold this price any more. Whoever has it is still on its plan."""
    if row is None:
        return
    names = ("price_id", "lookup_key", "product_id", "item", "amount", "currency", "interval")
    session.merge(PastPrice(**{name: getattr(row, name) for name in names}))
    session.delete(row)
    session.flush()
