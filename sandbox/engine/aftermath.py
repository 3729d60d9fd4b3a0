"""What a test card promises to follow a successful charge, and early fraud warnings."""

from __future__ import annotations

from typing import Any

from sandbox import cards
from sandbox.engine import disputes
from sandbox.events import emit
from sandbox.house import db
from sandbox.objects import aftermath as shapes

Json = dict[str, Any]


def follow(charge: Json, card: cards.TestCard, authenticated: bool) -> None:
    """Warn, inquire or dispute as the card says; 3D Secure moves the liability for disputes to the bank."""
    amount = charge["amount_captured"]
    if card.after == "fraud_warning":
        warning = db().put(shapes.early_fraud_warning(charge["created"], charge))
        emit("radar.early_fraud_warning.created", warning)
    elif card.after == "inquiry":
        disputes.inquire(charge)
    elif card.after is None or authenticated:
        return
    elif card.after == "disputes":  # twice, each time for half of it
        disputes.begin(charge, "fraudulent", amount - amount // 2)
        disputes.begin(charge, "fraudulent", amount // 2)
    elif card.after == "ce3":
        disputes.begin(charge, "fraudulent", amount, "visa_compelling_evidence_3")
    elif card.after == "compliance":
        disputes.begin(charge, "noncompliant", amount, "visa_compliance")
    else:
        disputes.begin(charge, card.after.removeprefix("dispute:"), amount)
