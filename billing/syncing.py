"""What passes between the job that applies an event and the modules that write Stripe's objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from billing.write_request import WriteRequest


@dataclass(frozen=True)
class Cause:
    """Why rows are written now: the event, the fence of the lease held, and all event types that waited."""

    event_id: str
    fence: int
    installation: str
    now: datetime
    types: frozenset[str] = field(default_factory=frozenset)
    actor: str = "stripe"

    def saw(self, event_type: str) -> bool:
        return event_type in self.types


@dataclass(frozen=True)
class Outcome:
    """Whose rows were written; with ``ignored``, why nothing was. ``writes``: what Stripe is to be told in turn."""

    user_id: int | None
    ignored: str | None = None
    writes: tuple[WriteRequest, ...] = ()
