"""Errors as Stripe's API answers them. `executed` ones happened after work began: their effects stay."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """`status` and `error` make the HTTP answer."""

    def __init__(self, status: int, error: Json, executed: bool = False) -> None:
        super().__init__(error.get("message", ""))
        self.status, self.error, self.executed = status, error, executed


def request_error(
    message: str, code: str | None = None, param: str | None = None, status: int = 400, executed: bool = False
) -> ApiError:
    """An invalid_request_error; without a code it has no doc_url either."""
    error: Json = {"message": message, "type": "invalid_request_error"}
    if code is not None:
        error |= {"code": code, "doc_url": doc_url(code)}
    if param is not None:
        error["param"] = param
    return ApiError(status, error, executed)


def missing(noun: str, id_: str, param: str = "id", status: int = 404) -> ApiError:
    return request_error(f"No such {noun}: '{id_}'", "resource_missing", param, status)


def required(param: str) -> ApiError:
    return request_error(f"Missing required param: {param}.", "parameter_missing", param)


def unknown(param: str) -> ApiError:
    return request_error(f"Received unknown parameter: {param}", "parameter_unknown", param)


def not_built(what: str, param: str | None = None) -> ApiError:
    """Stripe could do this; this sandbox does not, and says so instead of pretending."""
    return request_error(f"The sandbox does not build {what} yet.", "sandbox_not_built", param)


def card_error(error: Json, **more: Any) -> ApiError:
    """402 from a payment error as a PaymentIntent's `last_payment_error` holds it.

    `more` is what it was about (payment_intent, setup_intent); without it the error names an empty param.
    """
    shown = {key: value for key, value in error.items() if value is not None}
    return ApiError(402, {**(more or {"param": ""}), **shown, "type": "card_error"}, executed=True)


def unreadable_card(message: str, code: str, param: str) -> ApiError:
    """402 for a number, date or security code that no bank was asked about."""
    problem = request_error(message, code, param, status=402)
    problem.error["type"] = "card_error"
    return problem


def doc_url(code: str) -> str:
    return f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
