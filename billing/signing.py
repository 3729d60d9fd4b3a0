"""The webhook's signing secrets: which are accepted, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from billing.errors import ConfigError

SHORTEST, MOST = 16, 4
NAME = "STRIPE_WEBHOOK_SECRET"
# What is easily taken for a signing secret, by how it begins.
MISTAKEN = {
    "sk_": "a secret API key",
    "rk_": "a restricted API key",
    "pk_": "a publishable API key",
    "we_": "the id of an endpoint",
    "https://": "an address",
}
# ``stripe listen`` signs with a secret of its own, which is written in hexadecimal; an endpoint’s isn’t.
OF_THE_CLI = re.compile(r"whsec_[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Secret:
    """One signing secret. ``until``: from that second on nothing signed with it is taken; None: the current one."""

    value: str = field(repr=False)
    until: datetime | None = None

    @property
    def of_the_cli(self) -> bool:
        """Whether it looks like that of ``stripe listen``, which no endpoint signs with."""
        return OF_THE_CLI.match(self.value) is not None

    def accepted(self, moment: datetime) -> bool:
        return self.until is None or moment < self.until


def read(entries: Iterable[str]) -> tuple[Secret, ...]:
    """The secrets of ``whsec_new``, ``whsec_old@2026-12-05T12:00Z`` and so on. Raises ConfigError.

    An old one that has expired is no mistake: the program must start again after that day, too.
    """
    found = tuple(_secret(entry) for entry in entries)
    if not found:
        raise ConfigError(
            f"{NAME} is empty; set it to the endpoint's signing secret, which begins with whsec_."
        )
    if len(found) > MOST:
        raise ConfigError(f"{NAME} takes {MOST} secrets at most; leave out those that have expired.")
    if found[0].until is not None:
        raise ConfigError(f"{NAME} begins with the current secret, which has no expiry; take its @… away.")
    for number, secret in enumerate(found[1:], start=2):
        if secret.until is None:
            raise ConfigError(
                f"{NAME}: secret {number} is an old one and needs an expiry, like whsec_…@2026-12-05T12:00Z."
            )
    return found


def usable(secrets: Iterable[Secret], moment: datetime) -> tuple[str, ...]:
    """The values that a delivery may be signed with at this moment."""
    return tuple(secret.value for secret in secrets if secret.accepted(moment))


def _secret(entry: str) -> Secret:
    value, at, until = (part.strip() for part in entry.partition("@"))
    for beginning, what in MISTAKEN.items():
        if value.startswith(beginning):
            raise ConfigError(
                f"{NAME} holds {what}; it must be the endpoint's signing secret, which begins with whsec_."
            )
    if not value.startswith("whsec_") or len(value) < SHORTEST:
        raise ConfigError(
            f"{NAME} must be the endpoint's signing secret, which begins with whsec_; "
            "an empty or short one could be forged."
        )
    return Secret(value, _expiry(until) if at else None)


def _expiry(text: str) -> datetime:
    """A day (its first second, UTC), or a time with its offset."""
    with suppress(ValueError):
        return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
        raise ConfigError(f"{NAME} has an expiry of no time zone; end it with Z or an offset like +01:00.")
    raise ConfigError(
        f"{NAME} has an expiry that is no date; write it like @2026-12-05 or @2026-12-05T12:00Z."
    )
