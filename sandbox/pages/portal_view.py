"""What the portal's pages share: the view, the flow that a session is for, and the ways out."""

from __future__ import annotations

from typing import Any

from flask import render_template, url_for

from sandbox import portal_actions
from sandbox.pages.answers import Rendered
from sandbox.pages.cards import CardForm
from sandbox.pages.guards import allow_redirect_to

View = dict[str, Any]
ENDED = frozenset({"canceled", "incomplete_expired"})


def view_of(token: str) -> View:
    view: View = portal_actions.portal_view(token)
    allow_redirect_to(view.get("return_url"), view.get("after_completion_url"))
    return view


def flow(view: View) -> tuple[str, str]:
    """``(type, subscription id)`` of the session's flow; two empty strings without one."""
    known = view.get("flow") or {}
    kind = str(known.get("type") or "")
    return kind, str((known.get(kind) or {}).get("subscription") or "")


def locked(view: View) -> str:
    """The flow that this session may not leave; empty when the portal's home is open to it."""
    after = (view.get("flow") or {}).get("after_completion") or {}
    return flow(view)[0] if after.get("type") in ("redirect", "hosted_confirmation") else ""


def start(token: str) -> str:
    return url_for("pages.portal", token=token)


def back(view: View, token: str) -> str:
    """Where leaving a page without doing anything leads."""
    return str(
        (view["return_url"] if view.get("flow") else None) or url_for("pages.portal_home", token=token)
    )


def done(view: View, token: str) -> str:
    """Where something that was done leads: as the flow's after_completion says."""
    return str(view.get("after_completion_url") or url_for("pages.portal_home", token=token))


def plan(view: View, subscription_id: str) -> dict[str, Any] | None:
    running = (each for each in view["subscriptions"] if each["status"] not in ENDED)
    return next((plan_row(each) for each in running if each["id"] == subscription_id), None)


def plan_row(subscription: dict[str, Any]) -> dict[str, Any]:
    """What the page says of one subscription: name, price, dates, and whether an end is scheduled."""
    items = subscription["items"]["data"]
    price = items[0]["price"] if items else {}
    recurring = price.get("recurring") or {}
    return {
        "id": subscription["id"],
        "status": subscription["status"],
        "name": subscription["product_name"],
        "amount": subscription["amount"],
        "currency": subscription["currency"],
        "quantity": items[0]["quantity"] if items else 1,
        "price": price.get("id"),
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "period_end": items[0]["current_period_end"] if items else None,
        "ends_at": subscription.get("cancel_at"),
        "ending": bool(subscription.get("cancel_at_period_end") or subscription.get("cancel_at")),
        "ended": subscription["status"] in ENDED,
        "ended_at": subscription.get("ended_at"),
        "can_update": subscription["can_update"],
        "changes_at": subscription["changes_at"],
    }


def expired(view: View, form: CardForm | None = None) -> Rendered:
    """The page of a link that no longer works; with a way back where the session has one."""
    if view["recoverable"]:
        page = render_template(
            "portal_expired.html", view=view, form=form or CardForm(), title="This link has expired."
        )
        return page, 422 if form else 410
    text = "Portal links work for a short time. Go back to the shop and open the page from there again."
    words = f"Return to {view['business_name']}"
    return notice("This link has expired.", text, view["return_url"], words), 410


def notice(title: str, text: str, link: str, link_text: str) -> str:
    return render_template("notice.html", title=title, text=text, link=link, link_text=link_text)
