"""What is at Stripe beside what ``plans.toml`` says: a line for each product and price. It only reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import stripe_reads
from billing.errors import StripeRefused
from billing.models import CheckoutSession, PastPrice, PlanPrice, StripeWrite, Subscription
from billing.models.subscriptions import FINAL
from billing.money import format_money
from billing.payloads import Object, ref
from billing.plans import Catalogue, Price

Kind = Literal["product", "rename", "there", "make", "replace", "archive", "left"]


@dataclass(frozen=True)
class Step:
    """One line. ``is_`` says what is at Stripe, ``will`` what is to become of it.

    ``product``: the id of the item's product, None where that is made first. ``found``: the price at Stripe.
    ``params``: the fields of the product that are to be changed.
    """

    kind: Kind
    subject: str
    item: str
    is_: str
    will: str
    price: Price | None = field(default=None, compare=False)
    product: str | None = field(default=None, compare=False)
    found: Object = field(default_factory=dict, compare=False)
    params: Object = field(default_factory=dict, compare=False)

    @property
    def writes(self) -> bool:
        """Whether something at Stripe is changed."""
        return self.kind not in ("there", "left")

    def says(self, *, done: bool = False) -> str:
        """The line for an operator, before it is done or after."""
        would = "" if done or not self.writes else "would be "
        return f"{self.subject}: {self.is_}: {would}{self.will}"


def compare(
    session: Session, catalogue: Catalogue, *, archive: bool = False, past: bool = True
) -> list[Step]:
    """What a push would do, in the order in which it does it.

    ``archive``: what left the file and nobody has is to be sold no longer. ``past``: also look for what is at Stripe
    under our products and not in the file, which takes a question for each product.
    """
    wanted = catalogue.prices()
    there = {one["lookup_key"]: one for one in stripe_reads.find_prices([p.lookup_key for _, p in wanted])}
    ids = _known_products(session)
    ids |= {p.item: str(ref(there[p.lookup_key]["product"])) for _, p in wanted if p.lookup_key in there}
    products = {ref(one["product"]): one["product"] for one in there.values()}
    steps: list[Step] = []
    for title, price in wanted:
        if all(step.item != price.item for step in steps):
            steps += _product(title, price.item, ids.get(price.item), products)
        steps.append(_price(price, ids.get(price.item), there.get(price.lookup_key)))
    return steps + (_past(session, ids, steps, archive=archive) if past or archive else [])


def _product(title: str, item: str, id_: str | None, products: dict[str | None, Object]) -> list[Step]:
    """What is to be done about an item's product: nothing, made, or brought to what the file says."""
    found = products.get(id_) or _read(id_)
    if found is None:
        return [Step("product", item, item, f"the product “{title}”", "made", params={"name": title})]
    steps = []
    if not found["active"]:
        is_ = f"the product “{found['name']}” is archived"
        steps.append(Step("rename", item, item, is_, "sold again", product=id_, params={"active": True}))
    if found["name"] != title:
        is_, will = f"the product is called “{found['name']}”", f"called “{title}”"
        steps.append(Step("rename", item, item, is_, will, product=id_, params={"name": title}))
    return steps


def _read(product: str | None) -> Object | None:
    """A product none of whose prices are for sale; None where it is gone or was never made."""
    try:
        found = stripe_reads.get_product(product) if product else None
    except StripeRefused as problem:
        if problem.status != 404:
            raise
        return None
    return None if found is None or found.get("deleted") else found


def _price(price: Price, product: str | None, found: Object | None) -> Step:
    """An archived price keeps its lookup key, so it is replaced like one of another amount."""
    key, wanted = price.lookup_key, _words(price.amount, price.currency, price.interval)
    if found is None:
        return Step("make", key, price.item, wanted, "made", price, product)
    is_ = _words_of(found)
    recurring = found.get("recurring") or {}
    terms = (found["unit_amount"], found["currency"], recurring.get("interval"))
    same = terms == (price.amount, price.currency, price.interval) and recurring.get("interval_count", 1) == 1
    if same and found["active"]:
        return Step("there", key, price.item, is_, "there", price, product, found)
    is_ = is_ if found["active"] else f"{is_}, archived"
    will = f"replaced by {wanted}; who has the old price keeps it"
    return Step("replace", key, price.item, is_, will, price, product, found)


def _past(session: Session, ids: dict[str, str], steps: list[Step], *, archive: bool) -> list[Step]:
    """What can still be sold under our products, and no line of the file asks for."""
    kept = {step.found.get("id") for step in steps if step.kind == "there" or not archive}
    items, needed = {id_: item for item, id_ in ids.items()}, _needed(session)
    session.rollback()  # no transaction is open while Stripe is asked
    return [
        _left(one, item, needed[one["id"]], archive=archive)
        for product, item in items.items()
        for one in stripe_reads.each_price(product)
        if one["id"] not in kept
    ]


def _left(found: Object, item: str, needed: int, *, archive: bool) -> Step:
    subject, is_ = found["lookup_key"] or found["id"], _words_of(found)
    if not archive:
        return Step("left", subject, item, is_, "not in the file; left as it is (--archive ends its sale)")
    if needed:
        who = "somebody has it" if needed == 1 else f"{needed} people have it"
        return Step("left", subject, item, is_, f"not in the file; left, since {who}")
    return Step("archive", subject, item, is_, "archived", found=found)


def _needed(session: Session) -> Counter[str]:
    """How many have a price, are paying it now or will change to it. Stripe takes no archived price where a
    subscription is put on a schedule, so whoever has one could no longer change at the end of a period."""
    has = select(Subscription.price_id).where(Subscription.status.not_in(FINAL))
    changes = select(Subscription.coming["price"].astext).where(Subscription.coming.is_not(None))
    pays = select(CheckoutSession.price_id).where(
        CheckoutSession.status.in_((CheckoutSession.CREATING, "open"))
    )
    return Counter(price for query in (has, changes, pays) for price in session.execute(query).scalars())


def _known_products(session: Session) -> dict[str, str]:
    """The product of each item from earlier pushes, also of one that ended half-way: its key may be too old."""
    made = select(StripeWrite.name, StripeWrite.stripe_object_id).where(
        StripeWrite.operation == "product.create", StripeWrite.state == "done"
    )
    found = {
        name.split(":")[1]: str(product) for name, product in session.execute(made.order_by(StripeWrite.id))
    }
    for row in (*session.execute(select(PastPrice)).scalars(), *session.execute(select(PlanPrice)).scalars()):
        found[row.item] = row.product_id
    session.rollback()
    return found


def _words_of(found: Object) -> str:
    recurring = found.get("recurring") or {}
    return _words(
        found["unit_amount"],
        found["currency"],
        recurring.get("interval"),
        recurring.get("interval_count", 1),
    )


def _words(amount: int | None, currency: str, interval: str | None, every: int = 1) -> str:
    """“€29.00 a month”, “€15.00”; an amount of None is one that Stripe reckons in another way."""
    sum_ = f"another kind of price in {currency.upper()}"
    if amount is not None:
        sum_ = format_money(amount, currency, "en")
    if interval is None:
        return sum_
    return f"{sum_} a {interval}" if every == 1 else f"{sum_} every {every} {interval}s"
