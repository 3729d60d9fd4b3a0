"""One sender for each mail: what Stripe sends is not sent by us too, and whoever wonders sees why none came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import notices, outbox, running, senders
from billing.errors import ConfigError
from billing.models import Notice, User
from local.mailsink import MailSink
from tests.conftest import make_config
from tests.support import sign_in

MAILS = Path(__file__).parent.parent / "templates" / "mail"
FACTS = {"invoice": "in_1", "subscription": "sub_1", "stage": 1, "access": True}
WORDS = {"plan": "Pro", "amount": "€29.00"}


def choose(app: Flask, sender: str) -> None:
    app.extensions["config"] = replace(app.extensions["config"], billing_emails=sender)


def owe(session: Session, user: User, *kinds: str) -> None:
    for kind in kinds:
        notices.owe(session, kind, f"{kind}:1", user.email, FACTS, words=WORDS, user_id=user.id)
    session.commit()


def states(session: Session) -> dict[str, str]:
    session.rollback()
    return {row.kind: row.state for row in session.execute(select(Notice)).scalars()}


def test_every_kind_of_mail_has_exactly_one_sender() -> None:
    there = {path.name for path in MAILS.iterdir() if path.is_dir()}
    groups = [*senders.STRIPES, *senders.ONLY_WE, *senders.ALWAYS, *senders.ADMINS]
    assert sorted(groups) == sorted(there), "put each kind into one group of billing/senders.py"


@pytest.mark.parametrize(
    ("sender", "ours"),
    [
        ("portal", {*senders.KINDS}),
        ("stripe", {*senders.KINDS} - {*senders.STRIPES}),
        ("off", {*senders.ALWAYS, *senders.ADMINS}),
    ],
)
def test_what_is_chosen_decides_for_every_kind(sender: str, ours: set[str]) -> None:
    assert {kind for kind in senders.KINDS if senders.withheld(kind, sender) is None} == ours


def test_a_sender_that_nobody_knows_stops_the_program() -> None:
    with pytest.raises(ConfigError, match="BILLING_EMAILS must be one of portal, stripe, off"):
        make_config("postgresql://u@127.0.0.1/d", BILLING_EMAILS="both")


def test_nobody_is_dunned_twice_because_stripe_writes_too(
    app: Flask, db_session: Session, alice: User, admin: User, client: FlaskClient, mails: MailSink
) -> None:
    choose(app, "stripe")
    owe(db_session, alice, "dun1", "receipt", "refund", "welcome")
    assert states(db_session) == {
        "dun1": "obsolete",
        "receipt": "obsolete",
        "refund": "obsolete",
        "welcome": "queued",
    }
    # Chosen otherwise later: what Stripe has sent is not sent again.
    choose(app, "portal")
    owe(db_session, alice, "dun1", "receipt", "refund", "welcome")
    outbox.send_due(db_session, running.config())
    assert [one.subject for one in mails.messages] == ["[Test] Welcome to Dunlin"]
    sign_in(client, admin)
    page = client.get(f"/admin/subscribers/{alice.id}").text
    assert page.count("Stripe sends this one (BILLING_EMAILS=stripe)") >= 3


def test_a_mail_that_waits_when_stripe_becomes_its_sender_never_leaves(
    app: Flask, db_session: Session, alice: User, mails: MailSink
) -> None:
    owe(db_session, alice, "receipt", "welcome")
    assert states(db_session) == {"receipt": "queued", "welcome": "queued"}
    choose(app, "stripe")
    outbox.send_due(db_session, running.config())
    assert states(db_session) == {"receipt": "obsolete", "welcome": "sent"}
    assert len(mails.messages) == 1


def test_who_was_dunned_by_stripe_is_not_told_by_us_that_all_is_sorted(
    app: Flask, db_session: Session, alice: User
) -> None:
    from billing import dunning
    from tests.admin_rows import owed, subscription

    bill = owed(db_session, subscription(db_session, alice))
    choose(app, "stripe")
    notices.owe(
        db_session, "dun1", f"dun:{bill.stripe_id}:1", alice.email, FACTS, words=WORDS, user_id=alice.id
    )
    assert not dunning._was_dunned(db_session, bill)


def test_nobody_is_mailed_about_billing_where_it_is_off_and_accounts_and_admins_still_are(
    app: Flask, db_session: Session, alice: User, admin: User
) -> None:
    choose(app, "off")
    owe(db_session, alice, "dun5", "cancel_set", "receipt", "pw_changed", "withdrawn")
    notices.admin_alert(db_session, "what", "something", "sub_1")
    db_session.commit()
    assert {kind for kind, state in states(db_session).items() if state == "queued"} == {
        "pw_changed",
        "withdrawn",
        "admin_alert",
    }


@pytest.mark.parametrize("sender", ["portal", "stripe", "off"])
def test_the_operator_is_told_which_of_stripes_switches_to_turn(
    app: Flask, admin: User, client: FlaskClient, sender: str
) -> None:
    choose(app, sender)
    sign_in(client, admin)
    page = client.get("/admin/ready").text
    assert f"BILLING_EMAILS={sender}" in page
    turned = {one.name: one.turn for one in senders.switches(sender)}
    assert turned["Failed payments"] == ("on" if sender == "stripe" else "off")
    assert page.count("switch it on") == sum(turn == "on" for turn in turned.values())
    assert page.count("switch it off") == sum(turn == "off" for turn in turned.values())
