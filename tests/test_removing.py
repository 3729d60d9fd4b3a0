"""Deleted, and charged on; or known by name for years: what the day of a deletion must not leave behind (pain 19)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import current_app
from sqlalchemy import func, select, update

from billing import accounts, addresses, lights, notices, outbox, refresh, removing, subscriptions
from billing.clock import now
from billing.extensions import db
from billing.installation import public_id
from billing.models import (
    AuditEntry,
    AuthToken,
    Invoice,
    LoginSession,
    Notice,
    StripeEvent,
    Subscription,
    User,
    Withdrawal,
)
from billing.syncing import Cause
from local.mailsink import MailSink
from tests import admin_rows as rows
from tests.counter import Counter, open_counter, text_of
from tests.histories import later
from tests.leavers import (
    NAME,
    ask,
    asked,
    is_gone,
    living,
    on_the_day,
    price_of,
    the_day_comes,
    told_of,
    with_a_plan,
)
from tests.mortal import nursery
from tests.registry import LEASE_OVER, over_a_wire
from tests.registry import time_passes as writes_age
from tests.snapshots import Snapshot
from tests.story import Shopper, apply_all, config_of, count, fresh
from tests.support import Databases, Sandbox, csrf_of, deliver, make_event, make_user, sign_in
from tests.wire import Reply, Sent, Wire, error

HOUR, DAY = 3600, 24 * 3600
NEVER = 10_000  # so many boundaries has no life


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        make_user(db.session(), "admin@example.com", is_admin=True)
        yield found


@pytest.fixture
def alice(counter: Counter) -> Iterator[Shopper]:
    person = with_a_plan(counter)
    yield person
    person.sandbox.calm()
    db.session.rollback()


def send_mails(counter: Counter, mails: MailSink) -> None:
    mails.messages.clear()
    outbox.send_due(db.session(), config_of(counter.app))


def subjects(mails: MailSink, to: str) -> list[str]:
    return [one.subject.removeprefix("[Test] ") for one in mails.to(to)]


def signed_event(kind: str, thing: dict[str, Any]) -> str:
    """Deliver it, and apply what is due; its id."""
    event = make_event(kind, thing)
    assert deliver(current_app._get_current_object(), event).status_code == 200  # type: ignore[attr-defined]
    apply_all()
    return str(event["id"])


def test_i_deleted_my_account_and_am_neither_charged_nor_known_nor_written_to_any_more(
    counter: Counter, alice: Shopper, mail_sink: MailSink
) -> None:
    """Through every table: what says who somebody was is gone, what the law asks for is there, and one mail says so."""
    customer, address, stripe_id = alice.customer, alice.email, alice.row.stripe_id
    api, bill = alice.sandbox.stripe, alice.invoices[0]
    session = db.session()
    session.add(Withdrawal(user_id=alice.id, subscription="sub_old", name=NAME, email=address))
    rows.add(session, Notice(
        dedupe_key=f"dispute:{alice.id}", kind="admin_dispute", to="admin@example.com", state="sent",
        facts={"subscriber": address, "amount": "€29.00"}, message_id="<x@y>",
    ))  # fmt: skip
    everything = {"id": customer, "object": "customer", "email": address, "name": NAME}
    signed_event("customer.updated", everything)
    card = {"id": "pm_1", "object": "payment_method", "customer": None, "billing_details": {"email": address}}
    signed_event("payment_method.detached", card)
    accounts.start_reset(session, address)
    session.commit()
    assert {one.partition(":")[0] for one in told_of(address, NAME)} >= {
        "users.email", "notices.to", "notices.facts", "auth_tokens.email", "withdrawals.name", "stripe_events.payload",
    }  # fmt: skip
    assert ask(alice).location == "/account/keep"
    send_mails(counter, mail_sink)
    assert subjects(mail_sink, address)[-1] == "Your Dunlin account will be deleted"

    row = on_the_day(alice)
    assert (row.problem, row.done_at is None) == (None, False)
    assert (living(alice, customer), is_gone(alice, customer)) == ([], True)
    held = db.session.query(Subscription).filter_by(stripe_id=stripe_id).one()
    assert (held.status, alice.user.deleted_at is None) == ("canceled", False)
    kept = db.session.query(Invoice).filter_by(user_id=alice.id).one()
    assert (kept.number, kept.amount_paid, kept.status) == (bill.number, bill.amount_paid, "paid")
    assert told_of(address, NAME) == [f"notices.to: {address}"], "until the last mail has left"

    send_mails(counter, mail_sink)
    assert subjects(mail_sink, address) == ["Your Dunlin account was deleted"]
    assert told_of(address, NAME) == []
    assert count(LoginSession, user_id=alice.id) == 0
    assert alice.get("/billing").location.startswith("/login")
    assert accounts.by_email(db.session(), address) is None
    assert removing.delete_due(db.session()) == 0, "it is done once"
    assert api.invoices.retrieve(bill.stripe_id)["status"] == "paid"

    _late_news(counter, alice, customer, stripe_id, address, mail_sink)


def _late_news(
    counter: Counter, alice: Shopper, customer: str, stripe_id: str, address: str, mails: MailSink
) -> None:
    """What Stripe tells afterwards is put where it belongs, without who it was; nobody is mailed, nothing fails."""
    owner = {"customer": customer, "email": address, "name": NAME}
    ended = {"id": stripe_id, "object": "subscription", **owner}
    ids = [signed_event("customer.subscription.deleted", ended)]
    ids.append(signed_event("customer.deleted", {**owner, "id": customer, "object": "customer"}))
    [bill] = alice.invoices
    ids.append(signed_event("invoice.paid", {"id": bill.stripe_id, "object": "invoice", **owner}))
    states = [fresh(StripeEvent, one).state for one in ids]
    assert states == ["applied", "ignored", "applied"]
    detached = {"id": "pm_1", "object": "payment_method", "customer": None, "billing_details": {"name": NAME}}
    event = make_event("payment_method.detached", detached)
    event["data"]["previous_attributes"] = {"customer": customer}
    deliver(counter.app, event)
    removing.forget_late(db.session())
    db.session.commit()
    assert told_of(address, NAME) == []
    assert json.loads(fresh(StripeEvent, event["id"]).payload)["redacted"] is True
    send_mails(counter, mails)
    assert mails.to(address) == []
    refresh.everything(db.session(), config_of(counter.app), full=True)
    assert fresh(Subscription, held_id(stripe_id)).status == "canceled"
    _a_plan_from_nowhere(alice, stripe_id)
    again = make_user(db.session(), address)  # the address is free, and who has it now is somebody new
    assert (again.id, again.stripe_customer_id) != (alice.id, customer)


def held_id(stripe_id: str) -> int:
    return db.session.execute(select(Subscription.id).where(Subscription.stripe_id == stripe_id)).scalar_one()


def _a_plan_from_nowhere(alice: Shopper, stripe_id: str) -> None:
    """Somebody made one at the dashboard: an admin has to look, and reads whose it was."""
    row = fresh(Subscription, held_id(stripe_id))
    found = alice.sandbox.stripe.subscriptions.retrieve(stripe_id).to_dict(for_json=True)
    new = {**found, "id": "sub_from_nowhere", "status": "active", "ended_at": None, "latest_invoice": None}
    cause = Cause(row.cause_event_id, row.fetch_no, public_id(db.session()), now())
    subscriptions.write(db.session(), subscriptions.Fetched(new, [], None), cause)
    db.session.flush()
    told = db.session.query(AuditEntry).filter_by(kind="subscription.of_nobody", user_id=alice.id, alert=True)
    assert told.count() == 1
    db.session.rollback()


def moves_to(alice: Shopper, address: str, key: str) -> None:
    token = addresses.ask(db.session(), alice.user, address, key)
    token.secret_hash = accounts.mac(key, "111111")
    db.session.commit()
    assert addresses.confirm(db.session(), alice.user, "111111", key, keep_session=0, user_agent="x")
    db.session.commit()


def test_the_addresses_that_i_had_are_forgotten_too_and_their_next_owner_is_not(
    counter: Counter, alice: Shopper, mail_sink: MailSink
) -> None:
    session, key, first = db.session(), config_of(counter.app).secret_key, alice.email
    code = AuthToken(kind="confirm", email=first, secret_hash="x", expires_at=func.now())
    session.add(code)  # of the sign-up, when there was no account yet
    notices.owe(session, "code", f"code:own{alice.id}", first, {}, secret="482913")
    second, third = f"second{alice.id}@example.com", f"third{alice.id}@example.com"
    moves_to(alice, second, key)
    moves_to(alice, third, key)
    other = make_user(session, second)
    notices.owe(session, "code", f"code:other{other.id}", second, {}, secret="482913")
    session.commit()
    assert len(told_of(first, third)) > 3

    sign_in(alice.client, alice.user)  # a change of the address signs out other browsers
    assert ask(alice).location == "/account/keep"
    on_the_day(alice)
    send_mails(counter, mail_sink)
    alice.sandbox.flush()  # what Stripe tells of the deletion may come after it, and is taken out within the hour
    removing.forget_late(session)
    session.commit()
    assert told_of(first, third) == []
    assert set(told_of(second)) == {f"users.email: {second}", f"notices.to: {second}"}
    assert other.email == second


def test_an_admin_reads_what_became_of_it_at_every_stage(
    counter: Counter, alice: Shopper, mail_sink: MailSink
) -> None:
    boss = counter.app.test_client()
    sign_in(
        boss, accounts.by_email(db.session(), "admin@example.com") or make_user(db.session(), "x@example.com")
    )

    def page() -> str:
        answer = boss.get(f"/admin/subscribers/{alice.id}")
        assert answer.status_code == 200
        return text_of(answer.text)

    ask(alice)
    assert "Deletion due" in page()
    alice.sandbox.control("trouble", api="error_500", api_path="/v1/customers")
    on_the_day(alice)
    assert "Not deleted yet, because Stripe answered 500" in page()
    alice.sandbox.calm()
    customer = alice.customer
    on_the_day(alice)
    send_mails(counter, mail_sink)
    said = page()
    assert f"deleted-{alice.id}@deleted.invalid" in said
    assert "Account deleted" in said
    assert alice.email not in said
    assert boss.get("/admin/subscribers").status_code == 200
    assert boss.get(f"/admin/subscribers?q={customer}").location.endswith(f"/{alice.id}")


def test_wherever_stripe_falls_silent_nothing_of_mine_is_deleted_and_it_is_gone_on_with_later(
    counter: Counter, sandbox_process: Sandbox
) -> None:
    """From each of its requests on, in turn."""
    with over_a_wire(counter.app, sandbox_process) as wire:
        silent, steps = 0, None
        person = with_a_plan(counter)
        ask(person)
        customer = person.customer
        the_day_comes(person)
        morning = Snapshot(counter.app)
        while steps is None or silent < steps:
            morning.bring_back()
            asked_so_far = len(wire.seen)
            wire.answer = _silent_from(wire, silent)
            removing.delete_due(db.session())
            if steps is None:  # the very first was silent at once: now count them
                assert asked(person).begun_at is None, "nothing was begun, so it can still be taken back"
            row = asked(person)
            if row.done_at is None:
                assert person.user.email == person.email
                assert row.problem, silent
                assert row.next_try_at is not None
            wire.answer = wire.pass_on
            on_the_day(person)
            assert asked(person).done_at is not None, silent
            assert (living(person, customer), is_gone(person, customer)) == ([], True), silent
            steps = steps or len(wire.seen) - asked_so_far - 1
            silent += 1
        assert silent > 8


def _silent_from(wire: Wire, number: int) -> Any:
    left = iter(range(number))

    def answer(sent: Sent) -> Reply | None:
        return wire.pass_on(sent) if next(left, None) is not None else error(503)

    return answer


def test_a_plan_that_appears_while_mine_are_being_ended_is_ended_too(
    counter: Counter, sandbox_process: Sandbox
) -> None:
    """Between the look and the end, and between the last look and the customer's own end."""
    with over_a_wire(counter.app, sandbox_process) as wire:
        for before in ("DELETE /v1/subscriptions/", "DELETE /v1/customers/"):
            person = with_a_plan(counter)
            ask(person)
            customer, new = person.customer, {"items": [{"price": price_of("basic")}]}
            made: list[str] = []

            wanted = {**new, "customer": customer}

            def answer(sent: Sent, before: str = before, wanted: Any = wanted, made: Any = made) -> Any:
                if f"{sent.method} {sent.path}".startswith(before) and not made:
                    made.append(sandbox_process.stripe.subscriptions.create(wanted)["id"])
                return wire.pass_on(sent)

            wire.answer = answer
            assert on_the_day(person).done_at is not None
            assert len(made) == 1
            assert (living(person, customer), is_gone(person, customer)) == ([], True)


