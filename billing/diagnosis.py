"""Why a delivery was refused, as far as its bytes can tell: for the operator, who suffers all cases as one.

A case is named only where a secret of ours proves it. Whatever else was signed with no secret of ours: by another
endpoint, by a secret that was copied wrongly, or by a stranger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from billing import stripe_client
from billing.signing import Secret

UNSIGNED, UNKNOWN, OLD, CLOCK, ALTERED = "no signature", "signature", "old secret", "clock", "altered body"
# A delivery of Stripe's is some kilobytes; a stranger's megabyte is not worth being read.
LONGEST = 64 * 1024


def case(body: bytes, header: str, secrets: tuple[Secret, ...], moment: datetime) -> str:
    """One of the five above, of a delivery whose signature was refused at this moment."""
    if not header.strip():
        return UNSIGNED
    if len(body) > LONGEST:
        return UNKNOWN
    usable = [secret.value for secret in secrets if secret.accepted(moment)]
    ended = [secret.value for secret in secrets if not secret.accepted(moment)]
    if _any(body, header, usable):
        return CLOCK  # right in every way but its time
    if _any(body, header, ended):
        return OLD
    if any(_any(sent, header, usable) for sent in _as_sent(body)):
        return ALTERED
    return UNKNOWN


def _any(body: bytes, header: str, secrets: list[str]) -> bool:
    return any(stripe_client.signed(body, header, secret) for secret in secrets)


def _as_sent(body: bytes) -> Iterator[bytes]:
    """What Stripe may have signed, where something on the way wrote the body anew: Stripe indents by two."""
    yield body.strip()
    yield body.replace(b"\r\n", b"\n")
    try:
        event = json.loads(body)
        for escaped in (False, True):
            yield json.dumps(event, indent=2, ensure_ascii=escaped).encode()
    except (ValueError, RecursionError):
        return
