"""The one sandbox of this process: its store, address, settings and troubles."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import ids
from sandbox.store import Store

Json = dict[str, Any]

API_VERSION = "2026-10-28.endive"
DAY = 86400

SETTINGS: Json = {
    "retry_end": "cancel",  # what the last failed attempt does: cancel | unpaid | past_due
    "final_invoice": "leave",  # what becomes of an invoice that is given up: leave (open) | uncollectible
    "retry_days": [3, 3, 5],  # days between attempts 1-2, 2-3, 3-4
    "delivery_delays": [5, 30, 120, 600, 3600],  # seconds before delivery attempts 2 to 6; ours, not Stripe's
    "late_seconds": 1.0,  # how late invoice_payment.paid and charge.updated come
    "checkout_subscription": "after_payment",  # legacy: created incomplete, then updated
    "redirect_waits": 0,  # seconds that Checkout's redirect waits for the answer to checkout.session.completed
    "portal_default": "saved",  # none: the portal's settings were never saved, so no configuration is the default
    "bank_debit_seconds": 180,  # how long the bank takes over a slow debit, by the wall clock
    "card_updater": "off",  # on: an expired card is renewed by its bank before it is charged
    "dispute_cancels": "off",  # on: a dispute ends the subscription that it is about
    "business_name": "Dunlin",
    "country": "US",
}
TROUBLE: Json = {"delivery": "normal", "api": "normal", "api_path": "/v1/", "hang_seconds": 30}
CHOICES = {
    "retry_end": ("cancel", "unpaid", "past_due"),
    "checkout_subscription": ("after_payment", "legacy"),
    "portal_default": ("saved", "none"),
    "final_invoice": ("leave", "uncollectible"),
    "card_updater": ("off", "on"),
    "dispute_cancels": ("off", "on"),
    "delivery": ("normal", "hold", "twice", "reverse", "drop", "wrong_secret"),
    "api": ("normal", "error_500", "error_429", "hang", "applied_then_500", "lost_answer"),
}


@dataclass
class House:
    store: Store
    base_url: str

    def settings(self) -> Json:
        saved: Json = self.store.fact("settings", {})
        return SETTINGS | saved

    def trouble(self) -> Json:
        saved: Json = self.store.fact("trouble", {})
        return TROUBLE | saved

    def change(self, name: str, defaults: Json, changes: Json) -> None:
        """Keep new values of `settings` or `trouble`; ValueError for an unknown name or value."""
        for key, value in changes.items():
            if key not in defaults:
                raise ValueError(f"There is no setting {key}.")
            if key in CHOICES and value not in CHOICES[key]:
                raise ValueError(f"{key} is one of {', '.join(CHOICES[key])}.")
        with self.store.transaction():
            self.store.set_fact(name, self.store.fact(name, {}) | changes)

    def account_id(self) -> str:
        with self.store.transaction():
            known: str | None = self.store.fact("account_id")
            if known is None:
                known = "acct_1" + ids.random_text(15)
                self.store.set_fact("account_id", known)
                self.store.set_fact("account_created", int(time.time()))
            return known


_house: House | None = None


def open_house(data: Path, port: int) -> House:
    """Open (or create) the sandbox kept in the folder `data`; it becomes the one of this process."""
    global _house
    _house = House(Store(data / "sandbox.db"), f"http://127.0.0.1:{port}")
    _house.account_id()
    return _house


def house() -> House:
    if _house is None:
        raise RuntimeError("The sandbox is not open: call open_house first.")
    return _house


def db() -> Store:
    return house().store
