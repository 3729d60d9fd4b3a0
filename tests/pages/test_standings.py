"""The builders of standings build what they say, and a page asks the database a handful of questions."""

from __future__ import annotations

import pytest
from flask import Flask

from billing import facts, voice
from billing.clock import database_now
from billing.extensions import db
from tests import admin_rows as rows
from tests.pages.standings import WAYS, bring_about
from tests.story import config_of
from tests.support import make_user, sign_in

MOST_QUERIES = 8


def test_there_is_a_way_to_every_standing() -> None:
    assert set(WAYS) == set(voice.TAGS)


@pytest.fixture
def everybody(app: Flask) -> Flask:
    for code in WAYS:
        bring_about(
            db.session(), make_user(db.session(), f"{code}@example.com", customer=f"cus_{code}"), code
        )
    return app


def test_each_way_leads_to_its_standing_and_its_page_asks_the_database_little(everybody: Flask) -> None:
    """One test for all of them: what differs is rows, and a database for each would cost more than it shows."""
    session, now = db.session(), database_now(db.session())
    found, asked = {}, {}
    for code in [code for code, way in WAYS.items() if not way.settings]:
        client = everybody.test_client()
        user = session.query(rows.User).filter_by(email=f"{code}@example.com").one()
        found[code] = facts.standing_of(session, user.id, config_of(everybody), now).code
        sign_in(client, user)
        with everybody.app_context(), rows.queries() as statements:
            assert client.get("/billing").status_code == 200
        asked[code] = len(statements)
    assert found == {code: code for code in found}
    assert {code: number for code, number in asked.items() if number > MOST_QUERIES} == {}
