"""A mail in the wrong hands: its links ask for a sign-in, its secrets work once and briefly, it tells of no card."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import declines, dunning, mailer
from billing.config import Config
from billing.models import AuthToken, Notice, User
from billing.payloads import Object
from tests import told
from tests.support import make_user
from tests.test_dunning import CUSTOMER, every_kind, part

# What Stripe may tell us of a card beside its brand and last four digits.
CARD = {
    "number": "4000056655665556",
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "exp_month": 11,
    "exp_year": 2039,
    "funding": "prepaid",
    "iin": "400005",
    "issuer": "STRIPE TEST BANK",
    "country": "VA",
}
MOST_POWER = timedelta(minutes=60)


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer=CUSTOMER)


@pytest.fixture
def letters(
    db_session: Session, config: Config, alice: User, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Notice, str]]:
    """Every mail there is, by the code that owes it, from objects that hold all of a card; with its whole content."""
    plain = told.a_subscription

    def with_all_of_a_card(user: User, **changes: Any) -> Object:
        found = plain(user, **changes)
        found["default_payment_method"]["card"] |= CARD
        found["default_payment_method"]["billing_details"] = {
            "name": "Alice Ahrens",
            "phone": "+49 30 1234567",
        }
        return found

    monkeypatch.setattr("tests.test_dunning.a_subscription", with_all_of_a_card)
    make_user(db_session, "admin@example.com", is_admin=True)
    every_kind(db_session, config, alice)
    notices = db_session.execute(select(Notice).order_by(Notice.id)).scalars().all()
    db_session.expunge_all()
    db_session.rollback()  # no transaction waits while they are written
    messages = [mailer.compose(notice, notice.to, config) for notice in notices]
    content = ["\n".join([str(one["Subject"]), part(one, "plain"), part(one, "html")]) for one in messages]
    return list(zip(notices, content, strict=True))


def links(content: str) -> set[str]:
    return {found.rstrip(".,)") for found in re.findall(r"https?://[^\s\"'<>]+", content)}


def test_every_link_in_a_mail_asks_for_a_sign_in_or_shows_what_anybody_may_see(
    client: FlaskClient, config: Config, letters: list[tuple[Notice, str]]
) -> None:
    seen, paid_by = set(), set()
    for notice, content in letters:
        assert links(content), notice.kind
        for link in links(content):
            assert link.startswith(config.public_url + "/"), (notice.kind, link)
            path = urlsplit(link).path
            if notice.kind == "withdraw_link" and link.endswith(f"/billing/withdraw?link={notice.secret}"):
                continue
            assert not urlsplit(link).query, (notice.kind, link)
            if notice.kind == "email_changed" and path == f"/account/email/undo/{notice.secret}":
                continue
            secret = notice.secret if notice.kind == "reset" else None
            if secret and path == f"/reset/{secret}":
                continue
            assert notice.secret is None or notice.secret not in link
            answer = client.get(path)
            if path.startswith("/pay/") and notice.facts["pays"]:  # what one may see: tests/test_pay_link.py
                assert (answer.status_code, notice.to in answer.text) == (200, False)
                paid_by.add(notice.kind)
                continue
            asks = answer.status_code == 303 and urlsplit(answer.location).path in ("/login", "/signup")
            open_to_all = path in ("/", "/plans", "/login", "/reset") and notice.to not in answer.text
            assert asks or open_to_all, (notice.kind, path, answer.status)
            seen.add(path)
    assert {"/billing", "/invoices", "/admin/events", "/admin/disputes"} <= seen
    assert paid_by == {*dunning.DUNNING, "dun5"}


def test_what_works_without_a_sign_in_is_for_one_use_within_the_hour(
    db_session: Session, letters: list[tuple[Notice, str]]
) -> None:
    powerful = {notice.kind: notice for notice, _ in letters if notice.secret}
    # It withdraws from one contract, once, and opens nothing (tests/test_withdrawing.py).
    assert powerful.pop("withdraw_link").secret
    # It puts back the address that it went to, once, within a week: whoever took the account must lose it again.
    assert powerful.pop("email_changed").facts["old"]
    assert powerful.keys() == {"code", "email_code", "reset"}
    for notice in powerful.values():
        token = db_session.get_one(AuthToken, notice.facts["token_id"])
        life = db_session.execute(select(AuthToken.expires_at - func.now()).where(AuthToken.id == token.id))
        assert life.scalar_one() <= MOST_POWER
    others = [content for notice, content in letters if notice.kind not in powerful]
    for notice in powerful.values():
        assert not [content for content in others if str(notice.secret) in content]


def test_no_mail_holds_more_of_a_card_than_its_brand_and_last_four_digits(
    letters: list[tuple[Notice, str]], db_session: Session
) -> None:
    hidden = {
        "4000056655665556",
        "Xt5EWLLDS7FJjR1c",
        "2039",
        "prepaid",
        "400005",
        "STRIPE TEST BANK",
        "+49 30",
    }
    named = [notice.kind for notice, content in letters if "Visa ending 4242" in content]
    assert "trial_end" in named
    for notice, content in letters:
        kept = f"{content} {notice.facts}"
        assert not [one for one in hidden if one in kept], notice.kind
        assert not re.search(r"(?<!\d)(?:\d[ -]?){12,}\d(?!\d)", re.sub(r"https?://\S+", "", content)), (
            notice.kind
        )
    assert declines.reason("stolen_card") == declines.reason("generic_decline"), "nobody is told of a report"