def test_somebody_whose_customer_stripe_does_not_know_is_not_deleted_and_an_admin_looks(
    counter: Counter, mail_sink: MailSink
) -> None:
    """A wrong key must not pass for an ended plan. The person is told once, the admins after a day, a light is red."""
    person = with_a_plan(counter)
    customer = person.customer
    ask(person)
    send_mails(counter, mail_sink)
    db.session.execute(update(User).where(User.id == person.id).values(stripe_customer_id="cus_elsewhere"))
    db.session.commit()
    waits = []
    for late in (60, 2 * HOUR, 3 * HOUR, 25 * HOUR, 26 * HOUR):
        row = on_the_day(person, late)
        waits.append(row.next_try_at - now() if row.next_try_at else timedelta(0))
        send_mails(counter, mail_sink)
        told = ["Your Dunlin account isn’t deleted yet"] if late == 2 * HOUR else []
        assert subjects(mail_sink, person.email) == told, late
        assert lights.conditions(db.session())["deletions stuck"] is (late > DAY)
        alarmed = count(AuditEntry, kind="user.deletion_stuck", user_id=person.id, alert=True)
        assert alarmed == (late > DAY)
    assert waits == sorted(waits), "ever later"
    assert person.user.email == person.email
    db.session.execute(update(User).where(User.id == person.id).values(stripe_customer_id=customer))
    db.session.commit()
    assert on_the_day(person).done_at is not None
    assert lights.conditions(db.session())["deletions stuck"] is False


