"""payment_intent and setup_intent."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def payment_intent(created: int, amount: int, currency: str, customer: str | None, given: Json) -> Json:
    """A PaymentIntent that waits for a payment method.

    `given` may hold any field of the object; `async` captures later, as Checkout and plain intents do.
    """
    id_ = ids.payment("pi")
    types = given.get("payment_method_types") or ["card"]
    return {
        "id": id_,
        "object": "payment_intent",
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": given.get("automatic_payment_methods"),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": given.get("capture_method")
        or ("automatic_async" if given.get("async") else "automatic"),
        "client_secret": f"{id_}_secret_{ids.random_text(25)}",
        "confirmation_method": given.get("confirmation_method") or "automatic",
        "created": created,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": given.get("description"),
        "excluded_payment_method_types": given.get("excluded_payment_method_types"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": given.get("metadata", {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_details": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": options(types, "installments"),
        "payment_method_types": types,
        "processing": None,
        "receipt_email": given.get("receipt_email"),
        "review": None,
        "setup_future_usage": given.get("setup_future_usage"),
        "shipping": given.get("shipping"),
        "source": None,
        "statement_descriptor": given.get("statement_descriptor"),
        "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        "_belongs_to": given.get("belongs_to"),
    }


def options(types: list[str], *more: str) -> Json:
    """payment_method_options before anybody chose anything; `more` names further keys of the card's."""
    shapes: Json = {
        "card": {
            **dict.fromkeys([*more, "mandate_options", "network"]),
            "request_three_d_secure": "automatic",
        },
        "sepa_debit": {},
        "us_bank_account": {"verification_method": "automatic"},
        "customer_balance": {
            "bank_transfer": {"type": "jp_bank_transfer"},
            "funding_type": "bank_transfer",
        },
    }
    return {kind: shapes[kind] for kind in types}


def setup_intent(created: int, customer: str | None, metadata: Json, given: Json | None = None) -> Json:
    """A SetupIntent that waits for a payment method; `given` may hold any field of the object."""
    given = given or {}
    id_ = ids.dated("seti")
    types = given.get("payment_method_types") or ["card"]
    return {
        "id": id_,
        "object": "setup_intent",
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "application": None,
        "automatic_payment_methods": given.get("automatic_payment_methods"),
        "cancellation_reason": None,
        "client_secret": f"{id_}_secret_{ids.random_text(31)}",
        "created": created,
        "customer": customer,
        "customer_account": None,
        "description": given.get("description"),
        "excluded_payment_method_types": given.get("excluded_payment_method_types"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "managed_payments": None,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": options(types),
        "payment_method_types": types,
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": given.get("usage") or "off_session",
    }
