"""The one sandbox of this process: its store, address, settings and troubles."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import ids
from sandbox.store import Store

Json = dict[str, Any]

DAY = 86400
API_VERSION = "2026-10-28.endive"  # the newest; objects are kept in its shape
# Those whose shapes `versions` knows how to answer in, oldest first. A date orders them.
API_VERSIONS = (
    "2024-06-20", "2024-09-30.acacia", "2024-10-28.acacia", "2024-11-20.acacia", "2024-12-18.acacia",
    "2025-01-27.acacia", "2025-02-24.acacia", "2025-03-31.basil", "2025-04-30.basil", "2025-05-28.basil",
    "2025-06-30.basil", "2025-07-30.basil", "2025-08-27.basil", "2025-09-30.clover", "2025-10-29.clover",
    "2025-11-17.clover", "2025-12-15.clover", "2026-01-28.clover", "2026-02-25.clover", "2026-03-25.dahlia",
    "2026-04-22.dahlia", "2026-05-27.dahlia", "2026-06-24.dahlia", "2026-07-29.dahlia", "2026-08-26.dahlia",
    "2026-09-30.endive", API_VERSION,
)  # fmt: skip

SETTINGS: Json = {
    "api_version": API_VERSION,  # of requests and endpoints that name none
    "retry_end": "cancel",  # what the last failed attempt does: cancel | unpaid | past_due
    "final_invoice": "leave",  # what becomes of an invoice that is given up: leave (open) | uncollectible
    "retry_days": [3, 3, 5],  # days between attempts 1-2, 2-3, 3-4
    "delivery_schedule": "fast",  # fast (delivery_delays) | test | live: when a failed delivery is repeated
    "delivery_delays": [5, 30, 120, 600, 3600],  # seconds before delivery attempts 2 to 6; ours, not Stripe's
    "delivery_speed": 1.0,  # those delays are divided by it
    "shuffle": False,  # deliver each burst of events in a random order
    "duplicates": 0.0,  # the share of events that is delivered twice, 0 to 1
    "late_seconds": 1.0,  # how late invoice_payment.paid and charge.updated come
    "checkout_subscription": "after_payment",  # legacy: created incomplete, then updated
    "redirect_waits": 0,  # seconds that Checkout's redirect waits for the answer to checkout.session.completed
    "portal_default": "saved",  # none: the portal's settings were never saved, so no configuration is the default
    "rate_limit": 0,  # requests per second and key, 0 for none; Stripe's own sandboxes: 25
    "endpoint_rate_limit": 0,  # the same for each operation
    "payment_methods": ["card"],  # what Checkout offers where a session names none: the dashboard's choice
    "bank_debit_seconds": 180,  # how long the bank takes over a slow debit, by the wall clock
    "card_updater": "off",  # on: an expired card is renewed by its bank before it is charged
    "dispute_cancels": "off",  # on: a dispute ends the subscription that it is about
    "business_name": "Dunlin",
    "country": "US",
}
TROUBLE: Json = {
    "delivery": "normal",
    "delay_seconds": 5,  # how much later `late` deliveries come
    "api": "normal",
    "api_path": "/v1/",  # requests whose path begins so
    "api_method": "",  # GET, POST or DELETE; empty for all
    "times": None,  # how many more requests `api` meets; None: all
    "hang_seconds": 30,
    "slow_seconds": 3,
}
COUNTS = (
    "delivery_speed", "duplicates", "late_seconds", "rate_limit", "endpoint_rate_limit", "delay_seconds",
    "hang_seconds", "slow_seconds",
)  # fmt: skip
CHOICES: dict[str, tuple[str, ...]] = {
    "api_version": API_VERSIONS,
    "retry_end": ("cancel", "unpaid", "past_due"),
    "checkout_subscription": ("after_payment", "legacy"),
    "portal_default": ("saved", "none"),
    "final_invoice": ("leave", "uncollectible"),
    "card_updater": ("off", "on"),
    "dispute_cancels": ("off", "on"),
    "delivery_schedule": ("fast", "test", "live"),
    "delivery": (
        "normal", "hold", "twice", "reverse", "shuffle", "late", "drop", "wrong_secret", "wrong_mode",
        "forged", "stale",
    ),
    "api": (
        "normal", "error_500", "error_429", "hang", "slow", "applied_then_500", "lost_answer", "cut_before",
        "truncated_body",
    ),
    "api_method": ("", "GET", "POST", "DELETE"),
}  # fmt: skip
PAYMENT_METHODS = ("card", "sepa_debit", "us_bank_account")
NAME = re.compile(r"[a-z0-9-]{1,60}\Z")


@dataclass
class House:
    store: Store
    base_url: str
    folder: Path

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
            if key in COUNTS and (not isinstance(value, int | float) or value < 0):
                raise ValueError(f"{key} is a number of 0 or more.")
            if key == "retry_days" and not _are_days(value):
                raise ValueError("retry_days is a list of whole numbers of 1 or more.")
            if key == "payment_methods" and not _are_methods(value):
                raise ValueError(f"payment_methods is a list of some of {', '.join(PAYMENT_METHODS)}.")
            if key == "times" and value is not None and (not isinstance(value, int) or value < 0):
                raise ValueError("times is a whole number, or null for no limit.")
        with self.store.transaction():
            self.store.set_fact(name, self.store.fact(name, {}) | changes)

    def meet_trouble(self, method: str, path: str) -> str:
        """What the API trouble is for this request; one of the `times` is used up."""
        with self.store.lock:
            trouble = self.trouble()
            met = path.startswith(trouble["api_path"]) and trouble["api_method"] in ("", method)
            if not met or trouble["api"] == "normal" or trouble["times"] == 0:
                return "normal"
            if trouble["times"] is not None:
                with self.store.transaction():
                    self.store.set_fact("trouble", trouble | {"times": trouble["times"] - 1})
            return str(trouble["api"])

    def saved(self) -> list[str]:
        """The names of the states that were saved."""
        return sorted(path.stem for path in (self.folder / "saved").glob("*.db"))

    def saved_as(self, name: str) -> Path:
        """The file of a saved state; ValueError when it is no name."""
        if not NAME.match(name):
            raise ValueError("A name has up to 60 of the characters a-z, 0-9 and -.")
        return self.folder / "saved" / f"{name}.db"

    def reset(self) -> None:
        """Forget everything but the saved states: another account, nobody in it."""
        with self.store.transaction():
            self.store.clear()
            self.account_id()

    def account_id(self) -> str:
        with self.store.transaction():
            known: str | None = self.store.fact("account_id")
            if known is None:
                known = "acct_1" + ids.random_text(15)
                self.store.set_fact("account_id", known)
                self.store.set_fact("account_created", int(time.time()))
            return known


def _are_methods(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(each in PAYMENT_METHODS for each in value)


def _are_days(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int and each > 0 for each in value)


_house: House | None = None


def open_house(data: Path, port: int) -> House:
    """Open (or create) the sandbox kept in the folder `data`; it becomes the one of this process."""
    global _house
    _house = House(Store(data / "sandbox.db"), f"http://127.0.0.1:{port}", data)
    _house.account_id()
    return _house


def house() -> House:
    if _house is None:
        raise RuntimeError("The sandbox is not open: call open_house first.")
    return _house


def db() -> Store:
    return house().store
