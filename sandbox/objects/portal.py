"""billing_portal.session and billing_portal.configuration."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json

REASONS = (
    "too_expensive missing_features switched_service unused customer_service too_complex low_quality other"
)


def session(created: int, customer: str, configuration: str, given: Json) -> Json:
    """`given`: base_url, return_url, locale, flow (already in its complete shape, or None)."""
    token = "test_" + ids.random_text(40)
    return {
        "id": ids.dated("bps"),
        "object": "billing_portal.session",
        "after_expiration": None,
        "configuration": configuration,
        "created": created,
        "customer": customer,
        "customer_account": None,
        "flow": given.get("flow"),
        "livemode": False,
        "locale": given.get("locale"),
        "on_behalf_of": None,
        "return_url": given.get("return_url"),
        "url": f"{given['base_url']}/p/session/{token}",
        "_token": token,
        "_used_at": None,
    }


def flow(type_: str, subscription: str | None, after: Json) -> Json:
    """The complete shape of a flow. `after` is flow_data[after_completion] or empty."""
    hosted, redirect = after.get("hosted_confirmation"), after.get("redirect")
    return {
        "after_completion": {
            "hosted_confirmation": {"custom_message": hosted.get("custom_message")} if hosted else None,
            "redirect": {"return_url": redirect["return_url"]} if redirect else None,
            "type": after.get("type", "portal_homepage"),
        },
        "customer_update": None,
        "subscription_cancel": {"retention": None, "subscription": subscription} if subscription else None,
        "subscription_pause": None,
        "subscription_update": None,
        "subscription_update_confirm": None,
        "type": type_,
    }


def configuration(created: int) -> Json:
    """The one default configuration that an account has once its settings were saved."""
    return {
        "id": ids.dated("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": created,
        "default_return_url": None,
        "features": _features(),
        "is_default": True,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": created,
    }


def _features() -> Json:
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": True, "options": REASONS.split()},
            "enabled": True,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": [],
            "enabled": False,
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }
