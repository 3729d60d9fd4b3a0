"""The address at Stripe is the person's, whatever becomes of the writes that tell it (pain 26: e-mail drift)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask

from billing import addresses, people, writes
from billing.extensions import db
from billing.installation import public_id
from billing.models import Notice, StripeWrite
from tests.registry import LEASE_OVER, customers, over_a_wire, sweep
from tests.story import Shopper, config_of, count, session_of
from tests.support import Sandbox
from tests.wire import Sent, Wire, cut, error


@pytest.fixture
def wire(office: Flask, sandbox_process: Sandbox) -> Iterator[Wire]:
    with over_a_wire(office, sandbox_process) as found:
        yield found


@pytest.fixture
def payer(newcomer: Callable[..., Shopper]) -> Shopper:
    """Somebody whom Stripe knows."""
    person = newcomer()
    writes.perform(db.session(), people.create_customer(person.user, public_id(db.session())))
    return person


def moves(person: Shopper, email: str) -> None:
    """The whole way by their browser: ask, read the code, enter it. What Stripe is told is not sent yet."""
    key = config_of(person.desk).secret_key
    addresses.ask(db.session(), person.user, email, key)
    db.session.commit()
    code = db.session.query(Notice.secret).filter_by(kind="email_code", to=email).scalar()
    assert person.post("/account/email/code", code=code).location == "/account"
    assert person.user.email == email


def at_stripe(person: Shopper) -> str:
    return str(person.sandbox.stripe.customers.retrieve(person.customer)["email"])


def worker() -> None:
    """What the worker does when the bell rings."""
    writes.send_new(db.session())


def until_nothing_is_left() -> None:
    while sweep(LEASE_OVER):
        pass


def email_writes(person: Shopper) -> list[StripeWrite]:
    db.session.rollback()
    found = db.session.query(StripeWrite).filter_by(operation="customer.update", user_id=person.id)
    return list(found.order_by(StripeWrite.id))


def said(wire: Wire) -> list[str]:
    """The addresses that Stripe was told, in the order in which it took them."""
    return [one.fields["email"] for one in wire.writes if "email" in one.fields and one.key]


def test_my_invoices_do_not_go_on_to_the_mailbox_that_i_left(payer: Shopper) -> None:
    moves(payer, f"new-{payer.email}")
    assert at_stripe(payer) == payer.email, "the page has not waited for Stripe"
    worker()
    assert at_stripe(payer) == f"new-{payer.email}"
    [write] = email_writes(payer)
    assert (write.state, write.target) == ("done", payer.customer)
    worker()
    assert len(email_writes(payer)) == 1
    # a way back is a change like any other
    link = db.session.query(Notice.secret).filter_by(kind="email_changed", to=payer.email).scalar()
    path = f"/account/email/undo/{link}"
    assert payer.post(path).status_code == 303
    worker()
    assert at_stripe(payer) == payer.user.email == payer.email


@pytest.mark.parametrize("trouble", [cut, lambda sent: error(500), "lost"], ids=["away", "500", "lost"])
def test_my_invoices_follow_me_when_stripe_was_away_or_its_answer_was_lost_while_i_moved_twice(
    payer: Shopper, wire: Wire, trouble: Any
) -> None:
    def in_the_way(sent: Sent) -> Any:
        if sent.method != "POST":
            return wire.pass_on(sent)
        if trouble != "lost":
            return trouble(sent)
        wire.pass_on(sent)
        return None

    wire.answer = in_the_way
    first, second = f"first-{payer.email}", f"second-{payer.email}"
    moves(payer, first)
    worker()
    moves(payer, second)
    worker()
    assert [one.state for one in email_writes(payer)] == ["in_flight", "pending"], "the second waits its turn"
    wire.answer = wire.pass_on
    until_nothing_is_left()
    assert [one.state for one in email_writes(payer)] == ["done", "done"]
    assert at_stripe(payer) == second
    assert said(wire)[-1] == second


def test_an_earlier_address_that_is_still_on_its_way_never_comes_last(payer: Shopper, wire: Wire) -> None:
    """The first write hangs at Stripe while the second change is made, and its sender is given up."""
    arrived, go_on = threading.Event(), threading.Event()

    def slow(sent: Sent) -> Any:
        if sent.method == "POST" and sent.fields.get("email", "").startswith("first-"):
            arrived.set()
            go_on.wait(30)
        return wire.pass_on(sent)

    wire.answer = slow
    moves(payer, f"first-{payer.email}")

    def send() -> None:
        with payer.desk.app_context():
            writes.send_new(db.session())
            db.session.remove()

    sender = threading.Thread(target=send)
    sender.start()
    assert arrived.wait(30)
    moves(payer, f"second-{payer.email}")
    worker()
    writes.finish_open(db.session(), older_than=timedelta())
    assert [one.state for one in email_writes(payer)] == ["in_flight", "pending"]
    go_on.set()
    sender.join()
    until_nothing_is_left()
    assert said(wire)[-1] == at_stripe(payer) == f"second-{payer.email}"


def test_whoever_moves_while_stripe_makes_their_customer_is_found_there_at_the_new_address(
    newcomer: Callable[..., Shopper], wire: Wire
) -> None:
    person = newcomer()
    email = f"new-{person.email}"

    def move_meanwhile(sent: Sent) -> Any:
        answer = wire.pass_on(sent)
        if sent.path == "/v1/customers" and sent.method == "POST":
            with psycopg.connect(config_of(person.desk).database_url.replace("+psycopg", "")) as other:
                other.execute("update users set email = %s where id = %s", (email, person.id))
            return None  # and the answer is lost
        return answer

    wire.answer = move_meanwhile
    assert person.post("/checkout", plan="pro", interval="month").status_code == 503
    wire.answer = wire.pass_on
    assert session_of(person.post("/checkout", plan="pro", interval="month")), (
        "the same customer, asked for again"
    )
    until_nothing_is_left()
    assert at_stripe(person) == email
    by_address = person.sandbox.stripe.customers.list({"email": email})["data"]
    assert [one["id"] for one in by_address] == [person.customer]
    assert customers(person) == [], "none is left at the old one"
    assert count(StripeWrite, operation="customer.create", user_id=person.id) == 1


def test_nobody_whom_stripe_does_not_know_is_told_to_it_and_a_deleted_customer_ends_the_write(
    newcomer: Callable[..., Shopper], payer: Shopper
) -> None:
    person = newcomer()
    moves(person, f"new-{person.email}")
    assert email_writes(person) == []
    payer.sandbox.stripe.customers.delete(payer.customer)
    moves(payer, f"new-{payer.email}")
    until_nothing_is_left()
    assert [one.state for one in email_writes(payer)] == ["failed"]


def test_after_a_restore_a_customer_goes_back_only_to_whom_it_was_made_for_by_address_too(
    newcomer: Callable[..., Shopper],
) -> None:
    """Somebody who moved after the backup is not recognised by their old address: an admin is told, nobody guesses."""
    person = newcomer()
    installation = public_id(db.session())
    customer = {"metadata": {"user_id": str(person.id), "installation": installation}, "email": person.email}
    assert people.lost_owner(db.session(), customer, installation) is not None
    assert people.lost_owner(db.session(), {**customer, "email": "moved@example.com"}, installation) is None
