"""The Billing Portal, ``/p/session/<token>``: its home, payment methods, the customer's details, and where flows go."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from sandbox import actions, portal_actions
from sandbox.outcomes import Outcome
from sandbox.pages import portal_plans
from sandbox.pages.answers import Rendered, explain, onward
from sandbox.pages.cards import TEST_CARDS, CardForm, read_card
from sandbox.pages.forms import ADDRESS
from sandbox.pages.guards import go
from sandbox.pages.portal_view import (
    View,
    back,
    done,
    expired,
    flow,
    locked,
    notice,
    plan,
    plan_row,
    start,
    view_of,
)


def show(token: str) -> str | Response | Rendered:
    """The portal's home, or the page of the one flow that this session is for."""
    view = view_of(token)
    if view["expired"]:
        return expired(view)
    kind, about = flow(view)
    row = plan(view, about)
    if kind == "payment_method_update":
        return _card_page(view, token, CardForm(problem=actions.last_message("portal", token)))
    if kind == "customer_update":
        return _details_page(view, token, _known(view))
    if kind == "subscription_cancel" and row:
        return portal_plans.cancel_page(view, token, row)
    if kind == "subscription_pause" and row:
        return portal_plans.pause_page(view, token, row)
    if kind == "subscription_update" and row:
        return portal_plans.change_page(view, token, row, CardForm())
    if kind == "subscription_update_confirm" and row:
        return portal_plans.asked_page(view, token, row)
    return _home_page(view, token)


def home(token: str) -> str | Response | Rendered:
    """Where a finished flow ends when the shop named no address: the portal's home, or Stripe's thanks."""
    view = view_of(token)
    if view["expired"]:
        return expired(view)
    after = (view.get("flow") or {}).get("after_completion") or {}
    if after.get("type") == "redirect":
        return go(start(token))
    if after.get("type") != "hosted_confirmation":
        return _home_page(view, token)
    words = (after.get("hosted_confirmation") or {}).get("custom_message") or ""
    return notice("Your changes are saved.", words, view["return_url"], f"Return to {view['business_name']}")


def revive(token: str) -> Response | Rendered:
    """Open an expired link again by the customer's email address."""
    view = view_of(token)
    outcome = portal_actions.revive(token, request.form.get("email", ""))
    if outcome.kind == "done":
        return go(start(token))
    form = CardForm(email=request.form.get("email", ""), errors=outcome.errors)
    return expired(view, form)


def card_form(token: str) -> str | Response | Rendered:
    """The form for another card."""
    view = view_of(token)
    if view["expired"]:
        return expired(view)
    if not _open(view, "payment_method_update"):
        return go(start(token))
    return _card_page(view, token, CardForm())


def update_card(token: str) -> Response | Rendered:
    """Make the card that was typed the one that is charged."""
    view = view_of(token)
    if view["expired"] or not _open(view, "payment_method_update"):
        return go(start(token))
    form, card = read_card(request.form)
    if card is None:
        return _card_page(view, token, form), 422
    outcome = portal_actions.update_card(token, card)
    if outcome.kind == "done":
        return go(done(view, token))
    return onward(outcome, start(token)) or (_card_page(view, token, explain(form, outcome)), 422)


def set_default(token: str, method_id: str) -> Response | Rendered:
    return _at_home(token, lambda: portal_actions.set_default(token, method_id))


def remove_method(token: str, method_id: str) -> Response | Rendered:
    return _at_home(token, lambda: portal_actions.remove_method(token, method_id))


def _at_home(token: str, act: Any) -> Response | Rendered:
    """Something that is done from the portal's home, and leads back to it."""
    view = view_of(token)
    if view["expired"] or locked(view):
        return go(start(token))
    outcome: Outcome = act()
    if outcome.kind == "done":
        return go(url_for("pages.portal_home", token=token))
    return _home_page(view, token, outcome.message), 422


def details(token: str) -> str | Response | Rendered:
    """Name, address, email and phone, as far as the shop lets them be changed."""
    view = view_of(token)
    if view["expired"]:
        return expired(view)
    if not _open(view, "customer_update"):
        return go(start(token))
    return _details_page(view, token, _known(view))


def update_details(token: str) -> Response | Rendered:
    view = view_of(token)
    if view["expired"] or not _open(view, "customer_update"):
        return go(start(token))
    typed = {name: value.strip() for name, value in request.form.items()}
    outcome = portal_actions.update_customer(token, typed)
    if outcome.kind == "done":
        return go(done(view, token))
    form = explain(CardForm(values=typed), outcome)
    return _details_page(view, token, form), 422


def _open(view: View, feature: str) -> bool:
    """Whether the shop allows it, and this session's flow is no other."""
    return bool(view["features"][feature]["enabled"]) and locked(view) in ("", feature)


def _known(view: View) -> CardForm:
    customer = view["customer"]
    values = {name: customer[name] or "" for name in ("name", "email", "phone")}
    values |= {name: value or "" for name, value in (customer["address"] or {}).items()}
    return CardForm(values=values)


def _home_page(view: View, token: str, problem: str = "") -> str:
    return render_template(
        "portal.html",
        view=view,
        token=token,
        plans=[plan_row(each) for each in view["subscriptions"]],
        problem=problem or actions.last_message("portal", token),
        title="Your billing",
    )


def _card_page(view: View, token: str, form: CardForm) -> str:
    return render_template(
        "portal_card.html",
        view=view,
        form=form,
        test_cards=TEST_CARDS,
        title="Update payment method",
        back=back(view, token),
        action=url_for("pages.portal_update_card", token=token),
    )


def _details_page(view: View, token: str, form: CardForm) -> str:
    return render_template(
        "portal_details.html",
        view=view,
        form=form,
        allowed=view["features"]["customer_update"]["allowed_updates"],
        address=ADDRESS,
        title="Billing information",
        back=back(view, token),
        action=url_for("pages.portal_update_details", token=token),
    )
