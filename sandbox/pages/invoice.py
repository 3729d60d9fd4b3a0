"""The hosted invoice, ``/i/<token>``, its PDF, and the receipt of a charge, ``/receipts/<token>``."""

from __future__ import annotations

from flask import Response, render_template, request, url_for

from sandbox import actions, invoice_actions
from sandbox.pages import invoice_words
from sandbox.pages.answers import Rendered, explain, onward
from sandbox.pages.cards import KINDS, TEST_CARDS, CardForm, listed_means, read_means
from sandbox.pages.guards import go

SAID = {
    "paid": "This invoice is paid. There is nothing more to do here.",
    "void": "This invoice is void: nothing is to be paid.",
    "draft": "This invoice is a draft.",
}


def show(token: str) -> str:
    """The invoice; with ways to pay while it can be paid."""
    return _page(token, CardForm(problem=actions.last_message("invoice", token)))


def pay(token: str) -> Response | Rendered:
    """Pay with the saved method or with what was typed."""
    here = url_for("pages.invoice", token=token)
    view = invoice_actions.invoice_view(token)
    if not view["payable"]:
        return go(here)
    form, means = read_means(request.form, view["kinds"])
    if request.form.get("saved") == "1":
        form, means = CardForm(), None
    elif means is None:
        return _page(token, form), 422
    outcome = invoice_actions.pay_invoice(token, means)
    return onward(outcome, here) or (_page(token, explain(form, outcome)), 422)


def pdf(token: str) -> Response:
    """The invoice as a PDF."""
    view = invoice_actions.invoice_view(token)
    name = view["invoice"].get("number") or view["invoice"]["id"]
    response = Response(invoice_words.pdf(view), content_type="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="{_file_name(name)}.pdf"'
    return response


def receipt(token: str) -> str:
    """What was charged, when, to which card, and what of it was given back."""
    view = invoice_actions.receipt_view(token)
    return render_template("receipt.html", view=view, title=f"Receipt from {view['business_name']}")


def _page(token: str, form: CardForm) -> str:
    view = invoice_actions.invoice_view(token)
    invoice = view["invoice"]
    return render_template(
        "invoice.html",
        view=view,
        invoice=invoice,
        sums=invoice_words.sums(view),
        said=SAID.get(invoice["status"], ""),
        token=token,
        form=form,
        kinds=[(kind, KINDS[kind]) for kind in view["kinds"]],
        test_cards=TEST_CARDS,
        listed=listed_means(view["kinds"]),
        status=invoice_words.STATUS_WORDS.get(invoice["status"], invoice["status"]),
        title=f"Invoice {invoice.get('number') or '(draft)'}",
    )


def _file_name(name: str) -> str:
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in name)
