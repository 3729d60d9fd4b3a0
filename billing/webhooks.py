"""Step 1 of 5: verify, record, ring the bell, answer.

An event is answered 2xx only after its row is committed. A request that is not Stripe's gets one constant
400 and leaves nothing. Where the row can't be committed the answer is 503, and Stripe sends it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from flask import Blueprint, Response, current_app, jsonify, request
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from billing import diagnosis, inbox, queues, refusals, running, signing, stripe_client
from billing.access import public
from billing.clock import now
from billing.config import Config
from billing.errors import BadEvent, BadSignature, ForeignEvent
from billing.extensions import INTAKE_CONNECTIONS, csrf, db
from billing.hands import Groups, Hands
from billing.inbox import Arrived
from billing.jobs import HANDLERS

log = logging.getLogger(__name__)
bp = Blueprint("webhooks", __name__)
T = TypeVar("T")
Said = dict[str, str | bool]
PATH = "/webhooks/stripe"
ANSWER_WITHIN = 4.5
MOST_TOGETHER = 50
_hands = Hands(INTAKE_CONNECTIONS, "intake")


@bp.post(PATH)
@public
@csrf.exempt
def receive() -> tuple[Response, int]:
    """Take one delivery that came as a page's request does; every other one is taken before (``front``)."""
    said, status = take(request)
    return jsonify(**said), status


def take(request: Request) -> tuple[Said, int]:
    """Take one delivery: what to say of it, and the status. No session, cookie or sign-in is read here: the signature
    is the only key. Needs an application context."""
    config = running.config()
    try:
        body = _body(request)
        event = _verified(request, body, config)
    except RequestEntityTooLarge:
        return {"error": "body too large"}, 413
    except BadEvent as problem:
        _refused(request, problem)
        return {"error": "not a Stripe event for this endpoint"}, 400
    try:
        _record(event, body)
    except (SQLAlchemyError, TimeoutError) as problem:
        log.error("event not stored", extra={"event": event["id"], "reason": type(problem).__name__})
        return {"error": "not stored, send it again"}, 503
    return {"received": True}, 200


def _body(request: Request) -> bytes:
    """The exact bytes. A body of unstated length is silently cut off at the limit by Werkzeug: one byte more
    is let in, and gives it away."""
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    if request.content_length is None:
        request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise
    except Exception as problem:  # a body that breaks HTTP's rules; what it raises is the server's choice
        raise BadEvent("unreadable body") from problem
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _verified(request: Request, body: bytes, config: Config) -> dict[str, object]:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise BadEvent("content encoding")
    header = request.headers.get("Stripe-Signature", "")
    try:
        stripe_client.verify(body, header, signing.usable(config.stripe_webhook_secrets, now()))
    except BadSignature as problem:
        raise BadSignature(_case(body, header, config)) from problem
    event = inbox.parse(body)
    inbox.check_ours(event, livemode=config.livemode, account=config.stripe_account)
    return event


def _case(body: bytes, header: str, config: Config) -> str:
    """What an operator should hear of it. Nothing is looked into once there are many: they may be meant to cost us."""
    if refusals.many():
        return diagnosis.UNKNOWN
    return diagnosis.case(body, header, config.stripe_webhook_secrets, now())


def _refused(request: Request, problem: BadEvent) -> None:
    """Say so, and count what an operator must see: never the body, and no row of a stranger's."""
    about = {"reason": problem.reason, "length": request.content_length, "address": request.remote_addr}
    if isinstance(problem, ForeignEvent):
        log.error("event not ours", extra=about)
    else:
        log.warning("webhook refused", extra=about)
    if isinstance(problem, BadSignature):
        refusals.note(problem.reason)
    if problem.reason not in refusals.PROVEN:
        return
    try:
        _in_time(_count, problem.reason)
    except (SQLAlchemyError, TimeoutError) as trouble:
        log.error("refusal not counted", extra={"reason": type(trouble).__name__})


def _count(engine: Engine, case: str) -> None:
    with Session(engine) as session:
        refusals.note_proven(session, case)


class _Stored(NamedTuple):
    """What became of one event: whether it is new, and whether its request rings for the whole group."""

    new: bool
    rings: bool


def _store(engine: Engine, arrived: Sequence[Arrived]) -> list[_Stored]:
    """Insert all that wait with one durable commit. One bell is enough for them."""
    with engine.connect() as connection:
        new = inbox.store_all(connection, arrived, source="webhook")
    due = [is_new and one.handled for is_new, one in zip(new, arrived, strict=True)]
    first = due.index(True) if any(due) else None
    return [_Stored(is_new, number == first) for number, is_new in enumerate(new)]


_groups = Groups(_hands, _store, MOST_TOGETHER)


def _record(event: dict[str, object], body: bytes) -> None:
    """One durable insert, then the bell. Raises SQLAlchemyError or TimeoutError where it can't be relied on.

    What waits at the same time shares the insert: the commit is what costs. Nobody is answered before it.
    """
    handled = event["type"] in HANDLERS and not inbox.is_ours(str(event["type"]))
    arrived = Arrived(event, body.decode("utf-8"), handled)
    stored = _groups.within(ANSWER_WITHIN, db.engines["intake"], arrived)
    if event.get("api_version") != stripe_client.API_VERSION:
        log.warning(
            "event of another API version", extra={"event": event["id"], "version": event.get("api_version")}
        )
    if stored.rings:
        queues.ring_soon()


def _in_time(work: Callable[..., T], *more: object) -> T:
    """Do it on the intake's own small pool. Raises TimeoutError after 4.5 seconds, whatever holds it up.

    The waits for a connection, a lock and a statement could add up beyond what we promise, and none of them
    notices a server that hangs. What was given up may still be committed: then the redelivery finds its row.
    """
    return _hands.within(ANSWER_WITHIN, work, db.engines["intake"], *more)
