"""Who an object of Stripe belongs to, and making somebody a Stripe customer, once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing import stripe_reads
from billing.models import StripeWrite, User
from billing.payloads import Object, ref
from billing.write_request import WriteRequest

# Made once, since each applied event asks it: to put it together costs as much as to ask it.
OF_CUSTOMER = select(User).where(User.stripe_customer_id == bindparam("customer"))
# Whoever was deleted here has no customer any more, and is not found by a former one either.
OF_FORMER = (
    select(User)
    .join(StripeWrite, StripeWrite.user_id == User.id)
    .where(
        StripeWrite.operation == "customer.create",
        StripeWrite.stripe_object_id == bindparam("customer"),
        User.stripe_customer_id.is_not(None),
    )
)


def owner(session: Session, thing: Object, installation: str) -> User | None:
    """The user whose customer ``thing`` belongs to, or None where it is not ours.

    The customer id decides: it was made by us before any payment. An object that carries another
    installation's id is not ours even so (several installations may share one Stripe account). What was paid by a
    customer that was deleted at Stripe can still be refunded and disputed, though its person has another one since.
    """
    customer = ref(thing.get("customer"))
    if customer is None or foreign(thing, installation):
        return None
    user = of_customer(session, customer)
    return user or session.execute(OF_FORMER, {"customer": customer}).scalar()


def of_customer(session: Session, customer: str) -> User | None:
    """The user whom this Stripe customer is now."""
    return session.execute(OF_CUSTOMER, {"customer": customer}).scalar()


def foreign(thing: Object, installation: str) -> bool:
    """Whether the object, or the subscription that an invoice is of, says that another installation made it."""
    parent = thing.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, dict) else None
    for said in (thing, details):
        metadata = said.get("metadata") if isinstance(said, dict) else None
        tagged = metadata.get("installation") if isinstance(metadata, dict) else None
        if tagged and tagged != installation:
            return True
    return False


def create_customer(user: User, installation: str) -> WriteRequest:
    """The write that makes the person a Stripe customer; its name allows one per person, and one in place of each that
    was deleted at Stripe."""
    after = f":after:{user.stripe_customer_id}" if user.stripe_customer_id else ""
    params: dict[str, Any] = {
        "email": user.email,
        "metadata": {"user_id": str(user.id), "installation": installation},
    }
    return WriteRequest("customer.create", f"customer:{user.id}{after}", params, user_id=user.id)


def find_customer(params: Object) -> Object | None:
    """The customer that such a write made, if it did: Stripe lists them by address, our ids tell whose it is."""
    wanted = params["metadata"]
    for found in stripe_reads.list_customers(params["email"]):
        if all((found.get("metadata") or {}).get(name) == value for name, value in wanted.items()):
            return found
    return None


def bind_customer(
    session: Session, user_id: int, customer: str, email: str, *, after: str = ""
) -> WriteRequest | None:
    """Remember the customer that was made with this address. An id that is there is only replaced if it came ``after``
    that one.

    Returns the write that brings the person's address to it, where that is another one by now.
    """
    user = session.get(User, user_id, with_for_update=True, populate_existing=True)
    if user is None or user.stripe_customer_id not in (None, after):
        return None
    user.stripe_customer_id = customer
    return None if user.email == email else move_customer(user, f"{customer}:made")


def move_customer(user: User, change: str) -> WriteRequest:
    """The write that tells Stripe the person's present address. ``change`` names what made it that; each change is a
    write of its own, and they are sent in the order in which they were kept (``registry.must_wait``).

    The caller holds the person's row locked, so that order is the one in which the address changed.
    """
    return WriteRequest(
        "customer.update",
        f"customer-email:{user.id}:{change}",
        {"email": user.email},
        user.stripe_customer_id,
        user.id,
    )


def was_ours(session: Session, customer: str) -> bool:
    """Whether this customer was deleted at Stripe, and another one stands for its person since."""
    name = StripeWrite.name.like(f"customer:%:after:{customer}")
    return session.execute(select(StripeWrite.id).where(name).limit(1)).first() is not None


def lost_owner(session: Session, customer: Object, installation: str) -> User | None:
    """Whom this customer was made for, where our side of it was lost with a database: our own marks say it, and the
    address must be theirs still, since after a restore a number may belong to somebody else."""
    marks = customer.get("metadata") or {}
    number = str(marks.get("user_id", ""))
    if marks.get("installation") != installation or not number.isdecimal():
        return None
    user = session.get(User, int(number))
    same = user is not None and user.email.lower() == str(customer.get("email")).lower()
    return user if same and user is not None and user.stripe_customer_id is None else None
