"""Compares what leaves the sandbox with the typed resources of the installed SDK and with sample objects.

A key that the SDK's class does not name, a required key that is absent, a value of another type or outside
its literals: each becomes one sentence that begins with its path.
"""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

from stripe import ListObject, StripeObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import UntypedStripeObject

Json = dict[str, Any]

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "stripe-openapi" / "fixtures3.json"
OBSOLETE = {("invoice", "subscription")}
ON_EXPAND = {("charge", "refunds")}
PARTIAL = {"account"}  # answered only as far as a billing desk reads it
# Kinds with a part named after their `type`, and which one Stripe's sample is of.
NAMED_PARTS = {"payment_method": "card", "customer_cash_balance_transaction": "funded"}
LIST_KEYS = {"object", "data", "has_more", "total_count", "url"}


def samples() -> dict[str, Json]:
    """Stripe's sample objects by type; empty when they are not there."""
    if not FIXTURES.exists():
        return {}
    resources: dict[str, Json] = json.loads(FIXTURES.read_text())["resources"]
    return resources


def class_of(kind: str) -> Any:
    module, name = OBJECT_CLASSES[kind]
    return getattr(importlib.import_module(module), name)


def problems(obj: Json, sample: Json | None = None, without: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a whole object. `without` names keys that may be absent here."""
    kind = obj["object"]
    found = _object(obj, class_of(kind), kind, without)
    wanted = set(sample or {}) - without
    if kind in NAMED_PARTS:
        wanted = wanted - {NAMED_PARTS[kind]} | {obj["type"]}
    for key in sorted(wanted - set(obj)):
        if (kind, key) not in OBSOLETE | ON_EXPAND and kind not in PARTIAL:
            found.append(f"{kind}.{key}: Stripe's sample has it")
    return found


def unknown_keys(previous: Json, kind: str) -> list[str]:
    """Keys of previous_attributes that the object's class does not have."""
    known = set(class_of(kind).__annotations__)
    return [f"{kind}.previous_attributes.{key}: unknown" for key in previous if key not in known]


def _object(obj: Json, cls: Any, path: str, without: frozenset[str] = frozenset()) -> list[str]:
    hints = {key: hint for key, hint in cls.__annotations__.items() if key != "OBJECT_NAME"}
    inner = getattr(cls, "_inner_class_types", {})
    found = [f"{path}.{key}: unknown to the SDK" for key in obj if key not in hints]
    for key, hint in hints.items():
        if key not in obj:
            if not _optional(hint) and key not in without:
                found.append(f"{path}.{key}: missing")
        else:
            found += _value(obj[key], hint, inner.get(key), f"{path}.{key}")
    return found


def _optional(hint: Any) -> bool:
    return get_origin(hint) is Union and type(None) in get_args(hint)


def _value(value: Any, hint: Any, inner: Any, path: str) -> list[str]:
    if get_origin(hint) is Union:
        options = get_args(hint)
        if value is None:
            return [] if type(None) in options else [f"{path}: null"]
        literals = [option for option in options if get_origin(option) is Literal]
        # the SDK adds str beside its literals for values to come; today's values are these
        tried = [_value(value, each, inner, path) for each in literals or options if each is not type(None)]
        return min(tried, key=len)
    if value is None:
        return [f"{path}: null"]
    if get_origin(hint) is Literal:
        return [] if value in get_args(hint) else [f"{path}: {value!r} is not one of {get_args(hint)[:8]}"]
    if get_origin(hint) is list:
        return _list(value, get_args(hint)[0], inner, path)
    if get_origin(hint) is UntypedStripeObject:
        return _map(value, get_args(hint)[0], inner, path)
    if _is_list_object(hint):
        return _list_object(value, path)
    return _plain(value, hint, inner, path)


def _is_list_object(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, ListObject)


def _list(value: Any, hint: Any, inner: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: not a list"]
    return [each for n, item in enumerate(value) for each in _value(item, hint, inner, f"{path}[{n}]")]


def _map(value: Any, hint: Any, inner: Any, path: str) -> list[str]:
    """An object with keys of any name (metadata, currency_options): the SDK types its values."""
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is not an object"]
    return [each for key, item in value.items() for each in _value(item, hint, inner, f"{path}.{key}")]


def _list_object(value: Any, path: str) -> list[str]:
    if not isinstance(value, dict) or value.get("object") != "list":
        return [f"{path}: not a list object"]
    found = [f"{path}.{key}: unknown to lists" for key in value if key not in LIST_KEYS]
    for n, item in enumerate(value["data"]):
        cls = class_of(item["object"])
        found += _object(item, cls, f"{path}.data[{n}]")
    return found


def _plain(value: Any, hint: Any, inner: Any, path: str) -> list[str]:
    if hint in (int, str, bool, float):
        right = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
        return [] if right else [f"{path}: {value!r} is not {hint.__name__}"]
    if hint is Decimal:
        return [] if isinstance(value, str) else [f"{path}: a decimal travels as text"]
    if hint is Any:
        return []
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is not an object"]
    if inner is None and str(value.get("object")) in OBJECT_CLASSES:
        return _object(value, class_of(value["object"]), path)
    if isinstance(hint, ForwardRef):
        return [f"{path}: untyped"]
    if isinstance(inner, type) and issubclass(inner, StripeObject):
        return _object(value, inner, path)
    return [f"{path}: untyped"]
