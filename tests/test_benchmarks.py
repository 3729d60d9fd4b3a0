"""The parts of the benchmarks do what they say, at the smallest size. How fast anything is, nobody asserts."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy.orm import Session

from benchmarks import __main__ as benchmarks
from benchmarks import (
    admin,
    boot,
    crew,
    filling,
    floor,
    ground,
    load,
    naive,
    peer,
    per_event,
    stand_in,
    sync_engine,
)
from benchmarks.harness import Results, Spread, interleaved, short, table
from billing import stripe_client
from billing.config import Config
from billing.models import StripeEvent
from tests.conftest import WEBHOOK_SECRET
from tests.story import count
from tests.support import Databases, make_event
from tests.watching import Bell, serving

ITEM = {"object": "subscription_item", "current_period_end": 1790000000}
SAMPLE = json.dumps(
    make_event(
        "customer.subscription.updated",
        {
            "object": "subscription",
            "id": load.SUBJECT,
            "status": "active",
            "items": {"object": "list", "data": [ITEM]},
        },
        id=load.EVENT,
    )
).encode()


@pytest.fixture
def rows(config: Config) -> Iterator[psycopg.Connection]:
    with crew.connected(config) as connection:
        yield connection


def test_a_ratio_is_that_of_two_turns_of_one_round() -> None:
    ours, theirs = iter([20.0, 9.0, 40.0]), iter([10.0, 3.0, 10.0])
    order: list[str] = []

    def turn(name: str, numbers: Iterator[float]) -> dict[str, float]:
        order.append(name)
        return {"rate": next(numbers)}

    found = interleaved({"ours": lambda: turn("ours", ours), "theirs": lambda: turn("theirs", theirs)}, 3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"], "somebody is always the first"
    assert found.ratio("ours", "theirs", "rate") == Spread(3.0, 2.0, 4.0)
    assert str(found["ours", "rate"]) == "20 (9–40)"
    assert [short(value) for value in (12345.6, 1.234, 0.0)] == ["12,346", "1.23", "0"]
    assert table(["a", "b"], [[1, Spread(1, 1, 1)]]) == "| a | b |\n| --- | --- |\n| 1 | 1 (1–1) |"
    assert Results({"a": [{"x": 1.0}]}).kinds == ["a"]


def parts(request: bytes) -> tuple[bytes, str]:
    """Body and signature of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    assert int(lines["Content-Length"]) == len(body)
    return body, lines["Stripe-Signature"]


def test_each_delivery_is_another_event_and_rightly_signed() -> None:
    prepared = load.requests(SAMPLE, "/somewhere", WEBHOOK_SECRET, 3)
    for request in prepared:
        body, signature = parts(request)
        stripe_client.verify(body, signature, (WEBHOOK_SECRET,))
    assert len({parts(request)[0] for request in prepared}) == 3
    assert len({len(request) for request in prepared}) == 1


def test_the_load_reaches_our_receiver_and_counts_what_it_is_answered(app: Flask) -> None:
    Bell(app)
    with serving(app) as port:
        good = load.press(port, load.requests(SAMPLE, "/webhooks/stripe", WEBHOOK_SECRET, 6), 2, 60)
        bad = load.press(port, load.requests(SAMPLE, "/webhooks/stripe", "whsec_of_nobody", 2), 1, 60)
    assert (good["answers"], good["refused"], bad["refused"]) == (6, 0, 2)
    assert good["p99"] >= good["p50"] > 0
    assert count(StripeEvent) == 6


def test_the_naive_receiver_updates_its_row(databases: Databases) -> None:
    url = databases.create("dunlin_naive").replace("postgresql:", "postgresql+psycopg:")
    subjects = [f"sub_1BENCH{number:018}" for number in range(load.SUBJECTS)]
    try:
        naive.make_tables(url, subjects)
        application = naive.create_app(url, WEBHOOK_SECRET)
        with application.app_context(), serving(application) as port:
            found = load.press(port, load.requests(SAMPLE, "/webhook", WEBHOOK_SECRET, 2), 1, 60)
            changed = naive.db.session.query(naive.Plan).filter(naive.Plan.last_event.is_not(None)).count()
            naive.db.session.remove()
            naive.db.engine.dispose()
        assert (found["refused"], changed) == (0, 2)
    finally:
        databases.drop("dunlin_naive")


