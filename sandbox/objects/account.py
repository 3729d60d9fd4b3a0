"""account, webhook_endpoint, test_helpers.test_clock."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def account(id_: str, created: int, name: str, country: str) -> Json:
    """The account that the API key belongs to, as far as a billing desk reads it."""
    return {
        "id": id_,
        "object": "account",
        "business_profile": {"name": name, "url": None, "support_email": None, "mcc": None},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": country,
        "created": created,
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }


def webhook_endpoint(created: int, given: Json) -> Json:
    """`given`: url, enabled_events, api_version, description, metadata. The secret is kept in `_secret`."""
    return {
        "id": ids.dated("we"),
        "object": "webhook_endpoint",
        "api_version": given.get("api_version"),
        "application": None,
        "created": created,
        "description": given.get("description"),
        "enabled_events": given["enabled_events"],
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "status": "enabled",
        "url": given["url"],
        "_secret": new_secret(),
    }


def new_secret() -> str:
    """What an endpoint's deliveries are signed with."""
    return "whsec_" + ids.random_text(32)


def test_clock(created: int, frozen_time: int, name: str | None) -> Json:
    return {
        "id": ids.dated("clock"),
        "object": "test_helpers.test_clock",
        "created": created,
        "deletes_after": created + 30 * 86400,
        "frozen_time": frozen_time,
        "livemode": False,
        "name": name,
        "status": "ready",
        "status_details": {},
    }
