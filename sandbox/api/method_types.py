"""Which payment methods an intent or session takes, as its parameters say."""

from __future__ import annotations

from typing import Any

from sandbox.api.form import Params
from sandbox.engine import banks
from sandbox.errors import request_error

Json = dict[str, Any]

REMOVED = "payment_method_types payment_method_types.#"  # accepted only to be refused in Stripe's words
ACCEPTED = f"allowed_payment_method_types.# excluded_payment_method_types.# {REMOVED}"
AUTOMATIC = "automatic_payment_methods.enabled automatic_payment_methods.allow_redirects"


def refuse_removed(params: Params) -> None:
    """400 for `payment_method_types`, which endive removed from creating and updating."""
    if params.has("payment_method_types"):
        raise request_error(
            "The `payment_method_types` parameter is no longer supported. Use `allowed_payment_method_types`,"
            " or manage payment methods in the Dashboard.",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        )


def read(params: Params, currency: str | None) -> Json:
    """The intent's fields about types; without a currency (setups) every type of the sandbox is open."""
    refuse_removed(params)
    open_to = banks.types_for(currency) if currency else ["card", *banks.CURRENCY]
    allowed = params.texts("allowed_payment_method_types") or None
    excluded = params.texts("excluded_payment_method_types") or None
    built = ["card", *banks.CURRENCY, *banks.BY_TRANSFER]
    open_to = [*open_to, *(name for name in allowed or [] if banks.BY_TRANSFER.get(name) == currency)]
    for name in allowed or []:
        if name not in built:
            raise request_error(
                f"The sandbox has no payment method of type {name}.",
                "sandbox_not_built",
                "allowed_payment_method_types",
            )
    types = [name for name in allowed or open_to if name in open_to and name not in (excluded or [])]
    if not types:
        raise request_error(
            "No valid payment method types for this intent. Check the currency, and the allowed and excluded"
            " payment method types.",
            "payment_intent_invalid_parameter",
        )
    return {
        "allowed_payment_method_types": allowed,
        "excluded_payment_method_types": excluded,
        "payment_method_types": types,
    }


def automatic(params: Params) -> Json | None:
    """automatic_payment_methods: on unless it is switched off."""
    given = params.child("automatic_payment_methods")
    if given.flag("enabled") is False:
        return None
    return {
        "allow_redirects": given.choice("allow_redirects", "always", "never") or "always",
        "enabled": True,
    }
