"""Sessions that nobody completes: closed for good, perhaps with a way to begin again."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids
from sandbox.engine import payments
from sandbox.engine.checkout import sums
from sandbox.events import emit
from sandbox.house import db, house
from sandbox.objects import session as shapes
from sandbox.outcomes import NotFound

Json = dict[str, Any]

RECOVERABLE = 30 * 86400


def expire(session: Json) -> Json:
    """Close an open session for good."""
    intent = db().find("payment_intent", session["_payment_intent"])
    session.update(status="expired", url=None)
    recovery = (session["after_expiration"] or {}).get("recovery") or {}
    if recovery.get("enabled"):
        token = ids.random_text(40)
        db().set_token(token, {"kind": "recovery", "session": session["id"]})
        recovery["url"] = f"{house().base_url}/r/{token}"
        recovery["expires_at"] = clock.now(session["customer"]) + RECOVERABLE
    db().put(session)
    emit("checkout.session.expired", session)
    if intent is not None:
        payments.cancel(intent, "automatic")
    return session


def recover(token: str) -> Json:
    """The open copy of an expired session behind its recovery link; a new one where there is none."""
    known = db().token(token)
    if known is None or known["kind"] != "recovery":
        raise NotFound(token)
    old = sums.find(known["session"])
    recovery = old["after_expiration"]["recovery"]
    now = clock.now(old["customer"])
    if now > recovery["expires_at"]:
        raise NotFound(token)
    for made in db().all("checkout.session", recovered_from=old["id"]):
        if made["status"] == "open":
            return made
    given = old["_given"] | {"expires_at": now + 86400, "recovered_from": old["id"]}
    if recovery["allow_promotion_codes"] and not old["discounts"]:
        given["allow_promotion_codes"] = True
    lines = [line | {"id": ids.dated("li")} for line in old["_line_items"]]
    session = shapes.session(now, given, lines, db().find("customer", old["customer"]))
    session["discounts"] = old["discounts"]
    sums.reckon(session)
    return db().put(session)
