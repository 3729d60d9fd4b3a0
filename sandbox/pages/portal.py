"""The Billing Portal, ``/p/session/<token>``: plans, card, invoices; or the one flow the shop asked for."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from sandbox import actions
from sandbox.pages.answers import Rendered, explain, onward
from sandbox.pages.cards import TEST_CARDS, CardForm, read_card
from sandbox.pages.guards import allow_redirect_to, go

View = dict[str, Any]
FEEDBACK = (
    ("too_expensive", "It is too expensive"),
    ("missing_features", "I need features that are missing"),
    ("switched_service", "I am switching to another product"),
    ("unused", "I do not use it enough"),
    ("customer_service", "Customer service was not good enough"),
    ("too_complex", "It is too hard to use"),
    ("low_quality", "The quality was not good enough"),
    ("other", "Another reason"),
)
ENDED = frozenset({"canceled", "incomplete_expired"})


def show(token: str) -> str | Response | Rendered:
    """The portal's home, or the page of the one flow that this session is for."""
    view = _view(token)
    if view["expired"]:
        return _expired()
    kind, subscription_id = _flow(view)
    if kind == "payment_method_update":
        return _card_page(view, token, CardForm(problem=actions.last_message("portal", token)))
    if kind == "subscription_cancel" and (plan := _plan(view, subscription_id)):
        return _cancel_page(view, token, plan)
    return _home_page(view, token)


def home(token: str) -> str | Response | Rendered:
    """Where a finished flow ends when the shop named no address: the portal's home, or Stripe's thanks."""
    view = _view(token)
    if view["expired"]:
        return _expired()
    after = (view.get("flow") or {}).get("after_completion") or {}
    if after.get("type") == "redirect":
        return go(_start(token))
    if after.get("type") != "hosted_confirmation":
        return _home_page(view, token)
    words = (after.get("hosted_confirmation") or {}).get("custom_message") or ""
    return _notice("Your changes are saved.", words, view["return_url"], f"Return to {view['business_name']}")


def card_form(token: str) -> str | Response | Rendered:
    """The form for another card."""
    view = _view(token)
    if view["expired"]:
        return _expired()
    if _locked(view) not in ("", "payment_method_update"):
        return go(_start(token))
    return _card_page(view, token, CardForm())


def update_card(token: str) -> Response | Rendered:
    """Make the card that was typed the one that is charged."""
    view = _view(token)
    if view["expired"]:
        return go(_start(token))
    form, card = read_card(request.form)
    if card is None:
        return _card_page(view, token, form), 422
    outcome = actions.portal_update_card(token, card)
    if outcome.kind == "done":
        return go(_done(view, token))
    return onward(outcome, _start(token)) or (_card_page(view, token, explain(form, outcome)), 422)


def cancel_form(token: str, subscription_id: str) -> str | Response | Rendered:
    """What cancelling means, an optional reason, and one button."""
    view = _view(token)
    if view["expired"]:
        return _expired()
    plan = _plan(view, subscription_id)
    if plan is None or _locked(view) not in ("", "subscription_cancel"):
        return go(_start(token))
    return _cancel_page(view, token, plan)


def cancel(token: str, subscription_id: str) -> Response | Rendered:
    """Cancel at the end of the period that is paid."""
    view = _view(token)
    plan = _plan(view, subscription_id)
    if view["expired"] or plan is None:
        return go(_start(token))
    feedback = request.form.get("feedback") or None
    known = feedback if feedback in dict(FEEDBACK) else None
    comment = request.form.get("comment", "").strip() or None
    outcome = actions.portal_cancel(token, subscription_id, known, comment)
    if outcome.kind == "done":
        return go(_done(view, token))
    return _cancel_page(view, token, plan, outcome.message), 422


def resume(token: str, subscription_id: str) -> Response | Rendered:
    """Take a scheduled cancellation back."""
    view = _view(token)
    if view["expired"] or _locked(view):
        return go(_start(token))
    outcome = actions.portal_resume(token, subscription_id)
    if outcome.kind == "done":
        return go(_done(view, token))
    return _notice("This plan was not resumed.", outcome.message, _start(token), "Back to your billing"), 422


def _view(token: str) -> View:
    view: View = actions.portal_view(token)
    allow_redirect_to(view.get("return_url"), view.get("after_completion_url"))
    return view


def _flow(view: View) -> tuple[str, str]:
    """``(type, subscription id)`` of the session's flow; two empty strings without one."""
    flow = view.get("flow") or {}
    kind = str(flow.get("type") or "")
    return kind, str((flow.get(kind) or {}).get("subscription") or "")


def _locked(view: View) -> str:
    """The flow that this session may not leave; empty when the portal's home is open to it."""
    after = (view.get("flow") or {}).get("after_completion") or {}
    return _flow(view)[0] if after.get("type") in ("redirect", "hosted_confirmation") else ""


def _start(token: str) -> str:
    return url_for("pages.portal", token=token)


def _done(view: View, token: str) -> str:
    """Where something that was done leads: as the flow's after_completion says."""
    return str(view.get("after_completion_url") or url_for("pages.portal_home", token=token))


def _home_page(view: View, token: str) -> str:
    return render_template(
        "portal.html",
        view=view,
        token=token,
        plans=[_plan_row(each) for each in view["subscriptions"]],
        problem=actions.last_message("portal", token),
        title="Your billing",
    )


def _plan(view: View, subscription_id: str) -> dict[str, Any] | None:
    running = (each for each in view["subscriptions"] if each["status"] not in ENDED)
    return next((_plan_row(each) for each in running if each["id"] == subscription_id), None)


def _plan_row(subscription: dict[str, Any]) -> dict[str, Any]:
    """What the page says of one subscription: name, price, dates, and whether an end is scheduled."""
    items = subscription["items"]["data"]
    price = items[0]["price"] if items else {}
    recurring = price.get("recurring") or {}
    return {
        "id": subscription["id"],
        "status": subscription["status"],
        "name": subscription.get("product_name") or "Plan",
        "amount": sum(_amount(item) for item in items),
        "currency": subscription["currency"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "period_end": items[0]["current_period_end"] if items else None,
        "ends_at": subscription.get("cancel_at"),
        "ending": bool(subscription.get("cancel_at_period_end") or subscription.get("cancel_at")),
        "ended": subscription["status"] in ENDED,
        "ended_at": subscription.get("ended_at"),
    }


def _amount(item: dict[str, Any]) -> int:
    return int(item["price"].get("unit_amount") or 0) * int(item.get("quantity") or 1)


def _card_page(view: View, token: str, form: CardForm) -> str:
    return render_template(
        "portal_card.html",
        view=view,
        form=form,
        test_cards=TEST_CARDS,
        title="Update payment method",
        back=view["return_url"] if view.get("flow") else _start(token),
        action=url_for("pages.portal_update_card", token=token),
    )


def _cancel_page(view: View, token: str, plan: dict[str, Any], problem: str = "") -> str:
    return render_template(
        "portal_cancel.html",
        view=view,
        plan=plan,
        problem=problem,
        feedback=FEEDBACK,
        title=f"Cancel {plan['name']}",
        back=view["return_url"] if view.get("flow") else _start(token),
        action=url_for("pages.portal_cancel_plan", token=token, subscription_id=plan["id"]),
    )


def _expired() -> Rendered:
    text = "Portal links work for a short time. Go back to the shop and open the page from there again."
    return _notice("This link has expired.", text, "", ""), 410


def _notice(title: str, text: str, link: str, link_text: str) -> str:
    return render_template("notice.html", title=title, text=text, link=link, link_text=link_text)
