"""A mail is in the language of whoever reads it, whoever and whatever causes it."""

from __future__ import annotations

import ast
import email
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import policy
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from billing import (
    jobs,
    language,
    mailer,
    notices,
    outbox,
    payment_news,
    readers,
    samples,
    specimens,
    still,
    words,
)
from billing.config import Config
from billing.models import Notice, User
from billing.payloads import Object
from billing.samples import Sample
from local.mailsink import MailSink
from tests import doors
from tests.conftest import ROOT, make_app, make_config
from tests.doors import submit
from tests.english import left_in, words_of
from tests.support import make_user, sign_in
from tests.told import START, a_subscription, an_invoice, owing, tell

NEW = "five bright brass bells"


@pytest.fixture
def alice(db_session: Session) -> User:
    """She reads German, and lives where it is tomorrow already."""
    user = make_user(db_session, "alice@example.com", customer="cus_alice")
    user.locale, user.time_zone = "de", "Pacific/Kiritimati"
    db_session.commit()
    return user


@pytest.fixture
def subscription(db_session: Session, alice: User) -> Object:
    found = a_subscription(alice)
    tell(db_session, found)
    return found


def the_notice(session: Session, kind: str) -> Notice:
    session.rollback()
    return session.execute(select(Notice).where(Notice.kind == kind)).scalars().one()


def test_what_a_worker_owes_to_a_german_reader_is_german_and_names_her_days(
    db_session: Session, subscription: Object
) -> None:
    tell(db_session, {**subscription, "status": "past_due"}, owing(subscription, 1))
    notice = the_notice(db_session, "dun1")
    assert notice.locale == "de"
    assert notice.facts["amount"] == "29,00\u00a0€"
    assert notice.facts["decline_text"] == language_of("de", "There wasn’t enough money on the card.")
    at = datetime.fromtimestamp(START + 8 * 86400, UTC)
    assert notice.facts["retry_text"] == f"Am {german_day(at)} versuchen wir es noch einmal."
    assert language.locale() == "en"


def language_of(locale: str, sentence: str) -> str:
    with language.speaking(locale):
        return language._(sentence)


def german_day(at: datetime) -> str:
    with language.speaking("de", "Pacific/Kiritimati"):
        return str(words.day(at))


def test_a_german_request_that_causes_a_mail_to_somebody_else_changes_nothing_of_it(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink, bob: User
) -> None:
    """A stranger with a German browser asks for bob’s link, and signs up with bob’s address; bob reads English."""
    bob.locale = "en_US"
    db_session.commit()
    doors.wait_for_a_young_window()
    for path, fields in (("/reset", {}), ("/signup", {"password": NEW})):
        client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de"
        assert submit(client, path, email=bob.email, **fields).status_code in (200, 303)
    outbox.send_due(db_session, config)
    assert [message.subject for message in mails.to(bob.email)] == [
        "[Test] Reset your Dunlin password",
        "[Test] You already have a Dunlin account",
    ]
    assert [message["Content-Language"] for message in map(parsed, mails.to(bob.email))] == ["en-US"] * 2


@pytest.mark.parametrize("path", ["/signup", "/login", "/reset"])
def test_no_door_tells_by_its_language_who_has_an_account(app: Flask, alice: User, path: str) -> None:
    doors.wait_for_a_young_window()
    pages = []
    for address in (alice.email, "nobody@example.com"):
        client = app.test_client()
        answer = submit(client, path, email=address, password="some other words")
        after = client.get(answer.location) if answer.status_code == 303 else answer
        headers = {
            name: value for name, value in answer.headers if name not in ("Set-Cookie", "X-Request-Id")
        }
        headers["Content-Length"] = ""  # the address is in the page
        pages.append((answer.status_code, headers, doors.without_marks(after.text, address)))
    assert pages[0] == pages[1]
    assert '<html lang="en">' in pages[0][2]


def parsed(message: Any) -> Any:
    return email.message_from_bytes(message.data, policy=policy.default)


