"""What a charge says of its payment method and of the bank's answer."""

from __future__ import annotations

from datetime import UTC, datetime

from sandbox import ids
from sandbox.objects.parts import Json

AUTHORIZATION_DAYS = 7
DEBIT_DAYS = 5  # until a bank debit is collected, as its expected date says


def details(created: int, method: Json, amount: int, held: bool) -> Json:
    """payment_method_details. `held` is an authorisation that waits for its capture."""
    kind = method["type"]
    if kind == "card":
        return {"card": _card(created, method, amount, held), "type": "card"}
    if kind == "customer_balance":
        return {kind: {}, "type": kind}
    expected = datetime.fromtimestamp(created + DEBIT_DAYS * 86400, UTC).date().isoformat()
    own = {key: value for key, value in method[kind].items() if key in DEBIT[kind]}
    return {
        kind: own | {"expected_debit_date": expected, "mandate": method.get("_mandate")} | MORE[kind],
        "type": kind,
    }


DEBIT = {
    "sepa_debit": ("bank_code", "branch_code", "country", "fingerprint", "last4"),
    "us_bank_account": (
        "account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number",
    ),
}  # fmt: skip
MORE: dict[str, Json] = {"sepa_debit": {}, "us_bank_account": {"payment_reference": None}}


def outcome(method: Json, decline: Json | None) -> Json:
    """What the bank or Radar said of the attempt."""
    blocked = decline is not None and bool(decline.get("blocked"))
    risk = (decline or {}).get("risk") or method.get("_risk", "normal")
    declined_words = (
        "Stripe blocked this payment." if blocked else "The bank did not return any further details."
    )
    kind = "authorized" if decline is None else "blocked" if blocked else "issuer_declined"
    statuses = {"authorized": "approved_by_network", "blocked": "not_sent_to_network"}
    scores = {"normal": 20, "elevated": 70, "highest": 90}
    score: Json = {"risk_score": scores[risk]} if risk in scores else {}
    return {
        "advice_code": decline.get("advice_code") if decline else None,
        "network_advice_code": None,
        "network_decline_code": decline.get("network_decline_code") if decline else None,
        "network_status": statuses.get(kind, "declined_by_network"),
        "reason": _reason(decline, risk),
        "risk_level": risk,
        **score,
        "seller_message": "Payment complete." if decline is None else declined_words,
        "type": kind,
    }


def _reason(decline: Json | None, risk: str) -> str | None:
    if decline is not None:
        return str(decline["decline_code"] or decline["code"])
    return "elevated_risk_level" if risk == "elevated" else None


def _card(created: int, method: Json, amount: int, held: bool) -> Json:
    card = method["card"]
    until: Json = {"capture_before": created + AUTHORIZATION_DAYS * 86400} if held else {}
    return {
        "amount_authorized": amount,
        "authorization_code": None,
        "brand": card["brand"],
        **until,
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": ids.random_text(15).upper(),
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": three_d_secure(method["_flow"]) if method.get("_flow") else None,
        "transaction_link_id": None,
        "wallet": None,
    }


def three_d_secure(flow: str) -> Json:
    """`flow` is challenge or frictionless."""
    return {
        "authentication_flow": flow,
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": ids.random_text(36),
        "version": "2.2.0",
    }
