"""In which currency somebody is shown prices: their account's own, what they chose, what their browser's region
uses, or the file's first. Never by their address on the net."""

from __future__ import annotations

from collections.abc import Iterable

from babel.numbers import get_territory_currencies
from sqlalchemy import literal, select, union_all
from sqlalchemy.orm import Session

from billing.models import Invoice, Subscription
from billing.plans import Catalogue, Price, Product


def locked(session: Session, user_id: int) -> str | None:
    """The one currency that Stripe bills this person in, from our rows; None where they were never billed.

    Stripe gives a customer the currency of the first bill for good (``customer.currency``).
    """
    billed = union_all(
        *(
            select(literal(rank).label("rank"), table.c.currency, table.c.created).where(
                table.c.user_id == user_id
            )
            for rank, table in enumerate((Subscription.__table__, Invoice.__table__))
        )
    ).subquery()
    first = select(billed.c.currency).order_by(billed.c.rank, billed.c.created.desc()).limit(1)
    return session.execute(first).scalar()


def of(catalogue: Catalogue) -> list[str]:
    """Every currency that a plan is sold in, in the order of the file."""
    return list(dict.fromkeys(price.currency for plan in catalogue.plans for price in plan.prices))


def chosen(catalogue: Catalogue, lock: str | None, asked: str | None, languages: Iterable[str]) -> str | None:
    """The currency to show; None only where nothing is sold at all.

    ``lock``: see ``locked``. ``asked``: what the address says, good or not. ``languages``: the tags of
    Accept-Language, the dearest first.
    """
    if lock is not None:
        return lock
    offered = of(catalogue)
    if asked is not None and asked.lower() in offered:
        return asked.lower()
    return _of_region(catalogue, languages) or next(iter(offered), None)


def price_of(product: Product, lock: str | None, asked: str | None, languages: Iterable[str]) -> Price:
    """The price of a one-off product that somebody is shown: as ``chosen``, of the currencies that it is sold in. What
    is sold in another currency than the account's own is still sold: Stripe locks invoices, not single payments."""
    wanted = (lock, asked.lower() if asked else None, *_used_in(languages))
    found = (product.price_in(currency) for currency in wanted)
    return next((price for price in found if price is not None), product.price)


def _of_region(catalogue: Catalogue, languages: Iterable[str]) -> str | None:
    """The currency of the region that the dearest language names. Nobody chose it, so every plan must be sold in it.

    Only the first tag is asked: a browser that is set to German alone says ``de, en-US;q=0.7``.
    """
    everywhere = [{price.currency for price in plan.prices} for plan in catalogue.plans]
    return next((one for one in _used_in(languages) if all(one in each for each in everywhere)), None)


def _used_in(languages: Iterable[str]) -> list[str]:
    parts = next(iter(languages), "").replace("_", "-").split("-")[1:]
    region = next((part.upper() for part in parts if len(part) == 2 and part.isalpha()), None)
    return [code.lower() for code in get_territory_currencies(region)] if region else []
