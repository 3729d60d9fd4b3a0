"""Hosted Checkout, ``/c/pay/<session id>``."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from sandbox import actions
from sandbox.actions import Card
from sandbox.pages.answers import Rendered, explain, onward
from sandbox.pages.cards import TEST_CARDS, CardForm, read_card
from sandbox.pages.guards import allow_redirect_to, go


def show(session_id: str) -> str | Rendered:
    """The payment form, or what became of the session."""
    view = actions.checkout_view(session_id)
    if view["session"]["status"] != "open":
        return _closed(view)
    form = CardForm(email=view.get("email") or "", problem=actions.last_message("checkout", session_id))
    return _page(view, form)


def pay(session_id: str) -> Response | Rendered:
    """Submit the card: 303 to the shop or to the challenge, 422 with the form when it did not go through."""
    view = actions.checkout_view(session_id)
    here = url_for("pages.checkout", session_id=session_id)
    if view["session"]["status"] != "open":
        return go(here)
    form, card = _read(view)
    if form.errors:
        return _page(view, form), 422
    outcome = actions.submit_checkout(session_id, card, None if view["email_locked"] else form.email)
    return onward(outcome, here) or (_page(view, explain(form, outcome)), 422)


def expire(session_id: str) -> Response:
    """A control of the sandbox, not of Stripe's page: let the session expire now."""
    actions.expire_checkout(session_id)
    return go(url_for("pages.checkout", session_id=session_id))


def _read(view: dict[str, Any]) -> tuple[CardForm, Card | None]:
    form, card = read_card(request.form)
    if not view["card_needed"]:
        card, form.errors = None, {}
    if not view["email_locked"] and "@" not in form.email:
        form.errors["email"] = "Enter an email address, like name@example.com"
    return form, card


def _page(view: dict[str, Any], form: CardForm) -> str:
    session = view["session"]
    allow_redirect_to(session.get("success_url"), view.get("cancel_url"), session.get("return_url"))
    if view["email_locked"]:
        form.email = view["email"]
    return render_template(
        "checkout.html",
        view=view,
        session=session,
        title=_title(view),
        button=_button(view),
        form=form,
        test_cards=TEST_CARDS,
    )


def _title(view: dict[str, Any]) -> str:
    if view["mode"] == "setup":
        return "Save a card"
    name = view["lines"][0]["name"] if view["lines"] else view["business_name"]
    if view["mode"] == "payment":
        return f"Pay for {name}"
    return f"Try {name}" if view.get("trial_days") else f"Subscribe to {name}"


def _button(view: dict[str, Any]) -> str:
    if view["mode"] == "subscription":
        return "Start trial" if view.get("trial_days") else "Subscribe"
    return "Pay" if view["mode"] == "payment" else "Save card"


def _closed(view: dict[str, Any]) -> str | Rendered:
    session, business = view["session"], view["business_name"]
    if session["status"] == "expired":
        return _notice(
            "This Checkout Session has expired.",
            "Nothing was charged.",
            view.get("cancel_url"),
            f"Return to {business}",
        ), 410
    paid = session.get("payment_status") == "paid"
    return _notice(
        "This is already paid." if paid else "This Checkout Session is already complete.",
        "There is nothing more to pay here.",
        (session.get("success_url") or "").replace("{CHECKOUT_SESSION_ID}", session["id"]),
        f"Continue to {business}",
    )


def _notice(title: str, text: str, link: str | None, link_text: str) -> str:
    return render_template("notice.html", title=title, text=text, link=link, link_text=link_text)
