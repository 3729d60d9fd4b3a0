"""People who have their account deleted: asking for it, its day, and what is left of them."""

from __future__ import annotations

import itertools
from typing import Any

from sqlalchemy import select, text

from billing import removing
from billing.extensions import db
from billing.models import Deletion, PlanPrice
from tests.counter import Counter, look
from tests.story import Shopper, shopper
from tests.support import PASSWORD

NAME = "Alice Ahrens"
_leavers = itertools.count(1)
DUE = "set due_at = clock_timestamp() - make_interval(secs => :late), next_try_at = null"


def with_a_plan(counter: Counter, **more: Any) -> Shopper:
    """Somebody with a card, a name and a plan at Stripe, got past our check page, which has tests of its own."""
    # no other desk of this run has one of that address: a full pass finds what all of them have at the sandbox
    email, api = f"leaver{next(_leavers)}@example.com", counter.app.extensions["sandbox"].stripe
    person = shopper(counter.app, email)  # first, as it is: an event of a customer comes after the account
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    customer = api.customers.create({"email": email, "name": NAME, **card})["id"]
    person.user.stripe_customer_id = customer
    db.session.commit()
    price = {"price": price_of("pro")}
    api.subscriptions.create({"customer": customer, "items": [price], **more})
    look(person)
    return person


def price_of(item: str) -> str:
    monthly = PlanPrice.interval == "month", PlanPrice.currency == "eur"
    found = select(PlanPrice.price_id).where(PlanPrice.item == item, *monthly)
    return db.session.execute(found).scalar_one()


def ask(person: Shopper, **other: str) -> Any:
    """Fill in and send the form of the page."""
    return person.post("/account/delete", **{"current_password": PASSWORD, "word": "DELETE", **other})


def asked(person: Shopper) -> Deletion:
    """The person's newest."""
    db.session.rollback()
    found = select(Deletion).where(Deletion.user_id == person.id).order_by(Deletion.id.desc()).limit(1)
    return db.session.execute(found).scalar_one()


def the_day_comes(person: Shopper, late: float = 1) -> None:
    """It was due so many seconds ago, and nobody waits for a next try."""
    number = asked(person).id
    db.session.execute(text(f"update deletions {DUE} where id = :id"), {"late": late, "id": number})
    db.session.commit()


def on_the_day(person: Shopper, late: float = 1) -> Deletion:
    """One turn of the clock after that."""
    the_day_comes(person, late)
    removing.delete_due(db.session())
    return asked(person)


def living(person: Shopper, customer: str) -> list[str]:
    """The statuses of what Stripe still has running for this customer, read without our code."""
    found = person.sandbox.stripe.subscriptions.list({"customer": customer, "status": "all", "limit": 100})
    return [one["status"] for one in found["data"] if one["status"] not in ("canceled", "incomplete_expired")]


def is_gone(person: Shopper, customer: str) -> bool:
    return bool(person.sandbox.stripe.customers.retrieve(customer).to_dict().get("deleted"))


def told_of(*words: str) -> list[str]:
    """Every column in the database in which one of these words is, whatever its case."""
    db.session.rollback()
    columns = db.session.execute(
        text(
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
            " and data_type in ('text', 'character varying', 'json', 'jsonb', 'bytea', 'ARRAY')"
        )
    ).all()
    found = []
    for table, column in columns:
        for word in words:
            holds = text(
                f'select count(*) from "{table}" where strpos(lower("{column}"::text), lower(:word)) > 0'
            )
            if db.session.execute(holds, {"word": word}).scalar_one():
                found.append(f"{table}.{column}: {word}")
    db.session.rollback()
    return found
