"""What the desk's pages write the same way: times, and addresses of objects in Stripe's Dashboard."""

from __future__ import annotations

from datetime import datetime

from flask import current_app, request, url_for
from markupsafe import Markup

from billing import running

DASHBOARD = "https://dashboard.stripe.com"


def moment(when: datetime | None) -> Markup:
    """“3 December 2026, 14:05 UTC” in a ``<time>``; nothing for None."""
    return Markup(current_app.jinja_env.filters["moment"](when))  # noqa: S704 the filter escapes


def in_dashboard(path: str) -> str | None:
    """The address of ``subscriptions/sub_…`` and the like. None where Stripe is not Stripe but a stand-in."""
    config = running.config()
    if config.stripe_api_base:
        return None
    return f"{DASHBOARD}/{'' if config.livemode else 'test/'}{path}"


def stripe_object(kind: str, stripe_id: str) -> Markup | str:
    """An id, as a link into the Dashboard where there is one. ``kind``: subscriptions, customers, …"""
    address = in_dashboard(f"{kind}/{stripe_id}")
    return Markup('<a href="{}">{}</a>').format(address, stripe_id) if address else stripe_id


def timeline(subscription_id: str) -> Markup | None:
    """The way to the page of one subscription; None on that page itself."""
    address = url_for("admin.subscription", subscription_id=subscription_id)
    if request.path == address:
        return None
    return Markup('<a href="{}">Everything about {}</a>').format(address, subscription_id)