def test_two_clocks_delete_me_once(counter: Counter, alice: Shopper, mail_sink: MailSink) -> None:
    customer = alice.customer
    ask(alice)
    the_day_comes(alice)
    start = threading.Barrier(2)

    def turn() -> None:
        with counter.app.app_context():
            start.wait(30)
            removing.delete_due(db.session())
            db.session.remove()

    clocks = [threading.Thread(target=turn) for _ in range(2)]
    for one in clocks:
        one.start()
    for one in clocks:
        one.join()
    assert asked(alice).done_at is not None
    assert count(AuditEntry, kind="user.deleted", user_id=alice.id) == 1
    assert count(Notice, kind="deleted", user_id=alice.id) == 1
    assert deletes(alice, customer) == 1


def deletes(person: Shopper, customer: str) -> int:
    """How often Stripe deleted the customer."""
    return sum(
        one["method"] == "DELETE" and one["path"].endswith(customer) and one["status"] == 200
        for one in person.sandbox.look("requests?limit=500")["requests"]
    )


def test_keeping_it_at_the_last_moment_keeps_it_whole_or_comes_too_late_and_nothing_between(
    counter: Counter, sandbox_process: Sandbox
) -> None:
    """Before each request of the day the person presses *Keep my account*, in another browser."""
    ends = set()
    with over_a_wire(counter.app, sandbox_process) as wire:
        for number in (1, 2, 3, 4, 6):
            person = with_a_plan(counter)
            customer, status = person.customer, []
            ask(person)
            person._csrf = csrf_of(person.client, "/account/keep")
            the_day_comes(person)
            left = iter(range(number - 1))

            def answer(sent: Sent, left: Any = left, status: Any = status, person: Shopper = person) -> Any:
                if next(left, None) is None and not status:
                    status.append(0)
                    press = threading.Thread(target=_keep, args=(person, status))
                    press.start()
                    press.join()
                return wire.pass_on(sent)

            wire.answer = answer
            removing.delete_due(db.session())
            wire.answer = wire.pass_on
            kept, row = status[-1] == 303, asked(person)
            assert (row.undone_at is None, row.done_at is None) == ((False, True) if kept else (True, False))
            assert is_gone(person, customer) is not kept
            assert living(person, customer) == (["active"] if kept else [])
            assert (person.user.email == person.email) is kept
            ends.add(kept)
    assert ends == {True, False}


