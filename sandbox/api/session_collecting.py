"""What a Checkout Session shall ask the person for beside the payment: parameters read into their shapes."""

from __future__ import annotations

import re
from typing import Any

from sandbox.api.form import Params
from sandbox.errors import not_built, request_error, required

Json = dict[str, Any]

_TEXTS = "submit after_submit terms_of_service_acceptance shipping_address".split()
ACCEPTED = (
    "billing_address_collection phone_number_collection.enabled consent_collection.terms_of_service"
    " consent_collection.promotions consent_collection.payment_method_reuse_agreement.position"
    + "".join(f" custom_text.{name}.message" for name in _TEXTS)
    + " custom_fields.#.key custom_fields.#.type custom_fields.#.optional custom_fields.#.label.type"
    " custom_fields.#.label.custom custom_fields.#.dropdown.default_value"
    " custom_fields.#.dropdown.options.#.label custom_fields.#.dropdown.options.#.value"
    " custom_fields.#.text.default_value custom_fields.#.text.minimum_length"
    " custom_fields.#.text.maximum_length custom_fields.#.numeric.default_value"
    " custom_fields.#.numeric.minimum_length custom_fields.#.numeric.maximum_length"
)
FIELDS, OPTIONS, LONGEST = 3, 200, 255
KEY = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")


def given(params: Params) -> Json:
    """billing_address_collection, phone_number_collection, consent_collection, custom_text, custom_fields."""
    return {
        "billing_address_collection": params.choice("billing_address_collection", "auto", "required"),
        "phone_number_collection": bool(params.child("phone_number_collection").flag("enabled")),
        "consent_collection": _consent(params.child("consent_collection")),
        "custom_text": _custom_text(params.child("custom_text")),
        "custom_fields": _custom_fields(params),
    }


def _consent(params: Params) -> Json | None:
    if not params.tree:
        return None
    if params.has("payment_method_reuse_agreement"):
        raise not_built("the reuse agreement", params.name("payment_method_reuse_agreement"))
    if params.choice("promotions", "auto", "none") == "auto":
        raise not_built("consent to promotions", params.name("promotions"))
    return {
        "payment_method_reuse_agreement": None,
        "promotions": params.text("promotions"),
        "terms_of_service": params.choice("terms_of_service", "none", "required"),
    }


def _custom_text(params: Params) -> Json:
    texts = {}
    for name in params.tree:
        node = params.child(name)
        if not node.tree:
            continue
        message = node.need("message")
        if len(message) > 1200:
            raise request_error("A message may have up to 1200 characters.", param=node.name("message"))
        texts[name] = {"message": message}
    return texts


def _custom_fields(params: Params) -> list[Json]:
    rows = params.rows("custom_fields")
    if len(rows) > FIELDS:
        raise request_error(f"A maximum of {FIELDS} fields are supported.", param="custom_fields")
    fields = [_field(row) for row in rows]
    if len({field["key"] for field in fields}) < len(fields):
        raise request_error("Each custom field needs a key of its own.", param="custom_fields")
    return fields


def _field(row: Params) -> Json:
    kind = row.choice("type", "dropdown", "numeric", "text")
    if kind is None:
        raise required(row.name("type"))
    key, label = row.need("key"), row.child("label")
    if not KEY.match(key):
        raise request_error("A key has letters, digits, dashes and underscores.", param=row.name("key"))
    label.choice("type", "custom")
    custom = label.need("custom")
    if len(custom) > 50:
        raise request_error("A label may have up to 50 characters.", param=label.name("custom"))
    for other in {"dropdown", "numeric", "text"} - {kind}:
        if row.has(other):
            raise request_error(f"`{other}` does not fit a field of type {kind}.", param=row.name(other))
    inner = _options(row.child("dropdown")) if kind == "dropdown" else _lengths(row.child(kind), kind)
    return {
        "dropdown": None,
        "key": key,
        "label": {"custom": custom, "type": "custom"},
        "numeric": None,
        "optional": bool(row.flag("optional")),
        "text": None,
        "type": kind,
        kind: inner,
    }


def _options(params: Params) -> Json:
    rows = params.rows("options")
    if not 1 <= len(rows) <= OPTIONS:
        raise request_error(f"A dropdown has 1 to {OPTIONS} options.", param=params.name("options"))
    options = [{"label": row.need("label"), "value": row.need("value")} for row in rows]
    default = params.text("default_value")
    if default is not None and default not in {option["value"] for option in options}:
        raise request_error("The default must be one of the options.", param=params.name("default_value"))
    return {"default_value": default, "options": options, "value": None}


def _lengths(params: Params, kind: str) -> Json:
    least, most = params.integer("minimum_length", least=1), params.integer("maximum_length", least=1)
    if (least or 0) > LONGEST or (most or 0) > LONGEST or (least and most and least > most):
        raise request_error(
            f"Lengths go up to {LONGEST}, the minimum below the maximum.", param=params.name("maximum_length")
        )
    default = params.text("default_value")
    if kind == "numeric" and default is not None and not default.isdigit():
        raise request_error("The default must be digits.", param=params.name("default_value"))
    return {"default_value": default, "maximum_length": most, "minimum_length": least, "value": None}
