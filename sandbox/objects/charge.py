"""charge and its balance_transaction."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def charge(created: int, intent: Json, method: Json, decline: Json | None, base_url: str) -> Json:
    """One attempt to collect. `decline` holds code, decline_code and message, or is None for success."""
    id_ = ids.payment("ch", ids.stem_of(intent["id"]))
    paid = decline is None
    return {
        "id": id_,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "DUNLIN",
        "captured": paid,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline["code"] if decline else None,
        "failure_message": decline["message"] if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": _card(method, intent["amount"]), "type": "card"},
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{base_url}/receipts/{ids.random_text(40)}" if paid else None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }


def balance_transaction(
    created: int, kind: str, source: str, amount: int, currency: str, fee: int = 0
) -> Json:
    """`kind` is charge, refund or adjustment; amounts in minor units, negative when money leaves."""
    category = {"adjustment": "dispute"}.get(kind, kind)
    return {
        "id": ids.payment("txn", ids.stem_of(source)),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created + 2 * 86400,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [_fee(fee, currency)] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "pending",
        "type": kind,
    }


def _fee(amount: int, currency: str) -> Json:
    return {
        "amount": amount,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }


def _outcome(decline: Json | None) -> Json:
    blocked = decline is not None and bool(decline.get("blocked"))
    risk = decline["risk"] if decline and decline.get("risk") else "normal"
    declined_words = (
        "Stripe blocked this payment." if blocked else "The bank did not return any further details."
    )
    kind = "authorized" if decline is None else "blocked" if blocked else "issuer_declined"
    statuses = {"authorized": "approved_by_network", "blocked": "not_sent_to_network"}
    return {
        "advice_code": decline.get("advice_code") if decline else None,
        "network_advice_code": None,
        "network_decline_code": decline.get("network_decline_code") if decline else None,
        "network_status": statuses.get(kind, "declined_by_network"),
        "reason": (decline["decline_code"] or decline["code"]) if decline else None,
        "risk_level": risk,
        "risk_score": {"normal": 20, "elevated": 70, "highest": 90}[risk],
        "seller_message": "Payment complete." if decline is None else declined_words,
        "type": kind,
    }


def _card(method: Json, amount: int) -> Json:
    card = method["card"]
    return {
        "amount_authorized": amount,
        "authorization_code": None,
        "brand": card["brand"],
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
        "three_d_secure": _three_d_secure() if method.get("_authenticated") else None,
        "transaction_link_id": None,
        "wallet": None,
    }


def _three_d_secure() -> Json:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": ids.random_text(36),
        "version": "2.2.0",
    }