@pytest.mark.parametrize(
    ("secret", "status"), [(WEBHOOK_SECRET, "200 OK"), ("whsec_other", "400 Bad Request")]
)
def test_the_floor_looks_at_the_signature(secret: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "SECRET", WEBHOOK_SECRET.encode())
    [request] = load.requests(SAMPLE, "/", secret, 1)
    body, signature = parts(request)
    said: list[str] = []
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    floor.app({**environ, "HTTP_STRIPE_SIGNATURE": signature}, lambda status, _: said.append(status))
    assert said == [status]


def test_the_stand_in_says_of_each_number_what_the_sandbox_says_of_one() -> None:
    known = {
        ("/v1/subscriptions/sub_real?expand[0]=x", "v"): (200, '{"id": "sub_real", "customer": "cus_real"}')
    }
    found = stand_in.StandIn("http://127.0.0.1:1", {"sub": "sub_real", "cus": "cus_real"}, 0.0, known=known)
    status, body = found._say(f"/v1/subscriptions/{stand_in.numbered('sub', 7)}?expand[0]=x", "v")
    ids = f'{{"id": "{stand_in.numbered("sub", 7)}", "customer": "{stand_in.numbered("cus", 7)}"}}'
    assert (status, body) == (200, ids)


def test_events_are_stored_as_the_intake_leaves_them_and_the_baseline_applies_them(
    config: Config, db_session: Session
) -> None:
    crew.people(config, 2)
    [one, two] = crew.events(config, 2, 2)
    stored = db_session.get_one(StripeEvent, one)
    like = make_event("customer.subscription.updated", {"id": stored.subject, "object": "subscription"})
    assert (stored.type, stored.state, stored.subject) == (
        like["type"],
        "pending",
        stand_in.numbered("sub", 0),
    )
    db_session.rollback()
    per_event.apply(two)
    assert count(StripeEvent, state="applied") == 1


def test_the_bare_queries_and_the_pages_are_about_the_same_rows(app: Flask, rows: psycopg.Connection) -> None:
    filling.subscribers(rows, 120)
    desk = admin.Desk(app, 120)
    with admin.signed_in(desk, "admin@example.net", is_admin=True) as client:
        for page in admin.pages(120).values():
            found = rows.execute(page.bare).fetchall()
            desk.page(client, f"/admin/subscribers{page.path}")
            shown = client.get(f"/admin/subscribers{page.path}").text
            assert found
            assert all(
                f">{email}<" in shown for email in [row[1] for row in found][:50] if "admin" not in email
            )


def test_the_server_is_that_of_the_procfile() -> None:
    words = ground.procfile("other:app", 4321, workers=3)
    assert words[:2] == ["gunicorn", "other:app"]
    assert "billing.server.Worker" in words
    assert "127.0.0.1:4321" in words
    assert words[words.index("-w") + 1] == "3"


def test_memory_and_processor_of_a_process_are_read() -> None:
    assert boot.held(os.getpid()) > 2**20
    assert crew.cpu_of(os.getpid()) > 0


def test_what_is_run_in_another_environment_is_python() -> None:
    for source in (peer.PROJECT, boot.SERVED, boot.BARE):
        compile(source, "source", "exec")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js, which would run them")
def test_what_node_is_to_run_is_javascript(tmp_path: Path) -> None:
    for number, source in enumerate((sync_engine.PREPARE, sync_engine.SERVE)):
        path = tmp_path / f"{number}.cjs"
        path.write_text(source)
        said = subprocess.run(["node", "--check", path], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr


def test_each_benchmark_can_be_run_alone() -> None:
    for one in benchmarks.ALL:
        assert "`--quick`" in (one.__doc__ or "")
        source = Path(one.__file__ or "").read_text()
        assert 'if __name__ == "__main__":' in source
        assert len(source.splitlines()) < 300
