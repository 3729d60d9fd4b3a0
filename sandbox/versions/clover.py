"""Clover, as 2026-03-25.dahlia found it: the older names of Checkout's `ui_mode`."""

from __future__ import annotations

from typing import Any

from sandbox.versions.change import Change

Json = dict[str, Any]

NAMES = {"hosted": "hosted_page", "embedded": "embedded_page", "custom": "elements"}
OLDER = {new: old for old, new in NAMES.items()}


def _session(session: Json) -> None:
    session["ui_mode"] = OLDER.get(session["ui_mode"], session["ui_mode"])


def _ui_mode(tree: Json, _older: Json) -> None:
    if "ui_mode" in tree:
        tree["ui_mode"] = NAMES.get(tree["ui_mode"], tree["ui_mode"])


CHANGES = (
    Change(
        "2026-03-25.dahlia",
        answers={"checkout.session": _session},
        parameters={("POST", "/v1/checkout/sessions"): _ui_mode},
    ),
)
