"""What follows a submitted form: onward, or the same form again with its problem."""

from __future__ import annotations

from flask import Response, make_response, render_template

from sandbox.actions import Outcome
from sandbox.pages.cards import CardForm
from sandbox.pages.guards import go

Rendered = tuple[str, int]
FIELDS = frozenset(["number", "expiry", "cvc", "name", "email", "iban", "account_number", "routing_number"])
# Stripe names the parts of the expiry date; the form has one field.
FIELD_OF_PARAM = {"exp": "expiry", "exp_month": "expiry", "exp_year": "expiry"}


def onward(outcome: Outcome, fallback: str) -> Response | None:
    """A 303 when the outcome leads somewhere (done, or a challenge), None when the form must stay."""
    if outcome.kind in ("done", "challenge"):
        return go(outcome.redirect_url or fallback)
    return None


def explain(form: CardForm, outcome: Outcome) -> CardForm:
    """Put the outcome's message where the person looks: at the field it names, else above the form."""
    if outcome.errors:
        form.errors |= outcome.errors
        return form
    message = outcome.message or "Your card was declined."
    field = FIELD_OF_PARAM.get(outcome.field, outcome.field)
    if outcome.kind == "bad_input" and field in FIELDS:
        form.errors[field] = message
    else:
        form.problem = message
    return form


def not_found(_error: Exception) -> Response:
    """404 for a page address that the sandbox never gave out, or whose data was removed."""
    return make_response(
        render_template(
            "notice.html",
            title="Page not found",
            text="The sandbox knows nothing under this address. It may belong to data that was removed.",
            link="",
            link_text="",
        ),
        404,
    )


def not_a_page(_error: Exception) -> Response:
    """405 for the address of a form, opened or reloaded as if it were a page."""
    page = render_template(
        "notice.html",
        title="There is no page here",
        text="This address only takes what a form sends. Go back to the page with the form.",
        link="",
        link_text="",
    )
    return make_response(page, 405)
