"""What follows a charge: refunds, disputes and early fraud warnings."""

from __future__ import annotations

from typing import Any

from sandbox import cards, clock, ids
from sandbox.errors import request_error
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import aftermath as shapes
from sandbox.objects.charge import balance_transaction

Json = dict[str, Any]

DISPUTE_FEE = 1500
REFUND_SETTLES = 86400  # ours: how long a pending or failing refund takes


def follow(charge: Json, card: cards.TestCard, authenticated: bool) -> None:
    """Do what this test card promises after a successful charge."""
    if card.after == "fraud_warning":
        warning = shapes.early_fraud_warning(charge["created"], charge)
        db().put(warning)
        emit("radar.early_fraud_warning.created", warning)
    elif card.after == "inquiry":
        dispute(charge, "general", "warning_needs_response")
    elif card.after and not authenticated:  # 3D Secure moves the liability to the bank
        dispute(charge, card.after.removeprefix("dispute:"), "needs_response")


def dispute(charge: Json, reason: str, status: str) -> Json:
    """The cardholder complains. An inquiry (`warning_*`) moves no money."""
    now = clock.now(charge["customer"])
    inquiry = status.startswith("warning")
    balance = [] if inquiry else [_entry("adjustment", charge, -charge["amount"], now, DISPUTE_FEE)]
    made = db().put(shapes.dispute(now, charge, status, reason, balance))
    change(charge, None, disputed=True)
    emit("charge.dispute.created", made)
    if not inquiry:
        emit("charge.dispute.funds_withdrawn", made)
    for warning in db().all("radar.early_fraud_warning", charge=charge["id"]):
        change(warning, "radar.early_fraud_warning.updated", actionable=False)
    return made


def give_evidence(made: Json, evidence: Json, submit: bool) -> Json:
    """Keep evidence; `winning_evidence` or `losing_evidence` in uncategorized_text decides at once."""
    before = made["status"]
    made["evidence"] = made["evidence"] | evidence
    made["evidence_details"]["has_evidence"] = True
    if submit:
        made["evidence_details"]["submission_count"] += 1
        made["evidence_details"]["submission_method"] = "manual"
        made["status"] = "warning_under_review" if before.startswith("warning") else "under_review"
    change(made, "charge.dispute.updated")
    words = made["evidence"]["uncategorized_text"]
    if submit and words in ("winning_evidence", "losing_evidence"):
        _close(made, "won" if words == "winning_evidence" else "lost")
    return made


def accept_loss(made: Json) -> Json:
    if made["status"] not in ("needs_response", "warning_needs_response"):
        raise request_error("This dispute is already closed.", "status_transition_invalid")
    return _close(made, "warning_closed" if made["status"].startswith("warning") else "lost")


def _close(made: Json, status: str) -> Json:
    if made["status"].startswith("warning"):
        status = "warning_closed"
    if status == "won":
        charge = db().get("charge", made["charge"])
        now = clock.now(charge["customer"])
        made["balance_transactions"].append(_entry("adjustment", charge, charge["amount"], now, 0))
    change(made, "charge.dispute.closed", status=status)
    if status == "won":
        emit("charge.dispute.funds_reinstated", made)
    return made


def refund(charge: Json, amount: int, given: Json) -> Json:
    """Give back `amount` minor units, as the card settles it: at once, later, or not at all."""
    left = charge["amount"] - charge["amount_refunded"]
    if charge["disputed"] and not _refundable(charge):
        raise request_error(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge_disputed"
        )
    if left <= 0:
        raise request_error(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
    if amount > left:
        raise request_error(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    now = clock.now(charge["customer"])
    made = shapes.refund(now, charge, amount, given)
    kind = _card_of(charge).refund
    if kind == "pending":
        made |= {"status": "pending", "pending_reason": "processing"}
    if kind != "succeeds":
        made["_settles_at"] = now + REFUND_SETTLES
    made["balance_transaction"] = _entry("refund", charge, -amount, now, 0, made["id"])["id"]
    db().put(made)
    emit("refund.created", made)
    _take_back(charge, amount)
    return made


def settle_refund(refund_id: str) -> None:
    """The bank's late answer to a refund: it arrives, or it fails and the charge is whole again."""
    made = db().get("refund", refund_id)
    made["_settles_at"] = None
    if _card_of(db().get("charge", made["charge"])).refund == "pending":
        made.pop("pending_reason", None)
        change(made, "refund.updated", status="succeeded")
        return
    charge = db().get("charge", made["charge"])
    now = clock.now(charge["customer"])
    entry = _entry("refund", charge, made["amount"], now, 0, made["id"])
    change(
        made, "refund.updated",
        status="failed", failure_reason="unknown", failure_balance_transaction=entry["id"],
    )  # fmt: skip
    emit("refund.failed", made)
    change(
        charge, "charge.updated", amount_refunded=charge["amount_refunded"] - made["amount"], refunded=False
    )


def _take_back(charge: Json, amount: int) -> None:
    total = charge["amount_refunded"] + amount
    full = total == charge["amount"]
    receipt = f"{house().base_url}/receipts/{ids.random_text(40)}"
    change(charge, "charge.refunded", amount_refunded=total, refunded=full, receipt_url=receipt)
    if full:
        for warning in db().all("radar.early_fraud_warning", charge=charge["id"]):
            change(warning, "radar.early_fraud_warning.updated", actionable=False)


def _refundable(charge: Json) -> bool:
    return all(each["is_charge_refundable"] for each in db().all("dispute", charge=charge["id"]))


def _card_of(charge: Json) -> cards.TestCard:
    return cards.known(db().get("payment_method", charge["payment_method"])["_number"])


def _entry(kind: str, charge: Json, amount: int, now: int, fee: int, source: str | None = None) -> Json:
    return db().put(balance_transaction(now, kind, source or charge["id"], amount, charge["currency"], fee))
