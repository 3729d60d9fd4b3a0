"""Whatever is sent to us or kept by us comes back as text: a canary in every place that a page could show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from billing import audit
from billing.extensions import db
from billing.models import CheckoutSession, LoginSession, User
from tests import admin_rows as rows
from tests.conftest import make_config
from tests.support import Databases, csrf_of
from tests.walk import ADMIN, ALICE, EVERYBODY, STRANGER, World, problems_of, world

TEMPLATES = Path(__file__).parent.parent / "templates"
MARK = "'\"><svg/onload=canary>{{'canary'*2}}</textarea></script>"
RAW = ("<svg/onload", "'\"><svg", "</textarea></script>", "canarycanary")
# Every name that a view reads from the address or from a form, and some that it does not.
IN_QUERIES = "next ref interval session_id canceled q status plan state type before after v x".split()
IN_FORMS = "email password new_password current_password code again plan interval once csrf_token x".split()
SENT = {
    "User-Agent": MARK,
    "Referer": f"http://localhost/{MARK}",
    "X-Forwarded-For": MARK,
    "Accept-Language": MARK,
}


@pytest.fixture(scope="module")
def house(databases: Databases) -> Iterator[World]:
    with databases.copy_of("dunlin_template") as url, world(make_config(url)) as found:
        yield found


def assert_only_text(answer: TestResponse, where: str) -> None:
    assert answer.status_code < 500 or where.startswith("/healthz"), where
    page = answer.get_data(as_text=True)
    if answer.mimetype == "text/html":
        assert [raw for raw in RAW if raw in page] == [], where
        assert problems_of(page) == [], where
    else:
        assert answer.mimetype in ("application/json", "text/javascript", "application/zip"), where
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert [raw for raw in RAW if raw in str(answer.headers)] == [], where
    assert re.match(r"/(?![/\\])|$", answer.location or ""), where


@pytest.mark.parametrize("who", EVERYBODY)
def test_nothing_in_an_address_comes_back_as_it_was(house: World, who: str) -> None:
    client = house.browser(who)
    query = dict.fromkeys(IN_QUERIES, MARK)
    for rule in house.rules():
        if "GET" not in (rule.methods or ()):
            continue
        filled = re.sub(r"<(?:\w+:)?\w+>", quote(MARK, safe=""), rule.rule)
        asks = (query, {name: [MARK, MARK] for name in IN_QUERIES}, {MARK: MARK})
        # Where nothing is found by its address, nothing else is read: there one of these will do.
        for path, many in {filled: asks[:1], house.address(rule).partition("?")[0]: asks}.items():
            for given in many:
                answer = client.get(path, query_string=given, headers=SENT, buffered=True)
                assert_only_text(answer, f"{path} for {who}")
    assert_only_text(client.get(f"/{quote(MARK)}"), "nowhere")


@pytest.mark.parametrize("who", EVERYBODY)
def test_nothing_in_a_form_comes_back_as_it_was(house: World, who: str) -> None:
    asks_stripe = {
        "admin.sync",
        "admin.run",
        "admin.rehearse",
        "portal.check_again",
        "portal.open_portal",
        "receipts.open_invoice",
        "receipts.pdf",
        "paying.pay",
        "purchases.confirm",
        "new_card.change",
        "canceling.cancel",
        "pausing.pause",
    }
    for rule in house.rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint in asks_stripe:
            continue
        client = house.browser(who)
        token = csrf_of(client, "/plans" if who != STRANGER else "/login")
        path = house.address(rule)
        for form in (
            {**dict.fromkeys(IN_FORMS, MARK), "csrf_token": token},
            dict.fromkeys([*IN_FORMS, MARK], MARK),
        ):
            for tries in range(2):
                given = {**form, "email": f"{tries}{MARK}@example.com"} if "email" in form else form
                answer = client.post(path, query_string={"next": MARK}, data=given, headers=SENT)
                assert_only_text(answer, f"{path} for {who}")


def test_nothing_that_stripe_or_a_browser_told_us_is_shown_as_it_was(house: World) -> None:
    session = db.session()
    alice = session.query(User).filter_by(email="alice@example.com").one()
    fill_with_marks(alice)
    own = ["/", "/plans", "/billing", "/invoices", "/app", "/account", "/subscribe/pro"]
    own += ["/checkout/return?session_id=cs_mark", "/checkout/state?session_id=cs_mark"]
    desk = ["/admin/events", "/admin/events?state=parked", "/admin/events/evt_mark", "/admin/subscribers"]
    desk += [f"/admin/subscribers/{alice.id}", f"/admin/subscribers?plan={quote(MARK)}"]
    seen = []
    for who, paths in ((ALICE, own), (ADMIN, desk)):
        client = house.browser(who)
        session.execute(update(LoginSession).values(user_agent=MARK))
        session.commit()
        seen += [client.get(path) for path in paths]
    for answer in seen:
        assert_only_text(answer, answer.request.path)
    escaped = "&lt;svg/onload=canary&gt;"
    assert len([answer for answer in seen if answer.status_code == 200 and escaped in answer.text]) >= 6


def fill_with_marks(alice: User) -> None:
    """Every column of alice's that holds Stripe's or the browser's words holds the mark."""
    session = db.session()
    alice.referral_code = MARK
    plan = rows.subscription(
        session, alice, status="active", status_reason=MARK, plan=MARK, price_id=MARK, interval=MARK, currency="eur",
        card_brand=MARK, card_last4=MARK, latest_invoice=MARK, cancellation_reason=MARK, schedule=MARK,
        pause_collection={"behavior": MARK}, collection_method=MARK, test_clock=MARK,
    )  # fmt: skip
    for status in ("open", MARK):
        rows.owed(
            session, plan, status=status, number=MARK, description=MARK, decline_code=MARK, billing_reason=MARK,
            payment_intent=MARK,
        )  # fmt: skip
    rows.payment(session, alice, product=MARK, status=MARK, payment_intent=f"pi{MARK}")
    for status in ("needs_response", MARK):
        rows.dispute(session, alice, status=status, reason=MARK, payment_intent=MARK)
    rows.mail(session, alice, facts=dict.fromkeys(("amount", "plan", "paid_date", "number", "card"), MARK))
    rows.mail(session, alice, MARK, state="suppressed", reason=MARK, to=f"{MARK}@example.com")
    thing = {"object": MARK, "id": MARK, MARK: MARK, "nested": [{"description": MARK}]}
    rows.stripe_event(
        session, MARK, event_id="evt_mark", user_id=alice.id, state="parked", reason=MARK, source=MARK, subject=MARK,
        object_id=MARK, api_version=MARK, payload=json.dumps({"type": MARK, "data": {"object": thing}}),
    )  # fmt: skip
    marks = {"status": MARK, "plan": MARK, MARK: MARK}
    audit.record(
        session, MARK, actor=MARK, user_id=alice.id, subject=MARK, cause="evt_mark", before=marks, after=marks
    )
    rows.add(
        session,
        CheckoutSession(
            stripe_id="cs_mark",
            user_id=alice.id,
            mode="payment",
            item=MARK,
            price_id=MARK,
            status=MARK,
            url=MARK,
        ),
    )


def test_no_template_marks_what_it_is_given_as_safe() -> None:
    for path in TEMPLATES.rglob("*"):
        if path.suffix not in (".html", ".txt"):
            continue
        source = path.read_text()
        assert not re.search(r"autoescape|\|\s*(?:tojson|xmlattr|striptags|urlize)", source), path
        for marked in re.findall(r"(\S+)\s*\|\s*safe\b", source):
            assert re.fullmatch(r'.*"[^"{}]*"', marked), f"{path.name}: {marked}"  # a literal of the template
        assert not re.search(r"\s[\w-]+=\{\{", source), f"{path.name}: an attribute without quotes"
