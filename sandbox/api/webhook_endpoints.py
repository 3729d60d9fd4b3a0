"""/v1/webhook_endpoints."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sandbox import clock
from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.errors import request_error, required
from sandbox.events import change
from sandbox.house import API_VERSIONS, db
from sandbox.objects import account

Json = dict[str, Any]

MOST = 16


def create(call: Call) -> Json:
    """The only answer that shows the secret."""
    params = call.params
    if not params.texts("enabled_events"):
        raise required("enabled_events")
    if len(db().all("webhook_endpoint")) >= MOST:
        raise request_error(f"You have reached the maximum of {MOST} test webhook endpoints.")
    version = params.text("api_version")
    if version is not None and version not in API_VERSIONS:
        raise request_error(f"Invalid Stripe API version: {version}", param="api_version")
    given = {
        "url": _url(params),
        "enabled_events": params.texts("enabled_events"),
        "api_version": version,
        "description": params.text("description"),
        "metadata": params.metadata(),
    }
    endpoint = db().put(account.webhook_endpoint(clock.wall(), given))
    return endpoint | {"secret": endpoint["_secret"]}


def _url(params: Params) -> str:
    url = params.need("url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise request_error(
            "Invalid URL: an explicit scheme (such as https) must be provided.", "url_invalid", "url"
        )
    return url


def retrieve(call: Call) -> Json:
    return call.subject("webhook_endpoint", "webhook endpoint")


def update(call: Call) -> Json:
    endpoint, params = retrieve(call), call.params
    changed: Json = params.words("description")
    if params.has("url"):
        changed["url"] = _url(params)
    if params.has("enabled_events"):
        changed["enabled_events"] = params.texts("enabled_events")
    if params.has("disabled"):
        changed["status"] = "disabled" if params.flag("disabled") else "enabled"
    if params.has("metadata"):
        changed["metadata"] = params.metadata(endpoint["metadata"])
    return change(endpoint, None, **changed)


def delete(call: Call) -> Json:
    endpoint = retrieve(call)
    db().delete(endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def roll(endpoint_id: str, keep_old_seconds: float) -> str:
    """Give an endpoint another secret; the old one signs too for so long (Stripe: up to a day). The new one.

    Stripe's dashboard does this; its API has no operation for it.
    """
    endpoint = db().get("webhook_endpoint", endpoint_id)
    endpoint |= {
        "_old_secret": endpoint["_secret"],
        "_old_until": clock.exact() + keep_old_seconds,
        "_secret": account.new_secret(),
    }
    db().put(endpoint)
    return str(endpoint["_secret"])


def list_(call: Call) -> Json:
    return listing.page(call, "webhook_endpoint", "/v1/webhook_endpoints")


OPERATIONS = (
    Operation(
        "POST", "/v1/webhook_endpoints", create,
        "url enabled_events.# api_version description metadata.* connect",
    ),
    Operation("GET", "/v1/webhook_endpoints", list_, LISTED),
    Operation("GET", "/v1/webhook_endpoints/<id>", retrieve),
    Operation(
        "POST", "/v1/webhook_endpoints/<id>", update, "url enabled_events.# description disabled metadata.*"
    ),
    Operation("DELETE", "/v1/webhook_endpoints/<id>", delete),
)  # fmt: skip
