"""Reading what payment and setup intents have in common: the payment method, 3D Secure, how it is confirmed."""

from __future__ import annotations

from typing import Any

from sandbox.api import customers, method_types, payment_methods
from sandbox.api.form import Params
from sandbox.engine import methods
from sandbox.engine.direct import Confirmation
from sandbox.errors import request_error, required
from sandbox.house import db

Json = dict[str, Any]

SHIPPING = (
    "shipping shipping.name shipping.phone shipping.carrier shipping.tracking_number shipping.address.*"
)
REQUEST_3DS = "payment_method_options.card.request_three_d_secure"
DATA = payment_methods.nested(payment_methods.DATA, "payment_method_data")
METHOD = f"payment_method {DATA} {REQUEST_3DS} {method_types.ACCEPTED}"
MANDATE = (
    "mandate_data.customer_acceptance.type mandate_data.customer_acceptance.accepted_at"
    " mandate_data.customer_acceptance.online.ip_address mandate_data.customer_acceptance.online.user_agent"
)
CONFIRMING = f"return_url use_stripe_sdk {MANDATE}"


def method(params: Params) -> Json | None:
    """The payment method that is named, or that payment_method_data makes; None when neither is given."""
    id_ = params.text("payment_method")
    if id_:
        return methods.find(id_)
    data = params.child("payment_method_data")
    return payment_methods.make(data) if data.tree else None


def request_3ds(intent: Json, params: Params) -> None:
    """Keep how eagerly 3D Secure is asked for."""
    card = params.child("payment_method_options").child("card")
    wanted = card.choice("request_three_d_secure", "any", "automatic", "challenge")
    if wanted and "card" in intent["payment_method_options"]:
        intent["payment_method_options"]["card"]["request_three_d_secure"] = wanted
        db().put(intent)


def confirmation(params: Params, chosen: Json | None) -> Confirmation:
    """How it is to be confirmed, with `chosen` or the method that it has."""
    off_session = params.choice("off_session", "true", "false", "one_off", "recurring")
    return Confirmation(
        chosen,
        off_session=off_session not in (None, "false"),
        return_url=params.text("return_url"),
        refuse_action=params.flag("error_on_requires_action") or False,
        acceptance=acceptance(params),
        sdk=params.flag("use_stripe_sdk") or False,
    )


def acceptance(params: Params) -> Json | None:
    """customer_acceptance of mandate_data as a mandate shows it; None when it is not given."""
    given = params.child("mandate_data").child("customer_acceptance")
    if not given.tree:
        return None
    kind = given.choice("type", "online", "offline")
    if kind is None:
        raise required(given.name("type"))
    accepted = given.integer("accepted_at")
    online = given.child("online")
    shown: Json = {"type": kind} | ({"accepted_at": accepted} if accepted is not None else {})
    if kind == "online":
        return shown | {"online": {name: online.need(name) for name in ("ip_address", "user_agent")}}
    return shown | {"offline": {}}


def shipping(params: Params) -> Json | None:
    """Where goods go, with every part of the address; None when it is not given or cleared."""
    given = params.plain("shipping")
    if not given:
        return None
    words = ("carrier", "name", "phone", "tracking_number")
    return {
        "address": customers.whole_address(given.get("address") or {}),
        **{name: given.get(name) or None for name in words},
    }


def check_secret(intent: Json, params: Params) -> Json:
    """The intent, whose client_secret must be the one that is given with it."""
    given = params.text("client_secret")
    if given is not None and given != intent["client_secret"]:
        raise request_error(
            "The client_secret provided does not match the client_secret associated with this intent.",
            f"{intent['object']}_invalid_parameter",
            "client_secret",
        )
    return intent
