"""Every operation of the write registry meets every trouble that Stripe can make: one end, and never done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import stripe
from flask import Flask
from sqlalchemy import select

from billing import installation, stripe_client
from billing.errors import StripeError, WriteUnknown
from billing.extensions import db
from billing.models import AuditEntry, CheckoutSession
from billing.stripe_client import OPERATIONS
from local.mailsink import MailSink
from tests import oracles
from tests.conftest import dispose, make_app, make_config
from tests.draining import drain
from tests.registry import LEASE_OVER, ask_at, over_a_wire, perform, row_of, sweep, time_passes
from tests.scene import AtDesk
from tests.support import Databases, Sandbox, wait_until
from tests.wire import Reply, Sent, Wire, cut, error
from tests.wishes import Wanted, Wishes

# Nobody waits that long here: the waits are shorter than in production, nothing else.
IMPATIENT = (3, 0.05)
NOBODY = "http://127.0.0.1:1"
NO_NAME = "http://nobody.invalid:1"


@dataclass
class Stage:
    """The application, the wire to the sandbox, and what a trouble needs to begin and to end."""

    app: Flask
    wire: Wire
    sandbox: Sandbox
    wishes: Wishes
    over: threading.Event = field(default_factory=threading.Event)
    held: int = 0

    def writes(self, answer: Callable[[Sent], Reply | None]) -> None:
        """Writes are answered so; what only reads passes."""
        self.wire.answer = lambda sent: self.wire.pass_on(sent) if sent.method == "GET" else answer(sent)

    def everything(self, answer: Callable[[Sent], Reply | None]) -> None:
        self.wire.answer = answer

    def hold(self, then: Callable[[Sent], Reply | None], *, first: Any = None) -> None:
        """No answer while the trouble lasts, to somebody impatient."""
        ask_at(self.app, self.wire)

        def wait(sent: Sent) -> Reply | None:
            self.held += 1
            if first is not None:
                first(sent)
            self.over.wait(60)
            answer = then(sent)
            self.held -= 1
            return answer

        self.writes(wait)

    def quiet(self) -> None:
        """No trouble any more, and nothing of it under way."""
        self.over.set()
        wait_until(lambda: self.held == 0, "what was held to be answered")
        self.sandbox.calm()
        self.wire.answer = self.wire.pass_on


@pytest.fixture(scope="module")
def module_app(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Flask]:
    """One application for all: a database of its own for each of two hundred tests would take minutes."""
    with databases.copy_of("dunlin_template") as url:
        config = make_config(url, smtp_port=mail_sink.port)
        application = make_app(config)
        with application.app_context():
            installation.record(db.session(), config, "acct_tests")
            db.session.commit()
            application.extensions["sandbox"] = sandbox_process
            yield application
            db.session.remove()
            dispose()


@pytest.fixture(scope="module")
def scene(module_app: Flask, mail_sink: MailSink) -> AtDesk:
    return AtDesk(module_app, mail_sink)


@pytest.fixture(scope="module")
def wishes(module_app: Flask, scene: AtDesk, sandbox_process: Sandbox) -> Wishes:
    return Wishes(module_app, sandbox_process)


@pytest.fixture
def stage(
    module_app: Flask, sandbox_process: Sandbox, wishes: Wishes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr(stripe_client, "PAUSES", (0.01, 0.01))
    with over_a_wire(module_app, sandbox_process) as wire:
        yield Stage(module_app, wire, sandbox_process, wishes)
        db.session.rollback()


def is_at(stage: Stage, url: str) -> None:
    """Stripe can't be reached at this address."""
    stage.app.extensions["stripe"] = stripe_client.connect(make_config("postgresql://x/y", api_base=url))


