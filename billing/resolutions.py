"""What became of a write that nobody answered: asked of Stripe, since its key tells nothing any more.

A key tells nothing once Stripe may have forgotten it, or would repeat a 5xx that it kept. Each operation says what
shows that it is done, and for how long it is still worth sending where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from billing import people, second, stripe_client
from billing.errors import StripeRefused
from billing.stripe_client import Object

HOUR = timedelta(hours=1)
DAY = timedelta(hours=23)


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
    """

    made: Callable[[Wish], Object | None]
    worth: timedelta | None
    again: bool = True
    alert: bool = False


def _find_product(wish: Wish) -> Object | None:
    wanted = wish.params["metadata"]
    for found in stripe_client.list_products():
        if found["metadata"] == wanted and found["name"] == wish.params["name"]:
            return found
    return None


def _find_price(wish: Wish) -> Object | None:
    """The price that holds the lookup key, unless that is the one which ours was to replace (its name says so)."""
    replaced = wish.name.partition(":after:")[2].partition(":")[0]
    found = stripe_client.find_prices([wish.params["lookup_key"]])
    if not found or found[0]["id"] == replaced:
        return None
    if any(found[0][name] != wish.params[name] for name in ("product", "unit_amount", "currency")):
        raise StripeRefused("another price has this lookup key by now", code="superseded")
    return found[0]


def _find_session(wish: Wish) -> Object | None:
    """The Session that carries the number of our row; there is one for each row."""
    for found in stripe_client.list_checkout_sessions(wish.params["customer"]):
        if found["metadata"] == wish.params["metadata"]:
            return found
    return None


def _closed_session(wish: Wish) -> Object | None:
    found = stripe_client.get_checkout_session(wish.target)
    if found["status"] == "complete":
        raise StripeRefused("it was paid meanwhile", code="complete")
    return found if found["status"] == "expired" else None


def _as_wished(wish: Wish) -> Object | None:
    """The subscription if it has all that was asked for; an empty text asks for nothing to be there."""
    found = stripe_client.get_subscription(wish.target)
    same = all((found.get(name) or None) == (value or None) for name, value in wish.params.items())
    return found if same else None


RESOLUTIONS: dict[str, Resolution] = {
    "customer.create": Resolution(lambda wish: people.find_customer(wish.params), None),
    "product.create": Resolution(_find_product, DAY),
    "price.create": Resolution(_find_price, DAY),
    # The person's place was freed, they may have opened another one: a second is not made behind their back.
    "checkout.session.create": Resolution(_find_session, DAY, again=False),
    "checkout.session.expire": Resolution(_closed_session, DAY),
    # Made for one click, and dead in minutes.
    "billing_portal.session.create": Resolution(lambda wish: None, HOUR, again=False),
    # People change their minds: what they asked for long ago is not done to them now.
    "subscription.update": Resolution(_as_wished, HOUR),
    "subscription.cancel": Resolution(lambda wish: second.ended_already(wish.target), DAY, alert=True),
    "refund.create": Resolution(lambda wish: second.find_refund(wish.params), None),
}

# A DELETE heeds no key: that there is nothing to do may mean that an earlier try did it.
HEEDS_NO_KEY = {"subscription.cancel"}
