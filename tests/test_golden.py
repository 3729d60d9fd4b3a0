"""Each of the 27 situations, from rows to words: what is said, offered and granted, the same to everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from billing import facts, installation, language, mailer, outbox, voice
from billing.config import Config
from billing.extensions import db
from billing.models import Notice, User
from billing.standing import Standing
from billing.voice import Action
from local.mailsink import MailSink
from tests import admin_rows as rows
from tests.conftest import dispose, make_app, make_config
from tests.situations import NOW, SITUATIONS, bring_about
from tests.support import Databases, make_user, sign_in

GOLDEN = Path(__file__).parent / "golden"
each_situation = pytest.mark.parametrize("code", SITUATIONS)


@dataclass(frozen=True)
class House:
    """One application for all situations; ana is in each of them in turn."""

    app: Flask
    ana: User
    admin: User
    mine: FlaskClient
    theirs: FlaskClient

    def brings(self, code: str) -> Standing:
        """Ana in this situation, under the settings that it needs."""
        situation = SITUATIONS[code]
        config: Config = self.app.extensions["config"]
        for name, default in {"access_while_disputed": True, **situation.settings}.items():
            object.__setattr__(config, name, situation.settings.get(name, default))
        db.session.rollback()
        bring_about(db.session(), self.ana, situation, self.admin)
        return facts.standing_of(db.session(), self.ana.id, config, NOW)


@pytest.fixture(scope="module")
def house(databases: Databases, mail_sink: MailSink) -> Iterator[House]:
    with databases.copy_of("dunlin_template") as url:
        config = make_config(url, smtp_port=mail_sink.port)
        app = make_app(config)
        with app.app_context():
            installation.record(db.session(), config, "acct_tests")
            db.session.commit()
            ana = make_user(db.session(), "ana@example.com", customer="cus_ana")
            admin = make_user(db.session(), "admin@example.com", is_admin=True)
            clients = app.test_client(), app.test_client()
            for client, user in zip(clients, (ana, admin), strict=True):
                sign_in(client, user)
            yield House(app, ana, admin, *clients)
            db.session.remove()
            dispose()


def block(found: Standing) -> str:
    """All that is said of a standing, as a person can check it against the table."""
    said = voice.speak(found, product=Action("Go to Acme", "/app"), contact="mailto:help@acme.example")
    lines = [
        ("tag", f"{said.tag} {said.glyph} {said.tone}"),
        ("h1", said.sentence),
        ("body", said.body),
        ("do", way(said.primary)),
        *(("link", way(link)) for link in said.links),
        ("line", " – ".join(f"{mark.mark} {mark.label}, {mark.when:%Y-%m-%d}" for mark in said.line)),
        ("access", "yes" if said.access else "no"),
        *(
            ("why" if rule.deciding else "asked", f"{rule.rule}: {rule.value}: {rule.result}")
            for rule in found.why
        ),
    ]
    return "\n".join([found.code, *(f"  {name:8}{text}".rstrip() for name, text in lines)]) + "\n"


def way(action: Action) -> str:
    return f"{action.label} → {action.method.upper()} {action.href}"


def golden(locale: str) -> dict[str, str]:
    """The blocks of the file, by code."""
    text = (GOLDEN / f"standings.{locale}.txt").read_text(encoding="utf-8")
    return {block.partition("\n")[0]: block.strip() for block in text.split("\n\n")}


@pytest.mark.parametrize("locale", ["en", "de"])
@each_situation
def test_each_situation_is_said_offered_granted_and_reasoned_as_agreed(
    house: House, code: str, locale: str
) -> None:
    with language.speaking(locale):
        found = house.brings(code)
        said = block(found)
    assert found.code == code
    assert said.strip() == golden(locale).get(code)


def test_the_agreed_words_are_of_every_code_and_of_no_other() -> None:
    for locale in ("en", "de"):
        assert list(golden(locale)) == list(SITUATIONS) == list(voice.TAGS)


def test_the_agreed_words_are_in_the_house_s_voice() -> None:
    said = (GOLDEN / "standings.en.txt").read_text(encoding="utf-8")
    spoken_ = " ".join(line for line in said.splitlines() if not line.startswith(("  why", "  asked")))
    assert not re.search(r"please|sorry|oops|invalid|forbidden|simply|['\"!]|\.\.\.", spoken_, re.IGNORECASE)


@each_situation
def test_page_mail_admin_and_command_say_the_same_sentence(house: House, code: str) -> None:
    found = house.brings(code)
    sentence = voice.sentence(found)
    with rows.queries() as asked:
        page = house.mine.get("/billing").text
    assert len(asked) <= 9
    assert heading(page) == sentence
    assert page.count('class="btn"') == 1, "one thing to do"
    desk = unescape(house.theirs.get(f"/admin/subscribers/{house.ana.id}").text)
    assert f"“{sentence}”" in desk
    assert f"Why does ana@example.com have {'access' if found.access else 'no access'}?" in desk
    told = house.app.test_cli_runner().invoke(args=["why", "ana@example.com"]).output
    assert f"“{sentence}”" in told
    assert ("◀ decides" in desk, "→ " in told) == (True, True)
    assert f"Where you stand now: {sentence}" in " ".join(mailed(house).split())


def mailed(house: House) -> str:
    """The text of a mail about the plan, as the outbox would hand it over at this moment."""
    config = house.app.extensions["config"]
    facts_ = {"plan": "Pro", "next_date": None, "access_until": None, "subscription": "sub_ana"}
    notice = Notice(kind="kept", user_id=house.ana.id, facts=facts_, message_id="<1@example.com>", to="")
    message = mailer.compose(notice, house.ana.email, config, outbox._stands(db.session(), notice, config))
    text = message.get_body(("plain",))
    assert text is not None
    return str(text.get_content())


def heading(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert found is not None
    return unescape(found[1]).strip()
