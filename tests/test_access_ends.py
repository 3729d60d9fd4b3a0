"""The first request after the commit of an ending is refused, by every web process, however busy it was before."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from billing.extensions import db
from billing.models import Subscription
from tests.doors import COOKIE, cookie_of
from tests.histories import History
from tests.served import Served, served
from tests.story import Shopper, apply_all, config_of, fresh, shopper


def test_access_that_has_ended_has_ended_in_every_web_process_at_its_next_request(
    desk: Flask, tmp_path: Path
) -> None:
    alice = shopper(desk)
    alice.subscribe()
    history, row = History(desk), alice.row
    plan, stripe_id = row.id, row.stripe_id
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    config = config_of(desk)
    db.session.rollback()  # a transaction that stays open while processes start would be ended
    with served(config, folders[0], workers=1) as one, served(config, folders[1], workers=1) as two:
        for web in (one, two, one, two):
            assert _asks(web, alice) == 200, "each of them has let her in, and could remember it"
        alice.sandbox.stripe.subscriptions.cancel(stripe_id)
        history.deliver(history.news())
        assert [_asks(web, alice) for web in (one, two)] == [200, 200], "nothing is applied yet"
        apply_all()
        assert fresh(Subscription, plan).status == "canceled"
        db.session.rollback()
        assert [_asks(web, alice) for web in (one, two)] == [303, 303]


def _asks(web: Served, alice: Shopper) -> int:
    """What the product's door answers to her browser."""
    return web.ask("GET", "/app", headers={"Cookie": f"{COOKIE}={cookie_of(alice.client)}"}).status
