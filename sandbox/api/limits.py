"""Rate limits: requests per second of one key, in all and for one operation (facts 4.3). Off unless set."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque

from sandbox.errors import ApiError
from sandbox.house import house

SECOND = 1.0
_recent: defaultdict[str, deque[float]] = defaultdict(deque)
_guard = threading.Lock()


class Limited(ApiError):
    """429; `reason` is the value of the header Stripe-Rate-Limited-Reason."""

    def __init__(self, reason: str) -> None:
        message = "Request rate limit exceeded. You can learn more about rate limits here"
        message += " https://stripe.com/docs/rate-limits."
        super().__init__(429, {"code": "rate_limit", "message": message, "type": "invalid_request_error"})
        self.reason = reason


def check(key: str, operation: str) -> None:
    """Count a request; 429 when this second has had too many. A refused request counts for nothing."""
    settings = house().settings()
    limits = (
        ("global-rate", key, settings["rate_limit"]),
        ("endpoint-rate", f"{key} {operation}", settings["endpoint_rate_limit"]),
    )
    now = time.monotonic()
    with _guard:
        for reason, name, limit in limits:
            if limit and _in_last_second(name, now) >= limit:
                raise Limited(reason)
        for _, name, limit in limits:
            if limit:
                _recent[name].append(now)


def _in_last_second(name: str, now: float) -> int:
    times = _recent[name]
    while times and times[0] <= now - SECOND:
        times.popleft()
    return len(times)
