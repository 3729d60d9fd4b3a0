"""The hosted invoice, ``/i/<token>``, and its PDF."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from sandbox import actions
from sandbox.pages.answers import Rendered, explain, onward
from sandbox.pages.cards import TEST_CARDS, CardForm, read_card
from sandbox.pages.pdf import one_page
from sandbox.pages.wording import day, money

STATUS_WORDS = {
    "draft": "Draft",
    "open": "Open",
    "paid": "Paid",
    "uncollectible": "Uncollectible",
    "void": "Void",
}


def show(token: str) -> str:
    """The invoice; with ways to pay while it can be paid."""
    return _page(token, CardForm(problem=actions.last_message("invoice", token)))


def pay(token: str) -> Response | Rendered:
    """Pay with the saved card or with the one that was typed."""
    here = url_for("pages.invoice", token=token)
    form, card = read_card(request.form)
    if request.form.get("saved") == "1":
        form, card = CardForm(), None
    elif card is None:
        return _page(token, form), 422
    outcome = actions.pay_invoice(token, card)
    return onward(outcome, here) or (_page(token, explain(form, outcome)), 422)


def pdf(token: str) -> Response:
    """The invoice as a PDF of one page."""
    view = actions.invoice_view(token)
    name = view["invoice"].get("number") or view["invoice"]["id"]
    response = Response(one_page(_pdf_lines(view)), content_type="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="{_file_name(name)}.pdf"'
    return response


def _page(token: str, form: CardForm) -> str:
    view = actions.invoice_view(token)
    invoice = view["invoice"]
    return render_template(
        "invoice.html",
        view=view,
        invoice=invoice,
        token=token,
        form=form,
        test_cards=TEST_CARDS,
        status=STATUS_WORDS.get(invoice["status"], invoice["status"]),
        title=f"Invoice {invoice.get('number') or '(draft)'}",
    )


def _pdf_lines(view: dict[str, Any]) -> list[str]:
    invoice = view["invoice"]
    currency = invoice["currency"]
    return [
        f"Invoice {invoice.get('number') or invoice['id']}",
        "",
        f"From: {view['business_name']}",
        f"To: {view.get('customer_email') or ''}",
        f"Date: {day(invoice['created'])}",
        f"Status: {STATUS_WORDS.get(invoice['status'], invoice['status'])}",
        "",
        *(f"{line['description']}    {money(line['amount'], currency)}" for line in view["lines"]),
        "",
        f"Total: {money(invoice['total'], currency)}",
        f"Amount paid: {money(invoice['amount_paid'], currency)}",
        f"Amount due: {money(invoice['amount_remaining'], currency)}",
        "",
        "Sandbox. No money moves.",
    ]


def _file_name(name: str) -> str:
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in name)
