"""What the portal does with a plan: cancel, keep for less, resume, pause, change."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from sandbox import portal_actions
from sandbox.outcomes import Outcome
from sandbox.pages.answers import Rendered, explain
from sandbox.pages.cards import CardForm
from sandbox.pages.guards import go
from sandbox.pages.portal_view import View, back, done, expired, flow, locked, notice, plan, start, view_of

Row = dict[str, Any]
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


def _reach(
    token: str, subscription_id: str, feature: str, *flows: str
) -> tuple[View, Row | None, Response | Rendered | None]:
    """The view and the plan, or what is shown instead where this page is out of reach."""
    view = view_of(token)
    row = plan(view, subscription_id)
    if view["expired"]:
        return view, row, expired(view)
    allowed = view["features"][feature]["enabled"] and locked(view) in ("", *flows)
    return view, row, None if row and allowed else go(start(token))


def _after(view: View, token: str, outcome: Outcome, page: str) -> Response | Rendered:
    return go(done(view, token)) if outcome.kind == "done" else (page, 422)


def cancel_form(token: str, subscription_id: str) -> str | Response | Rendered:
    """What cancelling means, an optional reason, and one button."""
    view, row, instead = _reach(token, subscription_id, "subscription_cancel", "subscription_cancel")
    if row is None or instead:
        return instead or go(start(token))
    return cancel_page(view, token, row)


def cancel(token: str, subscription_id: str) -> Response | Rendered:
    """Cancel, with the reason that was chosen of those that are offered."""
    view, row, instead = _reach(token, subscription_id, "subscription_cancel", "subscription_cancel")
    if row is None or instead:
        return instead or go(start(token))
    feedback = request.form.get("feedback") or None
    known = feedback if feedback in dict(_reasons(view)) else None
    comment = request.form.get("comment", "").strip() or None
    outcome = portal_actions.cancel(token, subscription_id, known, comment)
    return _after(view, token, outcome, cancel_page(view, token, row, outcome.message))


def keep(token: str, subscription_id: str) -> Response | Rendered:
    """Stay, for the coupon that is offered."""
    view, row, instead = _reach(token, subscription_id, "subscription_cancel", "subscription_cancel")
    if row is None or instead:
        return instead or go(start(token))
    outcome = portal_actions.keep(token, subscription_id)
    return _after(view, token, outcome, cancel_page(view, token, row, outcome.message))


def resume(token: str, subscription_id: str) -> Response | Rendered:
    """Take a scheduled cancellation or a pause back."""
    view = view_of(token)
    if view["expired"] or locked(view):
        return go(start(token))
    outcome = portal_actions.resume(token, subscription_id)
    if outcome.kind == "done":
        return go(url_for("pages.portal_home", token=token))
    return notice("This plan was not resumed.", outcome.message, start(token), "Back to your billing"), 422


def pause_form(token: str, subscription_id: str) -> str | Response | Rendered:
    view, row, instead = _reach(token, subscription_id, "subscription_pause", "subscription_pause")
    if row is None or instead:
        return instead or go(start(token))
    return pause_page(view, token, row)


def pause(token: str, subscription_id: str) -> Response | Rendered:
    view, row, instead = _reach(token, subscription_id, "subscription_pause", "subscription_pause")
    if row is None or instead:
        return instead or go(start(token))
    outcome = portal_actions.pause(token, subscription_id)
    return _after(view, token, outcome, pause_page(view, token, row, outcome.message))


def change_form(token: str, subscription_id: str) -> str | Response | Rendered:
    """The plans that one may change to."""
    view, row, instead = _reach(token, subscription_id, "subscription_update", "subscription_update")
    if row is None or instead:
        return instead or go(start(token))
    return change_page(view, token, row, CardForm())


def change(token: str, subscription_id: str) -> str | Response | Rendered:
    """Show what the chosen change costs; make it once that is confirmed."""
    flows = ("subscription_update", "subscription_update_confirm")
    view, row, instead = _reach(token, subscription_id, "subscription_update", *flows)
    if row is None or instead:
        return instead or go(start(token))
    sent = {name: value.strip() for name, value in request.form.items()}
    if flow(view)[0] == "subscription_update_confirm":
        sent |= _asked(view)
    form = CardForm(values=sent)
    price, code = sent.get("price", ""), sent.get("promotion_code", "")
    quantity = sent.get(f"quantity-{price}") or sent.get("quantity") or str(row["quantity"])
    form.errors = portal_actions.change_problem(token, subscription_id, price, quantity, code)
    if form.errors:
        return change_page(view, token, row, form), 422
    chosen = (price, int(quantity), code)
    at = sent.get("at", "")
    if sent.get("do") != "confirm" or not at.isdigit():
        return _confirm_page(view, token, row, chosen)
    outcome = portal_actions.confirm_change(token, subscription_id, chosen, int(at))
    if outcome.kind == "done":
        return go(done(view, token))
    return _confirm_page(view, token, row, chosen, outcome.message), 422


def _asked(view: View) -> dict[str, str]:
    (item,) = view["flow"]["subscription_update_confirm"]["items"]
    return {"price": item["price"], "quantity": str(item["quantity"]), "promotion_code": ""}


def asked_page(view: View, token: str, row: Row) -> str:
    """The one change that the shop asks to confirm."""
    asked = _asked(view)
    return _confirm_page(view, token, row, (asked["price"], int(asked["quantity"]), ""))


def change_page(view: View, token: str, row: Row, form: CardForm) -> str:
    return render_template(
        "portal_change.html",
        view=view,
        plan=row,
        form=form,
        choices=portal_actions.plan_choices(token, row["id"]),
        takes_code="promotion_code" in view["features"]["subscription_update"]["default_allowed_updates"],
        title="Change plan",
        back=back(view, token),
        action=url_for("pages.portal_change_plan", token=token, subscription_id=row["id"]),
    )


def _confirm_page(view: View, token: str, row: Row, chosen: tuple[str, int, str], problem: str = "") -> str:
    shown = portal_actions.rehearse_change(token, row["id"], chosen)
    form = CardForm(problem=problem or shown["problem"])
    return render_template(
        "portal_confirm.html",
        view=view,
        plan=row,
        form=form,
        chosen=chosen,
        new=portal_actions.price_words(chosen[0], row["currency"]),
        shown=shown,
        title="Confirm the change",
        back=back(view, token),
        action=url_for("pages.portal_change_plan", token=token, subscription_id=row["id"]),
    )


def _reasons(view: View) -> list[tuple[str, str]]:
    asked = view["features"]["subscription_cancel"]["cancellation_reason"]
    return [each for each in FEEDBACK if each[0] in asked["options"]] if asked["enabled"] else []


def cancel_page(view: View, token: str, row: Row, problem: str = "") -> str:
    return render_template(
        "portal_cancel.html",
        view=view,
        plan=row,
        form=explain(CardForm(), Outcome("declined", problem)) if problem else CardForm(),
        feedback=_reasons(view),
        how=view["features"]["subscription_cancel"],
        title=f"Cancel {row['name']}",
        back=back(view, token),
        action=url_for("pages.portal_cancel_plan", token=token, subscription_id=row["id"]),
        keep=url_for("pages.portal_keep", token=token, subscription_id=row["id"]),
    )


def pause_page(view: View, token: str, row: Row, problem: str = "") -> str:
    return render_template(
        "portal_pause.html",
        view=view,
        plan=row,
        form=CardForm(problem=problem),
        title=f"Pause {row['name']}",
        back=back(view, token),
        action=url_for("pages.portal_pause_plan", token=token, subscription_id=row["id"]),
    )
