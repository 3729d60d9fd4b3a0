"""What is owed stands above every page of whoever owes it, with the one way to mend it; above nobody else's."""

from __future__ import annotations

import re
from html import unescape

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing.models import Invoice, Subscription
from tests import admin_rows as rows
from tests.situations import SITUATIONS, bring_about
from tests.support import make_user, sign_in

ON_HOLD = ("Your access is on hold until €29.00 is paid.", "Pay €29.00 now", "/invoices/in_ana/open", "stop")
SAID = {
    "unpaid": ON_HOLD,
    "paused_payment": ON_HOLD,
    "past_due_hold": ON_HOLD,
    "past_due": ("We couldn’t take €29.00 for Pro.", "Update card", "/billing/card", "look"),
    "action_required": (
        "Your bank wants you to confirm your €29.00 payment.", "Confirm payment", "/invoices/in_ana/open", "look",
    ),
}  # fmt: skip
LINE = re.compile(
    r'<section class="owed tone-(\w+)" aria-label="A payment is missing">.*?<span[^>]*>(.*?)</span>'
    r'.*?action="([^"]*)".*?<button class="as-link">(.*?)</button>',
    re.DOTALL,
)


def line(client: FlaskClient, path: str = "/account") -> tuple[str, ...] | None:
    found = LINE.search(client.get(path).text)
    return (unescape(found[2]), unescape(found[4]), found[3], found[1]) if found else None


def test_each_situation_has_its_line_or_none_for_one_more_question_to_the_database(
    app: Flask, client: FlaskClient, db_session: Session
) -> None:
    ana, admin = make_user(db_session, "ana@example.com"), make_user(db_session, "admin@example.com")
    sign_in(client, ana)
    asked = {}
    for code, situation in SITUATIONS.items():
        if situation.settings:
            continue
        bring_about(db_session, ana, situation, admin)
        with rows.queries() as statements:
            said = line(client)
        asked[code] = len(statements)
        assert said == SAID.get(code), code
        assert line(client, "/billing") is None, "its own first sentence says it"
    assert len(set(asked.values())) == 1
    assert line(app.test_client(), "/login") is None


def test_it_goes_with_the_payment_and_says_the_amount_that_is_left(
    client: FlaskClient, db_session: Session
) -> None:
    ana, admin = make_user(db_session, "ana@example.com"), make_user(db_session, "admin@example.com")
    sign_in(client, ana)
    bring_about(db_session, ana, SITUATIONS["past_due"], admin)
    bill = db_session.query(Invoice).filter_by(stripe_id="in_ana").one()
    bill.amount_remaining = 900
    db_session.commit()
    for path in ("/plans", "/invoices", "/shop", "/no/such/page"):
        assert (line(client, path) or [""])[0] == "We couldn’t take €9.00 for Pro.", path
    bill.processing = True  # a bank debit for it is under way
    db_session.commit()
    assert line(client) is None
    bill.processing, bill.status = False, "paid"
    db_session.commit()
    assert line(client) is None


def test_a_sent_invoice_is_mentioned_once_it_is_late_and_a_change_that_was_not_paid_never(
    client: FlaskClient, db_session: Session
) -> None:
    ana, admin = make_user(db_session, "ana@example.com"), make_user(db_session, "admin@example.com")
    sign_in(client, ana)
    bring_about(db_session, ana, SITUATIONS["past_due"], admin)
    bill, plan = (
        db_session.query(Invoice).filter_by(stripe_id="in_ana").one(),
        db_session.query(Subscription).one(),
    )
    bill.first_failed_at, bill.due_date, bill.decline_code = None, plan.clock_time, None
    plan.collection_method = "send_invoice"
    db_session.commit()
    assert (line(client) or [""])[0] == "Your last invoice hasn’t been paid."
    plan.status, plan.first_failed_at = "active", None
    db_session.commit()
    assert line(client) is None
    bill.first_failed_at, bill.due_date = plan.clock_time, None
    plan.latest_invoice, plan.coming = "in_ana", {"kind": "pending"}
    db_session.commit()
    assert line(client) is None
