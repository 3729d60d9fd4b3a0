"""Telling the sandbox where our webhook is, through the API calls that an operator would make at Stripe."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from local.environment import Kept
from local.errors import CannotStart

API_VERSION = "2026-10-28.endive"
ENDPOINT_NAME = "LOCAL_SANDBOX_ENDPOINT"
SECRET_NAME = "LOCAL_SANDBOX_ENDPOINT_SECRET"  # noqa: S105 - the name, not the secret


def webhook_secret(base: str, key: str, url: str, kept: Kept) -> str:
    """The signing secret of the endpoint at ``url``; made the first time, moved where the port changed.

    Raises CannotStart where the sandbox does not do as it is asked.
    """
    known, secret = kept.get(ENDPOINT_NAME), kept.get(SECRET_NAME)
    endpoints = {row["id"]: row for row in _call(base, key, "GET", "/v1/webhook_endpoints?limit=100")["data"]}
    if known in endpoints and secret:
        if endpoints[known]["url"] != url:
            _call(base, key, "POST", f"/v1/webhook_endpoints/{known}", {"url": url})
        return secret
    for row in endpoints.values():
        # Nobody has the secret of such an endpoint any more: its deliveries could only be refused.
        if row["url"].endswith("/webhooks/stripe"):
            _call(base, key, "DELETE", f"/v1/webhook_endpoints/{row['id']}")
    wanted = {"url": url, "enabled_events[0]": "*", "api_version": API_VERSION}
    made = _call(base, key, "POST", "/v1/webhook_endpoints", wanted)
    kept.put(ENDPOINT_NAME, made["id"])
    kept.put(SECRET_NAME, made["secret"])
    return str(made["secret"])


def _call(
    base: str, key: str, method: str, path: str, form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(
        base.rstrip("/") + path,
        data=urlencode(form).encode() if form else None,
        method=method,
        headers={"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION},
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as problem:
        with problem:
            said = problem.read(2000).decode(errors="replace")
        raise CannotStart(f"The sandbox refused {method} {path} with {problem.code}: {said}") from problem
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise CannotStart(f"The sandbox at {base} did not answer {method} {path} ({problem}).") from problem
