"""The one place that reads the wall clock, and the two conversions between Stripe's time and ours."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def from_stripe(seconds: int | None) -> datetime | None:
    """Stripe's Unix seconds as an aware UTC datetime; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
