"""Dahlia, as 2026-09-30.endive found it: `payment_method_types`, and a plain `billing_cycle_anchor`.

What answers hold did not change (facts 1.13).
"""

from __future__ import annotations

from typing import Any

from sandbox.versions.change import Change, rename

Json = dict[str, Any]


def _method_types(tree: Json, _older: Json) -> None:
    rename(tree, "payment_method_types", "allowed_payment_method_types")


def _anchor(tree: Json, _older: Json) -> None:
    if tree.get("billing_cycle_anchor") in ("now", "unchanged"):
        tree["billing_cycle_anchor"] = {"type": tree["billing_cycle_anchor"]}


def _anchor_in_details(tree: Json, older: Json) -> None:
    if isinstance(tree.get("subscription_details"), dict):
        _anchor(tree["subscription_details"], older)


CHANGES = (
    Change(
        "2026-09-30.endive",
        parameters={
            ("POST", "/v1/checkout/sessions"): _method_types,
            ("POST", "/v1/checkout/sessions/<id>"): _method_types,
            ("POST", "/v1/payment_intents"): _method_types,
            ("POST", "/v1/payment_intents/<id>"): _method_types,
            ("POST", "/v1/payment_intents/<id>/confirm"): _method_types,
            ("POST", "/v1/setup_intents"): _method_types,
            ("POST", "/v1/setup_intents/<id>"): _method_types,
            ("POST", "/v1/subscriptions/<id>"): _anchor,
            ("POST", "/v1/subscriptions/<id>/resume"): _anchor,
            ("POST", "/v1/invoices/create_preview"): _anchor_in_details,
        },
    ),
)
