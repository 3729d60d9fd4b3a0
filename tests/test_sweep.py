"""The sweep: whatever our rows hold, one pass brings them to what Stripe holds; what is right is only read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billing import healing, pace
from billing.extensions import db
from billing.models import Dispute, Invoice, Payment, Subscription, SyncRun, User
from tests.histories import OURS, at_stripe, cursor_at, sandbox_in, with_us
from tests.story import HOUR, Shopper, catch_up, config_of, count, shopper
from tests.support import Sandbox, make_user

DISPUTED = "4000000000000259"
OF_ROWS: tuple[Any, ...] = (Subscription, Invoice, Payment, Dispute)
# Ours, not Stripe's: who wrote the row, and what only we know of when. Their guards and rules have tests of their own.
OUR_OWN = OURS - {"user_id"} | {"livemode", "first_failed_at", "fulfilled_at"}


@pytest.fixture(scope="module")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox_in(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace is kept and tested elsewhere; here it would only take time."""
    monkeypatch.setattr(pace, "A_SECOND", 10_000)


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    """Alice has a plan, of whose first invoice something was paid back, and a purchase that her bank disputes. Of what
    happens from now on no event reaches us."""
    alice = shopper(desk)
    alice.subscribe()
    alice.sandbox.stripe.refunds.create({"payment_intent": alice.invoices[0].payment_intent, "amount": 500})
    assert alice.pay(alice.buy(), DISPUTED).status == 303
    catch_up(desk)
    assert [count(model) for model in OF_ROWS] == [1, 1, 1, 1]
    alice.sandbox.control("trouble", delivery="drop")
    return alice


def pass_(person: Shopper, *, full: bool = False) -> SyncRun:
    """One pass that finds no event at all: Stripe has made none of what happened, or they are 30 days old."""
    cursor_at(24 * HOUR)
    return healing.make(db.session(), config_of(person.desk), "clock", full=full)


def held() -> dict[str, list[dict[str, Any]]]:
    """All that our rows say of what Stripe holds, whoever they belong to."""
    db.session.rollback()
    found = {}
    for model in OF_ROWS:
        names = [column.key for column in model.__table__.columns if column.key not in OUR_OWN]
        rows = [{name: getattr(row, name) for name in names} for row in db.session.query(model)]
        found[model.__tablename__] = sorted(rows, key=str)
    return found


def run(*statements: str, **values: Any) -> None:
    for statement in statements:
        db.session.execute(text(statement), values)
    db.session.commit()


def values_of(column: Any) -> list[Any]:
    kind = column.type.python_type
    wrong: dict[type, list[Any]] = {
        str: ["", "wrong", "active", "open", "2"],
        int: [0, 7, 10**9],
        bool: [True, False],
        datetime: [datetime(2001, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)],
    }
    return [*wrong.get(kind, []), *([None] if column.nullable else [])]


def updates() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """One column of one table, in every row, to some value of its type."""
    columns = [
        column
        for model in OF_ROWS
        for column in model.__table__.columns
        if column.name not in OUR_OWN | {"user_id"} and values_of(column)
    ]
    return st.sampled_from(columns).flatmap(
        lambda column: st.sampled_from(values_of(column)).map(
            lambda value: (f'update {column.table.name} set "{column.name}" = :value', {"value": value})
        )
    )


LOSSES = [
    *(f"delete from {model.__tablename__}" for model in OF_ROWS),
    "delete from notices",
    """update subscriptions set pause_collection = '{"behavior": "void"}'""",
    *(
        f"update {model.__tablename__} set user_id = (select id from users where email = 'bob@example.com')"
        for model in OF_ROWS
    ),
]
DAMAGE = st.lists(
    st.one_of(updates(), st.sampled_from(LOSSES).map(lambda one: (one, {}))), min_size=1, max_size=4
)


RIGHT: dict[str, Any] = {}


@settings(
    deadline=None,
    database=None,
    max_examples=25,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGE)
def test_whatever_is_done_to_the_rows_one_full_pass_brings_them_to_what_stripe_holds(
    alice: Shopper, damage: list[tuple[str, dict[str, Any]]]
) -> None:
    right = RIGHT.setdefault(alice.customer, held())
    if not count(User, email="bob@example.com"):
        make_user(db.session(), "bob@example.com")
    for statement, values in damage:
        run(statement, **values)
    pass_(alice, full=True)
    assert held() == right
    assert with_us(alice) == at_stripe(alice)
    assert alice.standing.code == "disputed"
