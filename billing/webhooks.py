"""Step 1 of 5: verify, record, ring the bell, answer.

An event is answered 2xx only after its row is committed. A request that is not Stripe's gets one constant
400 and leaves nothing. Where the row can't be committed the answer is 503, and Stripe sends it again.
"""

from __future__ import annotations

import logging

from flask import Blueprint, Response, current_app, jsonify, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from billing import inbox, queues, running, stripe_client
from billing.access import public
from billing.config import Config
from billing.errors import BadEvent
from billing.extensions import csrf, db
from billing.jobs import HANDLERS

log = logging.getLogger(__name__)
bp = Blueprint("webhooks", __name__)


@bp.post("/webhooks/stripe")
@public
@csrf.exempt
def receive() -> tuple[Response, int]:
    """Take one delivery. No session, cookie or sign-in is read here: the signature is the only key."""
    config = running.config()
    try:
        body = _body()
        event = _verified(body, config)
    except RequestEntityTooLarge:
        return jsonify(error="body too large"), 413
    except BadEvent as problem:
        log.warning(
            "webhook refused",
            extra={
                "reason": problem.reason,
                "length": request.content_length,
                "address": request.remote_addr,
            },
        )
        return jsonify(error="not a Stripe event for this endpoint"), 400
    try:
        _record(event, body)
    except SQLAlchemyError as problem:
        log.error("event not stored", extra={"event": event["id"], "reason": type(problem).__name__})
        return jsonify(error="not stored, send it again"), 503
    return jsonify(received=True), 200


def _body() -> bytes:
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


def _verified(body: bytes, config: Config) -> dict[str, object]:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise BadEvent("content encoding")
    stripe_client.verify(body, request.headers.get("Stripe-Signature", ""), config.stripe_webhook_secrets)
    event = inbox.parse(body)
    inbox.check_ours(event, livemode=config.livemode, account=config.stripe_account)
    return event


def _record(event: dict[str, object], body: bytes) -> None:
    """One durable insert on the intake's own small pool, which the pages can't starve; then the bell."""
    handled = event["type"] in HANDLERS and not inbox.is_ours(str(event["type"]))
    with db.engines["intake"].connect() as connection:
        new = inbox.store(connection, event, body.decode("utf-8"), source="webhook", handled=handled)
    if event.get("api_version") != stripe_client.API_VERSION:
        log.warning(
            "event of another API version", extra={"event": event["id"], "version": event.get("api_version")}
        )
    if new and handled:
        queues.ring()
