"""One invoice: its own page, which can be printed; Stripe's page of it to pay or confirm; and its PDF.

The addresses of Stripe's pages are keys in themselves. They are asked for at each click, and none is kept or mailed.
"""

from __future__ import annotations

from flask import Blueprint, abort, current_app, flash, redirect, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import bills, ledger, running, stripe_reads
from billing.access import person
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _, later
from billing.looking import look
from billing.models import Invoice, Subscription
from billing.words import means

bp = Blueprint("receipts", __name__)

# What can't be paid (any more), by Stripe's status of the invoice.
NOT_TO_PAY = {
    "paid": later("This invoice is paid."),
    "void": later("This invoice was canceled. There is nothing to pay."),
    "uncollectible": later("This invoice is closed. Write to us if you want to pay it."),
    "draft": later("This invoice isn’t ready yet. There is nothing to pay so far."),
}


@bp.get("/invoices/<stripe_id>")
def page(stripe_id: str) -> ResponseReturnValue:
    """The invoice as a page of ours: the state from our row, the rest as Stripe has it."""
    row, plan = _own(stripe_id)
    if row.status == "draft":
        abort(404)
    db.session.rollback()  # no transaction is open while Stripe is asked
    bill = None
    try:
        bill = bills.ask(stripe_id)
    except StripeError as problem:
        current_app.logger.warning("invoice not asked for", extra={"reason": str(problem)})
    row, plan = _own(stripe_id)
    whole, bill = bill is not None, bill or bills.of_row(row, person().email)
    brand, last4 = bill.card
    config = running.config()
    return render_template(
        "billing/invoice.html",
        invoice=row,
        bill=bill,
        whole=whole,
        tag=ledger.tag(row, plan),
        card=means(brand, last4),
        seller=[config.seller_name, *config.seller_address, config.seller_tax_id, config.support_email],
        can_pay=row.status == "open" and (row.attempted or row.needs_action),
    )


@bp.post("/invoices/<stripe_id>/open")
def open_invoice(stripe_id: str) -> ResponseReturnValue:
    """To Stripe's page of the person's own invoice, to pay it or to confirm its payment; where there is nothing to pay
    that is said, and our row looked at where it knew otherwise."""
    row, plan = _own(stripe_id)
    known = row.status
    db.session.rollback()
    try:
        found = stripe_reads.get_invoice(stripe_id)
    except StripeError as problem:
        return _away(problem, stripe_id)
    if found["status"] == "open" and found.get("hosted_invoice_url"):
        return redirect(found["hosted_invoice_url"], 303)
    if found["status"] != known and plan is not None:
        look(_own(stripe_id)[1] or plan)
    flash(_(NOT_TO_PAY.get(found["status"], NOT_TO_PAY["draft"])))
    return redirect("/invoices" if found["status"] == "draft" else f"/invoices/{stripe_id}", 303)


@bp.post("/invoices/<stripe_id>/pdf")
def pdf(stripe_id: str) -> ResponseReturnValue:
    """To Stripe's PDF of the person's own invoice."""
    _own(stripe_id)
    db.session.rollback()
    try:
        found = stripe_reads.get_invoice(stripe_id)
    except StripeError as problem:
        return _away(problem, stripe_id)
    if found.get("invoice_pdf"):
        return redirect(found["invoice_pdf"], 303)
    flash(_("Stripe has no PDF of this invoice yet. Try again in a few minutes."))
    return redirect("/invoices", 303)


def _away(problem: StripeError, stripe_id: str) -> ResponseReturnValue:
    current_app.logger.warning("invoice not opened", extra={"reason": str(problem)})
    return render_template("errors/stripe_unreachable.html", again="/invoices"), 503


def _own(stripe_id: str) -> tuple[Invoice, Subscription | None]:
    """The person's own invoice with its subscription; somebody else's and none are the same 404."""
    found = (
        select(Invoice, Subscription)
        .outerjoin(Subscription, Subscription.stripe_id == Invoice.subscription)
        .where(Invoice.stripe_id == stripe_id, Invoice.user_id == person().id)
    )
    pair = db.session.execute(found).first() or abort(404)
    return pair[0], pair[1]
