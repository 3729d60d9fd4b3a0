"""Ids that look like Stripe's: prefix, a digit where Stripe has one, random letters and digits."""

from __future__ import annotations

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
# Each byte as a character. Some come a little more often than others, which makes no id a known one.
CHARACTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
STEM = 16  # a payment's intent, charges, refunds and events share these characters


def random_text(length: int) -> str:
    return secrets.token_bytes(length).translate(CHARACTERS).decode()


def new(prefix: str, length: int = 24) -> str:
    return f"{prefix}_{random_text(length)}"


def dated(prefix: str) -> str:
    """Like `sub_1…`, `in_1…`, `price_1…`: 24 characters of which the first is a 1."""
    return f"{prefix}_1{random_text(23)}"


def session() -> str:
    return "cs_test_" + random_text(58)


def payment(prefix: str, stem: str | None = None) -> str:
    """`pi_3…`, `ch_3…`, `re_3…`; pass the stem of the payment that it belongs to."""
    return f"{prefix}_3{stem or random_text(STEM)}{random_text(23 - STEM)}"


def stem_of(id_: str) -> str | None:
    """The stem of a payment's id, or None for other objects."""
    prefix, _, rest = id_.partition("_")
    return rest[1 : 1 + STEM] if prefix in ("pi", "ch", "py", "re", "pyr") and rest.startswith("3") else None


def event(about: str) -> str:
    """`evt_3<stem>…` for events about a payment, `evt_1…` for all others."""
    stem = stem_of(about)
    return payment("evt", stem) if stem else dated("evt")
