"""What an event is about: ids, read from the shape of any API version. Never its state.

Since 2025-03-31.basil an invoice names its subscription in ``parent.subscription_details``; before, in
``subscription``. An expanded reference is an object with an ``id``; either form is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
LONGEST_ID = 255


@dataclass(frozen=True)
class About:
    """``subject``: the object to fetch. ``object_id``: the one in the event. Any may be None."""

    subject: str | None
    object_id: str | None
    customer: str | None


def about(event: Object) -> About:
    """The ids of an event. A payload without the expected fields gives Nones, never an error."""
    data = event.get("data")
    thing = data.get("object") if isinstance(data, dict) else None
    if not isinstance(thing, dict):
        return About(None, None, None)
    own = ref(thing.get("id"))
    kind = thing.get("object")
    customer = own if kind == "customer" else ref(thing.get("customer"))
    subject = own
    if kind == "invoice":
        subject = invoice_subscription(thing) or own
    elif kind == "refund":
        subject = ref(thing.get("payment_intent")) or ref(thing.get("charge")) or own
    elif kind == "charge":
        subject = ref(thing.get("payment_intent")) or own
    return About(subject, own, customer)


def invoice_subscription(invoice: Object) -> str | None:
    """The subscription of an invoice, in the current shape and in the one before basil."""
    parent = invoice.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, dict) else None
    new = ref(details.get("subscription")) if isinstance(details, dict) else None
    return new or ref(invoice.get("subscription"))


def customer(thing: Any) -> str | None:
    """The customer of a fetched object; None where it names none."""
    return ref(thing.get("customer")) if isinstance(thing, dict) else None


def ref(value: Any) -> str | None:
    """The id of a reference, expanded or not; None for anything else.

    Ids are printable ASCII, 255 characters at most. Escaped NULs and lone surrogates, which JSON allows,
    could not be stored, and an endless id not indexed.
    """
    if isinstance(value, dict):
        value = value.get("id")
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        return None
    return value if value.isascii() and value.isprintable() else None


def first_item(subscription: Object) -> Object:
    """The item that carries price, quantity and period; an empty dict where there is none."""
    items = subscription.get("items")
    data = items.get("data") if isinstance(items, dict) else None
    return data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
