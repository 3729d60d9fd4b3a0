"""The `Stripe-Signature` header and one signed POST."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from urllib.parse import urlsplit

TIMEOUT = 10.0
USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


def header(body: bytes, secrets: list[str], at: int | None = None) -> str:
    """`t=…,v1=…` with one v1 per secret and, as in test mode, a v0 that proves nothing."""
    stamp = int(time.time()) if at is None else at
    message = f"{stamp}.".encode() + body
    proofs = [hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets]
    decoy = hashlib.sha256(message).hexdigest()
    return ",".join([f"t={stamp}", *(f"v1={proof}" for proof in proofs), f"v0={decoy}"])


def post(url: str, body: bytes, signature: str) -> int:
    """The status of one delivery. Redirects are not followed. OSError or HTTPException when there is none."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": USER_AGENT,
        "Accept": "*/*; q=0.5, application/xml",
        "Cache-Control": "no-cache",
        "Stripe-Signature": signature,
    }
    try:
        connection.request(
            "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
