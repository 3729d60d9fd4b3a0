"""billing_portal.session and billing_portal.configuration."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json

REASONS = (
    "too_expensive missing_features switched_service unused customer_service too_complex low_quality other"
)

FLOWS = (
    "customer_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
)


def session(created: int, customer: str, configuration: str, given: Json) -> Json:
    """`given`: base_url, return_url, locale, flow (already in its complete shape, or None)."""
    token = "test_" + ids.random_text(40)
    return {
        "id": ids.dated("bps"),
        "object": "billing_portal.session",
        "after_expiration": given.get("after_expiration"),
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


def flow(type_: str, data: Json, after: Json) -> Json:
    """The complete shape of a flow. `data` is what the flow is about, `after` flow_data[after_completion]."""
    hosted, redirect = after.get("hosted_confirmation"), after.get("redirect")
    return {
        "after_completion": {
            "hosted_confirmation": {"custom_message": hosted.get("custom_message")} if hosted else None,
            "redirect": {"return_url": redirect["return_url"]} if redirect else None,
            "type": after["type"],
        },
        **dict.fromkeys(FLOWS),
        **({} if type_ == "payment_method_update" else {type_: data}),
        "type": type_,
    }


def configuration(created: int, metadata: Json, features: Json, default: bool = False) -> Json:
    return {
        "id": ids.dated("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": created,
        "default_return_url": None,
        "features": features,
        "is_default": default,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": metadata,
        "name": None,
        "updated": created,
    }


def usual() -> Json:
    """The features of the default configuration."""
    features = off()
    for name in ("invoice_history", "payment_method_update", "subscription_cancel"):
        features[name]["enabled"] = True
    features["subscription_cancel"]["cancellation_reason"]["enabled"] = True
    return features


def off() -> Json:
    """Every feature, none of them enabled."""
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": False},
        "payment_method_update": {"enabled": False, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": False, "feedback_options": [], "options": REASONS.split()},
            "enabled": False,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": [],
            "enabled": False,
            "products": [],
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }
