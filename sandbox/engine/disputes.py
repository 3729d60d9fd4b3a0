"""Disputes: opened by a test card, answered with evidence, decided, or lost because nobody answered."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import account_balance, subscriptions
from sandbox.errors import request_error
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import aftermath as shapes

Json = dict[str, Any]

OPEN = frozenset({"needs_response", "warning_needs_response"})
EVIDENCE_LIMIT = 150_000
WORDS = ("winning_evidence", "losing_evidence", "escalate_inquiry_evidence")


def begin(charge: Json, reason: str, amount: int, eligible: str | None = None) -> Json:
    """The bank takes `amount` minor units back. `eligible` is an enhanced way to answer, as Visa has two."""
    made = _open(charge, "needs_response", reason, amount, eligible)
    emit("charge.dispute.created", made)
    _withdraw(made, charge)
    return made


def inquire(charge: Json) -> Json:
    """The bank asks first and takes no money yet."""
    made = _open(charge, "warning_needs_response", "general", charge["amount_captured"], None)
    emit("charge.dispute.created", made)
    return made


def _open(charge: Json, status: str, reason: str, amount: int, eligible: str | None) -> Json:
    now = clock.now(charge["customer"])
    made = shapes.dispute(now, charge, status, reason, amount, eligible)
    if house().settings()["dispute_cancels"] == "on":
        made["_cancels_at"] = now
    db().put(made)
    change(charge, None, disputed=True)
    mute_warnings(charge)
    return made


def _withdraw(made: Json, charge: Json) -> None:
    fee = account_balance.DISPUTE_FEE
    entry = account_balance.debit("adjustment", made["id"], charge, -made["amount"], fee)
    change(made, None, balance_transactions=[*made["balance_transactions"], _plain(entry)])
    emit("charge.dispute.funds_withdrawn", made)


def mute_warnings(charge: Json) -> None:
    """An early fraud warning is no longer actionable once its charge is disputed or refunded."""
    for warning in db().all("radar.early_fraud_warning", charge=charge["id"]):
        change(warning, "radar.early_fraud_warning.updated", actionable=False)


def give_evidence(made: Json, evidence: Json, submit: bool) -> Json:
    """Keep evidence; the test words in uncategorized_text decide at once where it is submitted."""
    if made["status"] not in OPEN:
        raise request_error("This dispute is already closed.", "status_transition_invalid")
    length = sum(len(text or "") for text in (made["evidence"] | evidence).values() if isinstance(text, str))
    if length > EVIDENCE_LIMIT:
        raise request_error(
            f"The evidence has {length} characters; all its texts together may have {EVIDENCE_LIMIT}.",
            param="evidence",
        )

    def edit(obj: Json) -> None:
        obj["evidence"] |= evidence
        obj["evidence_details"]["has_evidence"] = any(
            isinstance(each, str) and each for each in obj["evidence"].values()
        )
        if submit:
            obj["evidence_details"]["submission_count"] += 1
            obj["evidence_details"]["submission_method"] = "manual"
            inquiry = obj["status"] == "warning_needs_response"
            obj["status"] = "warning_under_review" if inquiry else "under_review"

    change(made, "charge.dispute.updated", edit)
    if submit:
        _decide(made)
    return made


def _decide(made: Json) -> None:
    words = made["evidence"]["uncategorized_text"]
    if words == "winning_evidence":
        close(made, "won")
    elif words == "losing_evidence":
        close(made, "lost")
    elif words == "escalate_inquiry_evidence" and made["status"] == "warning_under_review":
        _escalate(made)


def _escalate(made: Json) -> None:
    """The inquiry becomes a dispute that wants an answer of its own."""

    def edit(obj: Json) -> None:
        obj.update(status="needs_response", is_charge_refundable=False)
        obj["payment_method_details"]["card"]["case_type"] = "chargeback"
        obj["evidence_details"]["due_by"] = clock.now(obj["_customer"]) + shapes.ANSWER_SECONDS

    change(made, "charge.dispute.updated", edit)
    _withdraw(made, db().get("charge", made["charge"]))


def close(made: Json, status: str) -> Json:
    """Decide it: `won` brings the money back. An inquiry is closed either way."""
    if made["status"].startswith("warning"):
        status = "warning_closed"
    change(made, "charge.dispute.closed", status=status)
    if status == "won":
        charge = db().get("charge", made["charge"])
        entry = account_balance.debit("adjustment", made["id"], charge, made["amount"])
        change(made, None, balance_transactions=[*made["balance_transactions"], _plain(entry)])
        emit("charge.dispute.funds_reinstated", made)
    return made


def accept_loss(made: Json) -> Json:
    if made["status"] not in OPEN:
        raise request_error("This dispute is already closed.", "status_transition_invalid")
    return close(made, "lost")


def overdue(dispute_id: str) -> None:
    """Nobody answered in time."""
    made = db().get("dispute", dispute_id)
    made["evidence_details"]["past_due"] = True
    close(made, "lost")


def cancel_subscription(dispute_id: str) -> None:
    """Where the account wants it: end the subscription whose payment is disputed."""
    made = db().put(db().get("dispute", dispute_id) | {"_cancels_at": None})
    for payment in db().all("invoice_payment", payment__payment_intent=made["payment_intent"]):
        invoice = db().get("invoice", payment["invoice"])
        details = (invoice["parent"] or {}).get("subscription_details") or {}
        sub = db().find("subscription", details.get("subscription"))
        if sub is not None and sub["status"] not in subscriptions.ENDED:
            subscriptions.end_for(sub, "payment_disputed")


def _plain(entry: Json) -> Json:
    return {key: value for key, value in entry.items() if not key.startswith("_")}