def test_whoever_signs_up_in_german_gets_code_and_welcome_in_german_and_is_written_to_so_from_then_on(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    doors.wait_for_a_young_window()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de-AT,en;q=0.5"
    doors.sign_up(client, "ana@example.com")
    code = doors.mailed_code(db_session, config, mails, "ana@example.com")
    assert submit(client, "/signup/confirm", code=code).status_code == 303
    outbox.send_due(db_session, config)
    assert [message.subject for message in mails.to("ana@example.com")] == [
        f"[Test] {code} ist Ihr Code für Dunlin",
        "[Test] Willkommen bei Dunlin",
    ]
    user = db_session.execute(select(User).where(User.email == "ana@example.com")).scalar_one()
    assert (user.locale, readers.locale_of(user)) == ("de", "de")


def test_a_language_chosen_afterwards_is_that_of_the_next_mail_and_not_of_half_of_this_one(
    db_session: Session, config: Config, mails: MailSink, alice: User, subscription: Object
) -> None:
    tell(db_session, subscription, an_invoice(subscription))
    alice.locale = "en"
    db_session.commit()
    outbox.send_due(db_session, config)
    [message] = mails.to(alice.email)
    assert "Beleg über 29,00" in message.subject
    assert left_in([" ".join(message.text.split())]) == []
    assert parsed(message)["Content-Language"] == "de"


def test_mails_of_several_readers_leave_one_process_each_in_its_own_language_even_after_one_that_fails(
    db_session: Session, config: Config, mails: MailSink, alice: User, bob: User
) -> None:
    for number, user in enumerate((alice, bob, alice)):
        with readers.speaking_to(user):
            notices.owe(db_session, "welcome", f"w{number}", user.email, {}, user_id=user.id)
    db_session.commit()
    db_session.execute(update(Notice).where(Notice.dedupe_key == "w0").values(kind="no_such_mail"))
    db_session.commit()
    with language.speaking("de"):  # as if the worker had been left in the language of another mail
        outbox.send_due(db_session, config)
    assert [message.subject for message in mails.messages] == [
        "[Test] Welcome to Dunlin",
        "[Test] Willkommen bei Dunlin",
    ]
    assert language.locale() == "en"


def test_a_mail_that_was_owed_before_there_were_languages_leaves_in_the_english_of_its_facts(
    db_session: Session, config: Config, mails: MailSink, bob: User
) -> None:
    notices.owe(db_session, "refund", "refund:x:1", bob.email, {"amount": "€29.00"}, user_id=bob.id)
    db_session.execute(update(Notice).values(locale=None))
    db_session.commit()
    with language.speaking("de"):
        outbox.send_due(db_session, config)
    assert [message.subject for message in mails.messages] == ["[Test] We’ve refunded €29.00"]


def test_admins_are_written_to_in_english_whoever_causes_it(
    db_session: Session, admin: User, alice: User
) -> None:
    admin.locale = "de"
    db_session.commit()
    with language.speaking("de"):
        notices.admin_alert(db_session, "x", "Something happened", "sub_1")
    db_session.commit()
    assert the_notice(db_session, "admin_alert").locale == "en"


def test_a_job_that_fails_in_the_middle_of_a_readers_mail_leaves_no_language_behind(
    db_session: Session, alice: User
) -> None:
    with pytest.raises(AttributeError):
        payment_news.refunded(db_session, alice, "ch_1", 2900, 2900, "eur", None)  # type: ignore[arg-type]
    assert language.locale() == "en"
    assert not jobs.apply_due(db_session)


def test_nothing_is_decided_by_a_word(db_session: Session, alice: User, subscription: Object) -> None:
    """Every word of a German reader’s facts may be anything: what leaves and what does not stays the same."""
    tell(db_session, {**subscription, "status": "past_due"}, owing(subscription, 1))
    notice = the_notice(db_session, "dun1")
    deciding = {"invoice", "stage", "access", "pays"}
    notice.facts = {key: value if key in deciding else "x" for key, value in notice.facts.items()}
    assert still.still_true(db_session, notice)
    notice.facts = {**notice.facts, "stage": 0}  # which the first has overtaken
    assert not still.still_true(db_session, notice)


def mails_owed(tree: ast.AST) -> list[tuple[int, bool]]:
    """Each ``notices.owe`` of a module: its line, and whether it stands inside ``with speaking_to(…)`` or below
    ``@to_the_reader``."""
    found: list[tuple[int, bool]] = []

    def look(node: ast.AST, spoken: bool) -> None:
        if isinstance(node, ast.With):
            spoken = spoken or any("speaking_to" in ast.unparse(item.context_expr) for item in node.items)
        if isinstance(node, ast.FunctionDef):
            spoken = spoken or any("to_the_reader" in ast.unparse(one) for one in node.decorator_list)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "notices.owe":
            found.append((node.lineno, spoken))
        for child in ast.iter_child_nodes(node):
            look(child, spoken)

    look(tree, False)
    return found


def test_whoever_owes_a_mail_speaks_to_its_reader() -> None:
    # the code, whose reader has no account yet and has just asked for it; the last one, whose has none any more
    known = {"accounts.py": 1, "deletions.py": 1}
    bare = {
        path.name: count
        for path in sorted((ROOT / "billing").rglob("*.py"))
        if (count := sum(not spoken for _, spoken in mails_owed(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert bare == known, "put it inside `with readers.speaking_to(user)`"


@pytest.fixture(scope="module")
def desk_without_rows() -> Iterator[Config]:
    """Writing a mail needs the templates and the settings, and no database."""
    config = make_config("postgresql://dunlin@127.0.0.1:1/dunlin")
    with make_app(config).app_context():
        yield config


OF_PEOPLE = [one for one in samples.every() if "de" in specimens.languages(one.kind)]


@pytest.mark.parametrize("sample", OF_PEOPLE, ids=lambda one: f"{one.kind}-{one.variant}")
def test_each_mail_is_german_from_subject_to_end(desk_without_rows: Config, sample: Sample) -> None:
    message = specimens.write(sample, "de", desk_without_rows).message
    text, page = (message.get_body((part,)).get_content() for part in ("plain", "html"))
    subject = message["Subject"].removeprefix("[Test] ")
    assert left_in([subject, " ".join(text.split()), *words_of(page)]) == []
    assert (message["Content-Language"], language.locale()) == ("de", "en")
    assert '<html lang="de">' in page
    assert 0 < len(subject) <= 60
    assert max(len(line) for line in text.splitlines() if "://" not in line) <= 72
    assert len(text.split()) <= 120
    assert not re.findall(r"None|[{}]|\n\n\n", text + subject)


def test_english_that_is_left_is_found() -> None:
    with language.speaking("en"):
        english = language._("We couldn’t take your last payment.")
    assert left_in([f"Hallo. {english} Ende."]) == [english]
    assert "You keep full access until {date}." in left_in(["You keep full access until 4. Dezember."])
    assert left_in(["Billing"]) == ["Billing"]
    assert left_in(["Sie behalten vollen Zugang bis zum 4. Dezember.", "Shop"]) == []


def test_test_mode_is_said_in_every_mail_and_on_every_page_in_either_language(
    client: FlaskClient, db_session: Session, config: Config, alice: User
) -> None:
    for locale, said in (
        ("en", "Test mode. No real money moves."),
        ("de", "Testbetrieb. Es fließt kein echtes Geld."),
    ):
        for path in ("/login", "/plans", "/nothing"):
            assert said in client.get(path, headers={"Accept-Language": locale}).text
        notice = Notice(kind="welcome", facts={}, locale=locale, message_id="<x@y>")
        assert mailer.compose(notice, alice.email, config)["Subject"].startswith("[Test] ")
    sign_in(client, alice)
    assert "Testbetrieb." in client.get("/account").text