def _keep(person: Shopper, status: list[int]) -> None:
    status.append(person.post("/account/keep").status_code)


def test_an_order_that_was_left_open_can_not_be_paid_after_i_am_gone(counter: Counter) -> None:
    person = counter.newcomer()
    session_id = person.order()
    customer = person.customer
    ask(person)
    assert person.sandbox.stripe.checkout.sessions.retrieve(session_id)["status"] == "expired"
    late = person.sandbox.stripe.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer,
            "line_items": [{"price": price_of("pro"), "quantity": 1}],
            "success_url": "http://127.0.0.1:9/ok",
        }
    )["id"]
    assert on_the_day(person).done_at is not None
    assert person.sandbox.stripe.checkout.sessions.retrieve(late)["status"] == "expired"
    assert is_gone(person, customer)


def test_killed_between_any_two_steps_i_am_deleted_once_and_charged_no_more(
    counter: Counter, mail_sink: MailSink, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Before each commit, request and whatever else leaves a process, by SIGKILL; whoever comes next goes on."""
    config = config_of(counter.app)
    with nursery(tmp_path_factory.mktemp("nursery") / "log") as children:
        person = with_a_plan(counter)
        customer, address = person.customer, person.email
        ask(person)
        send_mails(counter, mail_sink)
        the_day_comes(person)
        morning = Snapshot(counter.app)

        def life(at: int | None) -> list[str]:
            morning.bring_back()
            lived = children.run(config, "remove", {}, at)
            assert lived.killed is (at not in (None, NEVER))
            row = asked(person)
            assert (row.done_at is None) is (person.user.email == address), "half of me is left"
            if row.done_at is None:
                assert ask_for_the_rest(person), at
            assert (living(person, customer), is_gone(person, customer)) == ([], True), at
            assert deletes(person, customer) == 1, at
            send_mails(counter, mail_sink)
            assert subjects(mail_sink, address) == ["Your Dunlin account was deleted"], at
            return lived.passed

        life(None)  # the nursery's own, in which everything is loaded
        passed = life(NEVER)
        assert passed.count("before a request to Stripe") == 2, "the plan's end, and the customer's"
        assert len(passed) > 8
        for at in range(len(passed)):
            life(at)


def ask_for_the_rest(person: Shopper) -> bool:
    """The next turn of the clock, when whatever the dead held is over."""
    writes_age(LEASE_OVER)
    later(removing.LEASE_SECONDS + 1)
    return on_the_day(person).done_at is not None
