"""One delivery: the event in the endpoint's version, signed, sent, and what the troubles make of it."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, NamedTuple

from sandbox import clock, record, signing, versions
from sandbox.house import db

Json = dict[str, Any]

STALE_SECONDS = 3600


class Answer(NamedTuple):
    """What an endpoint said: its HTTP status, or None and why there was none."""

    status: int | None
    error: str | None

    @property
    def fine(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def send(event_id: str, endpoint: Json, mode: str = "normal") -> Answer:
    """Post an event to an endpoint; `mode` is the delivery trouble of the moment."""
    event = rendered(event_id, endpoint)
    if mode == "wrong_mode":
        event |= {"livemode": True, "data": event["data"] | {"object": _live(event["data"]["object"])}}
    body = json.dumps(event, indent=2).encode()
    signature = signing.header(body, _secrets(endpoint, mode), _stamp(mode))
    if mode == "forged":
        body = body.replace(event_id.encode(), f"{event_id[:-4]}EVIL".encode())
    try:
        status, error = signing.post(endpoint["url"], body, signature), None
    except (OSError, http.client.HTTPException) as problem:
        status, error = None, f"{type(problem).__name__}: {problem}"
    record.line("webhook", event["api_version"], endpoint["url"], status, json.loads(body))
    answer = Answer(status, error)
    return answer if answer.fine else Answer(status, error or f"HTTP {status}")


def rendered(event_id: str, endpoint: Json) -> Json:
    """The event as that endpoint gets it, with the number of endpoints still owed it."""
    kept = db().get("event", event_id)
    owed = db().one("SELECT count(*) AS n FROM deliveries WHERE event=? AND state='pending'", (event_id,))
    event = versions.event(kept, endpoint["api_version"] or kept["api_version"])
    return event | {"pending_webhooks": owed["n"] if owed else 0}


def _live(obj: Json) -> Json:
    return obj | {"livemode": True} if "livemode" in obj else obj


def _stamp(mode: str) -> int:
    """Real time, whatever the sandbox's clock says: the receiver compares it with its own."""
    return int(time.time()) - (STALE_SECONDS if mode == "stale" else 0)


def _secrets(endpoint: Json, mode: str) -> list[str]:
    """The endpoint's secret, and for a while the one before it (facts 2.1)."""
    if mode == "wrong_secret":
        return ["whsec_of_somebody_else"]
    old_until = endpoint.get("_old_until") or 0
    old = [endpoint["_old_secret"]] if clock.exact() < old_until else []
    return [endpoint["_secret"], *old]
