"""Passwords: argon2id with OWASP's parameters, and what may be chosen as one."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from billing.language import _

LONGEST = 128
COMMON = Path(__file__).with_name("common_passwords.txt")

# 19 MiB, two passes, one lane (OWASP Password Storage); at most two at a time in one process, so that a
# burst of sign-ins can't take a small machine's memory.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_slots = threading.BoundedSemaphore(2)


def make_hash(password: str) -> str:
    """The argon2id hash to store."""
    with _slots:
        return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is right. Costs the same for an unknown account (``stored`` is None)."""
    with _slots:
        try:
            _hasher.verify(stored or _dummy(), password[: LONGEST * 4])
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    return _hasher.check_needs_rehash(stored)


def problem(password: str, *, minimum: int, email: str, brand: str) -> str | None:
    """Why this can't be a password, as a sentence for the person; None where it can."""
    if len(password) < minimum:
        return _("Use at least {minimum} characters. Three or four words work well.", minimum=minimum)
    if len(password) > LONGEST:
        return _("Use at most {longest} characters.", longest=LONGEST)
    plain = password.casefold()
    if plain in _common() or len(set(plain)) < 4 or _is_context(plain, email, brand):
        return _("This password is too easy to guess. Choose another one.")
    return None


def _is_context(plain: str, email: str, brand: str) -> bool:
    words = {brand.casefold(), email.casefold(), email.casefold().partition("@")[0]}
    ends = "0123456789!.-_ "
    return plain in words or plain.strip(ends) in {word.strip(ends) for word in words} - {""}


@cache
def _common() -> frozenset[str]:
    return frozenset(COMMON.read_text(encoding="utf-8").split())


@cache
def _dummy() -> str:
    return _hasher.hash("a password that nobody has")
