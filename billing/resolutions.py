"""What became of a write that nobody answered: asked of Stripe, since its key tells nothing any more.

A key tells nothing once Stripe may have forgotten it, or would repeat a 5xx that it kept. Each operation says what
shows that it is done, and for how long it is still worth sending where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from billing import people, refunding, second, stripe_reads
from billing.errors import StripeRefused
from billing.models.subscriptions import FINAL
from billing.payloads import first_item, ref
from billing.stripe_client import Object

HOUR = timedelta(hours=1)
DAY = timedelta(hours=23)
# How a subscription is to be changed, which is no field of it afterwards.
ON_THE_WAY = ("proration_behavior", "proration_date", "payment_behavior")


@dataclass(frozen=True)
class Wish:
    """A write as it was asked for."""

    operation: str
    name: str
    target: str
    params: Object


@dataclass(frozen=True)
class Resolution:
    """``made``: what shows that it is done, None where it is not; raises StripeRefused where it can't be any more.

    ``worth``: how long after it was asked for it is sent; None: however long it takes. ``again``: whether it is sent
    by another key where Stripe didn't do it. ``alert``: whether an admin is told where it is given up.
    ``first``: asked of Stripe right before each try: what it returns was done already, and StripeRefused ends it.
    """

    made: Callable[[Wish], Object | None]
    worth: timedelta | None
    again: bool = True
    alert: bool = False
    first: Callable[[Wish], Object | None] = lambda wish: None


def _find_product(wish: Wish) -> Object | None:
    wanted = wish.params["metadata"]
    for found in stripe_reads.list_products():
        if found["metadata"] == wanted and found["name"] == wish.params["name"]:
            return found
    return None


def _find_price(wish: Wish) -> Object | None:
    """The price that holds the lookup key, unless that is the one which ours was to replace (its name says so)."""
    replaced = wish.name.partition(":after:")[2].partition(":")[0]
    found = stripe_reads.find_prices([wish.params["lookup_key"]])
    if not found or found[0]["id"] == replaced:
        return None
    terms = (ref(found[0]["product"]), found[0]["unit_amount"], found[0]["currency"])
    if terms != tuple(wish.params[name] for name in ("product", "unit_amount", "currency")):
        raise StripeRefused("another price has this lookup key by now", code="superseded")
    return found[0]


def _updated(read: Callable[[str], Object]) -> Callable[[Wish], Object | None]:
    """For a write whose parameters are fields of the object: it is done if they are as was asked for."""

    def made(wish: Wish) -> Object | None:
        found = read(wish.target)
        return found if all(found.get(name) == value for name, value in wish.params.items()) else None

    return made


def _find_session(wish: Wish) -> Object | None:
    """The Session that carries the number of our row; there is one for each row."""
    for found in stripe_reads.list_checkout_sessions(wish.params["customer"]):
        if found["metadata"] == wish.params["metadata"]:
            return found
    return None


def _closed_session(wish: Wish) -> Object | None:
    found = stripe_reads.get_checkout_session(wish.target)
    if found["status"] == "complete":
        raise StripeRefused("it was paid meanwhile", code="complete")
    return found if found["status"] == "expired" else None


def _as_wished(wish: Wish) -> Object | None:
    """The subscription if it has all that was asked for; an empty text asks for nothing to be there."""
    found = stripe_reads.get_subscription(wish.target)
    wanted = {name: value for name, value in wish.params.items() if name not in (*ON_THE_WAY, "items")}
    same = all(_same(found.get(name), value) for name, value in wanted.items())
    return found if same and all(_has(found, item) for item in wish.params.get("items", [])) else None


def _same(found: Any, wanted: Any) -> bool:
    """Whether a field holds what was asked for: of a hash each part that was named; a reference may be expanded."""
    if isinstance(wanted, dict):
        return all(_same((found or {}).get(name), value) for name, value in wanted.items())
    if isinstance(found, dict) and isinstance(wanted, str):
        found = ref(found)
    return (found or None) == (wanted or None)


def _has(found: Object, wanted: Object) -> bool:
    """Whether the subscription is at this price already, or will be once its pending update is paid."""
    pending = (found.get("pending_update") or {}).get("subscription_items") or []
    items = (first_item(found), *pending)
    return (wanted["price"], wanted["quantity"]) in [
        (ref(one.get("price")), one.get("quantity")) for one in items
    ]


def _made_schedule(wish: Wish) -> Object | None:
    found = stripe_reads.get_subscription(wish.params["from_subscription"]).get("schedule")
    return found if isinstance(found, dict) else None


def _has_phases(wish: Wish) -> Object | None:
    """The schedule if it ends as was asked for."""
    found = stripe_reads.get_subscription_schedule(wish.target)
    last, wanted = (phases[-1]["items"][0] for phases in (found["phases"], wish.params["phases"]))
    return (
        found if (ref(last["price"]), last.get("quantity")) == (wanted["price"], wanted["quantity"]) else None
    )


def _released(wish: Wish) -> Object | None:
    found = stripe_reads.get_subscription_schedule(wish.target)
    return found if found["status"] in ("released", "completed", "canceled") else None


def _paused(wish: Wish) -> Object | None:
    found = _running(wish)
    return found if found["status"] == "paused" else None


def _resumed(wish: Wish) -> Object | None:
    """The subscription if it goes on, or if what it goes on with is on its way: an open invoice."""
    found = _running(wish)
    latest = ref(found.get("latest_invoice"))
    if found["status"] == "paused" and (
        latest is None or stripe_reads.get_invoice(latest)["status"] != "open"
    ):
        return None
    return found


def _running(wish: Wish) -> Object:
    found = stripe_reads.get_subscription(wish.target)
    if found["status"] in FINAL:
        raise StripeRefused("it is over", code="canceled")
    return found


def _paid(wish: Wish) -> Object | None:
    found = stripe_reads.get_invoice(wish.target)
    if found["status"] in ("void", "uncollectible"):
        raise StripeRefused("it is not to be paid any more", code=found["status"])
    return found if found["status"] == "paid" else None


def _voided(wish: Wish) -> Object | None:
    found = stripe_reads.get_invoice(wish.target)
    if found["status"] == "paid":
        raise StripeRefused("it was paid meanwhile", code="paid")
    return found if found["status"] == "void" else None


def _find_purchase(wish: Wish) -> Object | None:
    """The payment that carries the token of its form; there is one for each form. What it came to, events tell."""
    for found in stripe_reads.each_payment_intent({"customer": wish.params["customer"]}):
        if found["metadata"] == wish.params["metadata"]:
            return found
    return None


def _deleted(wish: Wish) -> Object | None:
    """The customer if Stripe says that it was deleted. One that Stripe never knew is a wrong key or a wrong Stripe."""
    found = stripe_reads.get_customer(wish.target)
    return found if found.get("deleted") else None


RESOLUTIONS: dict[str, Resolution] = {
    "customer.create": Resolution(lambda wish: people.find_customer(wish.params), None),
    # The address at Stripe is to be ours, however late; ``registry.must_wait`` keeps the changes in their order.
    "customer.update": Resolution(_updated(stripe_reads.get_customer), None),
    "customer.delete": Resolution(_deleted, None),
    "product.create": Resolution(_find_product, DAY),
    "product.update": Resolution(_updated(stripe_reads.get_product), DAY),
    "price.create": Resolution(_find_price, DAY),
    "price.update": Resolution(_updated(stripe_reads.get_price), DAY),
    # The person's place was freed, they may have opened another one: a second is not made behind their back.
    "checkout.session.create": Resolution(_find_session, DAY, again=False),
    "checkout.session.expire": Resolution(_closed_session, DAY),
    # Made for one click, and dead in minutes.
    "billing_portal.session.create": Resolution(lambda wish: None, HOUR, again=False),
    # People change their minds: what they asked for long ago is not done to them now.
    "subscription.update": Resolution(_as_wished, HOUR),
    "subscription_schedule.create": Resolution(_made_schedule, HOUR),
    "subscription_schedule.update": Resolution(_has_phases, HOUR),
    "subscription_schedule.release": Resolution(_released, HOUR),
    "subscription.pause": Resolution(_paused, HOUR),
    "subscription.resume": Resolution(_resumed, HOUR),
    # An invoice has one payment: asked for again, Stripe takes it once at most.
    "invoice.pay": Resolution(_paid, HOUR),
    "invoice.void": Resolution(_voided, DAY),
    # Whoever was told that it isn't known may have paid another way: what was not done is not done behind their back.
    "payment_intent.create": Resolution(_find_purchase, HOUR, again=False),
    "subscription.cancel": Resolution(lambda wish: second.ended_already(wish.target), DAY, alert=True),
    "refund.create": Resolution(
        lambda wish: refunding.find(wish.params), None, first=lambda wish: refunding.look_first(wish.params)
    ),
}

# Whoever asked to leave must not be charged because Stripe was away for a while: that is done however late. So is the
# taking back, for whoever kept the account that was to be deleted.
LEAVING = ("cancel:", "stay:")


def worth(operation: str, name: str) -> timedelta | None:
    """How long after it was asked for a write is sent; None: however long it takes."""
    return None if name.startswith(LEAVING) else RESOLUTIONS[operation].worth


# A DELETE heeds no key: that there is nothing to do may mean that an earlier try did it.
HEEDS_NO_KEY = {"subscription.cancel", "customer.delete"}