def half(stage: Stage) -> Callable[[Sent], Reply]:
    """Stripe does it, and half of its answer arrives."""

    def answer(sent: Sent) -> Reply:
        found = stage.wire.pass_on(sent)
        assert found is not None
        return Reply(found.status, found.body[: len(found.body) // 2], found.headers)

    return answer


def a_page(stage: Stage, *, done: bool) -> Callable[[Sent], Reply]:
    """A proxy answers 200 with a page of its own."""

    def answer(sent: Sent) -> Reply:
        if done:
            stage.wire.pass_on(sent)
        return Reply(200, b"<html>Welcome")

    return answer


def kept_500(stage: Stage) -> None:
    """Stripe did nothing, keeps its 500, and repeats it for as long as the key is sent."""
    keys: set[str] = set()

    def answer(sent: Sent) -> Reply | None:
        if sent.key is None or sent.method == "GET" or (stage.over.is_set() and sent.key not in keys):
            return real(sent)
        keys.add(sent.key)
        return error(500)

    real = stage.wire.pass_on
    stage.wire.pass_on = answer  # type: ignore[method-assign]
    stage.wire.answer = answer


Begin = Callable[[Stage], None]
PASSING: dict[str, Begin] = {
    "connection refused": lambda s: is_at(s, NOBODY),
    "no such name": lambda s: is_at(s, NO_NAME),
    "cut before it": lambda s: s.writes(cut),
    "done, answer cut": lambda s: s.writes(s.wire.lose_answer),
    "done, then no answer": lambda s: s.hold(cut, first=s.wire.pass_on),
    "no answer, then cut": lambda s: s.hold(cut),
    "so slow that it is done later": lambda s: s.hold(s.wire.pass_on),
    "429": lambda s: s.sandbox.control("trouble", api="error_429"),
    "409 key in use": lambda s: s.writes(
        lambda sent: error(409, retry=True, code="idempotency_key_in_use", type="idempotency_error")
    ),
    "lock timeout": lambda s: s.writes(lambda sent: error(429, retry=True, code="lock_timeout")),
    "key revoked": lambda s: s.everything(lambda sent: error(401)),
    "key without the right": lambda s: s.writes(lambda sent: error(403, code="more_permissions_required")),
    "done, half an answer": lambda s: s.writes(half(s)),
    "done, a page for an answer": lambda s: s.writes(a_page(s, done=True)),
    "a page for an answer": lambda s: s.writes(a_page(s, done=False)),
    "done, then 500": lambda s: s.sandbox.control("trouble", api="applied_then_500"),
}
NOTHING_DONE: dict[str, Begin] = {
    "500": lambda s: s.writes(lambda sent: error(500)),
    "500 that is kept": kept_500,
    "a page of a proxy with 502": lambda s: s.writes(lambda sent: Reply(502, b"<html>Bad gateway")),
}
# What ``stripe_client`` makes the same error of: two operations show that, the others would show it again.
THE_SAME_TO_US = {
    "no such name", "key without the right", "a page for an answer", "done, half an answer", "lock timeout",
}  # fmt: skip
REFUSING: dict[str, tuple[Any, str, bool]] = {
    "400": (error(400, type="invalid_request_error", code="parameter_unknown"), "failed", False),
    "402": (error(402, type="card_error", code="card_declined", decline_code="lost_card"), "declined", False),
    "3D Secure": (error(402, type="card_error", code="authentication_required"), "declined", False),
    "other parameters": (error(400, type="idempotency_error"), "failed", True),
}
# Not made by another key behind somebody's back: they have another Session by now, or the click is forgotten.
GIVEN_UP = {"checkout.session.create", "billing_portal.session.create", "payment_intent.create"}
# However old the wish is, it is still to be done.
NEVER_TOO_LATE = {"customer.update", "customer.create", "customer.delete", "refund.create"}


# Found by what they were to bring about, as an update of a subscription is: a few troubles show that.
LIKE_AN_UPDATE = {
    "subscription_schedule.create",
    "subscription_schedule.update",
    "subscription_schedule.release",
    "invoice.void",
}
TELLING = {"done, answer cut", "done, then 500", "500 that is kept", "400"}


def cases(troubles: dict[str, Any], same: set[str]) -> list[tuple[str, str]]:
    """Every operation with every trouble, as far as that shows something."""
    few = {"customer.create", "checkout.session.create"}
    return [
        (each, one)
        for each in troubles
        for one in OPERATIONS
        if (one in few or each not in same) and (one not in LIKE_AN_UPDATE or each in TELLING)
    ]


def try_it(wanted: Wanted) -> None:
    with suppress(StripeError, WriteUnknown):
        perform(wanted.request)


def finish() -> None:
    """The completer, until it finds nothing to do."""
    for _ in range(4):
        if not sweep():
            return
    raise AssertionError("the completer never comes to an end")


def assert_no_session_can_be_paid_beside_the_persons_own(stage: Stage, wanted: Wanted) -> None:
    request = wanted.request
    if request.operation != "checkout.session.create":
        return
    listed = {"customer": request.params["customer"], "status": "open", "limit": 100}
    at_stripe = {one["id"] for one in stage.sandbox.stripe.checkout.sessions.list(listed)["data"]}
    db.session.rollback()
    mine = select(CheckoutSession.stripe_id).where(
        CheckoutSession.user_id == request.user_id,
        CheckoutSession.status == "open",
        CheckoutSession.superseded_at.is_(None),
    )
    assert at_stripe == set(db.session.execute(mine).scalars())


@pytest.mark.parametrize(("trouble", "operation"), cases(PASSING, THE_SAME_TO_US))
def test_a_trouble_that_passes_delays_a_write_and_never_drops_or_doubles_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, trouble: str, operation: str
) -> None:
    wanted = stage.wishes.of(operation)
    with monkeypatch.context() as shorter:
        shorter.setattr(stripe_client, "CONNECT_READ_TIMEOUT", IMPATIENT)
        PASSING[trouble](stage)
        try_it(wanted)
        time_passes(LEASE_OVER)
    stage.quiet()
    ask_at(stage.app, stage.wire)
    finish()
    assert (row_of(wanted.request).state, wanted.effects()) == expected_of(operation, trouble)
    assert_no_session_can_be_paid_beside_the_persons_own(stage, wanted)


def expected_of(operation: str, trouble: str) -> tuple[str, int]:
    if operation == "billing_portal.session.create" and trouble == "done, then 500":
        return "failed", 0  # its ledger counts what was answered
    return "done", 1


@pytest.mark.parametrize(("trouble", "operation"), cases(NOTHING_DONE, {"a page of a proxy with 502"}))
def test_a_5xx_is_looked_into_and_the_write_is_made_by_another_key_or_given_up(
    stage: Stage, trouble: str, operation: str
) -> None:
    wanted = stage.wishes.of(operation)
    NOTHING_DONE[trouble](stage)
    try_it(wanted)
    first = row_of(wanted.request).idempotency_key
    time_passes(LEASE_OVER)
    stage.quiet()
    finish()
    row = row_of(wanted.request)
    end = ("failed", 0, first) if operation in GIVEN_UP else ("done", 1, f"{first}#2")
    assert (row.state, wanted.effects(), row.idempotency_key) == end
    assert_no_session_can_be_paid_beside_the_persons_own(stage, wanted)


@pytest.mark.parametrize(("trouble", "operation"), cases(REFUSING, {"3D Secure", "other parameters", "402"}))
def test_a_definite_no_ends_the_write_with_one_request_and_a_misused_key_is_an_alert(
    stage: Stage, trouble: str, operation: str
) -> None:
    wanted, (answer, state, alert) = stage.wishes.of(operation), REFUSING[trouble]
    before = wanted.effects()
    stage.writes(lambda sent: answer)
    try_it(wanted)
    stage.quiet()
    finish()
    assert (row_of(wanted.request).state, wanted.effects(), before) == (state, 0, 0)
    assert len(stage.wire.writes) == 1
    told = select(AuditEntry.alert).where(AuditEntry.subject == wanted.request.name)
    assert list(db.session.execute(told).scalars()) == [alert]
    assert_no_session_can_be_paid_beside_the_persons_own(stage, wanted)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("done", [True, False])
def test_a_day_later_stripe_is_asked_what_became_of_it_and_an_old_key_is_not_sent(
    stage: Stage, operation: str, done: bool
) -> None:
    wanted = stage.wishes.of(operation)
    stage.writes(stage.wire.lose_answer if done else cut)
    try_it(wanted)
    first = row_of(wanted.request).idempotency_key
    stage.everything(cut)
    time_passes(timedelta(hours=25))
    stage.sandbox.control("idempotency/age", seconds=25 * 3600)
    sweep()
    # Stripe can't be asked: unknown, where asking could tell. A portal's link is dead by then, whatever became of it.
    portal = operation == "billing_portal.session.create"
    assert row_of(wanted.request).state == ("failed" if portal else "unknown")
    stage.wire.seen.clear()
    stage.quiet()
    finish()
    late = operation in NEVER_TOO_LATE
    state, key = ("done", first) if done else ("done", f"{first}#2") if late else ("failed", first)
    row = row_of(wanted.request)
    assert (row.state, row.idempotency_key) == (("failed", first) if portal else (state, key))
    assert first not in {sent.key for sent in stage.wire.writes}
    given_up = select(AuditEntry.alert).where(
        AuditEntry.subject == wanted.request.name, AuditEntry.kind == "write.failed"
    )
    alert = operation == "subscription.cancel"  # a second plan goes on and is paid for: an admin must look
    assert list(db.session.execute(given_up).scalars()) == ([alert] if row.state == "failed" else [])
    assert wanted.effects() == (1 if done else int(late))
    assert_no_session_can_be_paid_beside_the_persons_own(stage, wanted)


def test_after_all_of_that_no_write_is_open_and_nothing_was_done_twice(stage: Stage, scene: AtDesk) -> None:
    """All oracles but those that compare our rows with Stripe's objects: nobody told this desk of any."""
    drain(stage.app, delivers=False)
    untold = {oracles.rows_equal_what_stripe_holds, oracles.access_is_what_the_policy_says_of_stripes_objects}
    untold.add(oracles.grants_equal_payments)
    scene.ask([oracle for oracle in oracles.CHEAP if oracle not in untold])
