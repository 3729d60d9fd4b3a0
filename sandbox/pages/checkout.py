"""Hosted Checkout, ``/c/pay/<session id>``."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from sandbox import actions, checkout_actions
from sandbox.outcomes import Bank, Card, Typed
from sandbox.pages.answers import Rendered, explain, onward
from sandbox.pages.cards import KINDS, TEST_CARDS, CardForm, listed_means, read_means
from sandbox.pages.forms import ADDRESS, read_typed
from sandbox.pages.guards import allow_redirect_to, go

View = dict[str, Any]
SUBMIT_WORDS = {"book": "Book", "donate": "Donate", "pay": "Pay", "subscribe": "Subscribe"}


def show(session_id: str) -> str | Rendered:
    """The payment form, or what became of the session."""
    view = checkout_actions.checkout_view(session_id)
    if view["session"]["status"] != "open":
        return _closed(view)
    form = CardForm(email=view["email"], problem=actions.last_message("checkout", session_id))
    return _page(view, form)


def submit(session_id: str) -> Response | Rendered:
    """Whatever button was pressed: quantities and a typed code are heeded first, so what is paid was shown before.

    303 to the shop or to the challenge, 422 with the form when it did not go through, 200 when only the order
    changed.
    """
    view = checkout_actions.checkout_view(session_id)
    here = url_for("pages.checkout", session_id=session_id)
    if view["session"]["status"] != "open":
        return go(here)
    kinds = view["session"]["payment_method_types"]
    form, means = read_means(request.form, kinds)
    wrong, form.errors = form.errors, {}
    changed = _change_order(view, form)
    if changed is not None:
        return changed
    typed = read_typed(request.form, view["session"])
    form.errors = wrong if view["method_needed"] else {}
    return _pay(view, form, means if view["method_needed"] else None, typed, here)


def _change_order(view: View, form: CardForm) -> Rendered | None:
    """Quantities and promotion code; the page again where they changed or are wrong, None where they stay."""
    session_id, pressed, before = view["session"]["id"], request.form.get("do", "pay"), view["total"]
    shown = {each["id"]: each["quantity"] for each in view["lines"]}
    wanted = {id_: request.form[f"quantity-{id_}"] for id_ in shown if f"quantity-{id_}" in request.form}
    wrong = checkout_actions.change_quantities(session_id, wanted)
    form.errors = {f"quantity-{id_}": words for id_, words in wrong.items()}
    code = request.form.get("promotion_code", "").strip()
    if pressed == "remove_code":
        checkout_actions.remove_code(session_id)
    elif pressed == "code" or code:
        outcome = checkout_actions.add_code(session_id, code)
        if outcome.kind == "done":
            form.values["promotion_code"] = ""
        else:
            form.errors["promotion_code"] = outcome.message if code else "Enter a code"
    view |= checkout_actions.checkout_view(session_id)
    if form.errors:
        return _page(view, form), 422
    moved = shown != {each["id"]: each["quantity"] for each in view["lines"]} or before != view["total"]
    if pressed == "pay" and not moved:
        return None
    return _page(view, form, "Your order changed. Check the total." if moved else ""), 200


def _pay(
    view: View, form: CardForm, means: Card | Bank | None, typed: Typed, here: str
) -> Response | Rendered:
    session_id = view["session"]["id"]
    form.errors = _in_page_order(checkout_actions.problems(session_id, typed) | form.errors)
    if form.errors:
        return _page(view, form), 422
    outcome = checkout_actions.submit_checkout(session_id, means, typed)
    return onward(outcome, here) or (_page(view, explain(form, outcome)), 422)


def _in_page_order(errors: dict[str, str]) -> dict[str, str]:
    """The payment's problems between the person's and those of the fields below it, as the page shows them."""
    below = {*(name for name, _ in ADDRESS), "save", "consent"}
    first = [name for name in ("email", "phone") if name in errors]
    last = [name for name in errors if name in below or name.startswith("field-")]
    last.sort(key=lambda name: name in ("save", "consent"))
    between = [name for name in errors if name not in first + last]
    return {name: errors[name] for name in first + between + last}


def expire(session_id: str) -> Response:
    """A control of the sandbox, not of Stripe's page: let the session expire now."""
    checkout_actions.expire_checkout(session_id)
    return go(url_for("pages.checkout", session_id=session_id))


def recover(token: str) -> Response:
    """The link of an expired session leads to an open copy of it."""
    return go(url_for("pages.checkout", session_id=checkout_actions.recover_checkout(token)))


def _page(view: View, form: CardForm, notice: str = "") -> str:
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
        notice=notice,
        address=ADDRESS if session["billing_address_collection"] == "required" else (),
        asks_consent=(session["consent_collection"] or {}).get("terms_of_service") == "required",
        asks_save=(session["saved_payment_method_options"] or {}).get("payment_method_save") == "enabled",
        kinds=[(kind, KINDS[kind]) for kind in session["payment_method_types"]],
        test_cards=TEST_CARDS,
        listed=listed_means(session["payment_method_types"]),
    )


def _title(view: View) -> str:
    if view["mode"] == "setup":
        return "Save a payment method"
    name = view["lines"][0]["name"] if view["lines"] else view["business_name"]
    if view["mode"] == "payment":
        return f"Pay for {name}"
    return f"Try {name}" if view.get("trial_days") else f"Subscribe to {name}"


def _button(view: View) -> str:
    if view["mode"] == "setup":
        return "Save"
    words = SUBMIT_WORDS.get(view["session"]["submit_type"] or "")
    if view["mode"] == "subscription":
        return words or ("Start trial" if view.get("trial_days") else "Subscribe")
    return words or "Pay"


def _closed(view: View) -> str | Rendered:
    session, business = view["session"], view["business_name"]
    if session["status"] == "expired":
        recovery = ((session["after_expiration"] or {}).get("recovery") or {}).get("url")
        link, words = (recovery, "Begin again") if recovery else (view["cancel_url"], f"Return to {business}")
        return _notice("This Checkout Session has expired.", "Nothing was charged.", link, words), 410
    paid = session.get("payment_status") == "paid"
    said = (session["custom_text"]["after_submit"] or {}).get("message")
    return _notice(
        "This is already paid." if paid else "This Checkout Session is already complete.",
        said or "There is nothing more to pay here.",
        (session.get("success_url") or "").replace("{CHECKOUT_SESSION_ID}", session["id"]),
        f"Continue to {business}",
    )


def _notice(title: str, text: str, link: str | None, link_text: str) -> str:
    return render_template("notice.html", title=title, text=text, link=link, link_text=link_text)
