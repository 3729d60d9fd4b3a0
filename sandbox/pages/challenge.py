"""The bank's 3D Secure page, ``/3ds/<token>``."""

from __future__ import annotations

from flask import Response, abort, render_template, request

from sandbox import checkout_actions
from sandbox.pages.answers import onward
from sandbox.pages.guards import allow_redirect_to, go


def show(token: str) -> str:
    """Amount, business and card, with the two answers a tester can give."""
    view = checkout_actions.challenge_view(token)
    way_out = _way_out(view.get("cancel_url"))
    allow_redirect_to(view.get("success_url"), way_out, view.get("return_url"))
    return render_template(
        "challenge.html",
        view=view,
        way_out=way_out,
        title="Confirm this payment" if view["amount"] else "Confirm this card",
    )


def answer(token: str) -> Response:
    """Pass or fail the authentication; the engine says where the browser goes."""
    choice = request.form.get("answer")
    if choice not in ("pass", "fail"):
        abort(400, "answer is pass or fail")
    outcome = checkout_actions.answer_challenge(token, choice == "pass")
    return onward(outcome, "/") or go(outcome.redirect_url or "/")


def _way_out(asking_page: str | None) -> str | None:
    """Where leaving leads: from Checkout to the shop's own cancel page, else to the page that asked."""
    asked = (asking_page or "").removeprefix(request.host_url)
    if not asked.startswith("c/pay/"):
        return asking_page
    cancel_url: str | None = checkout_actions.checkout_view(asked.removeprefix("c/pay/"))["cancel_url"]
    return cancel_url or asking_page
