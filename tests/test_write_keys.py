"""No write leaves without a key that is in our registry: watched over a whole story, and read from the source."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from billing import catalogue, refresh, running, stripe_client, writes
from billing.extensions import db
from billing.models import StripeWrite
from billing.plans import Catalogue, Price, Product
from tests.leavers import ask, on_the_day
from tests.registry import over_a_wire, sweep
from tests.story import DECLINED, FAILS_LATER, GOOD, HOUR, Shopper, catch_up, config_of, shopper
from tests.support import Sandbox
from tests.test_address_at_stripe import moves
from tests.test_leaving import hidden
from tests.test_new_card import put_card, settle
from tests.test_plan_change import offer
from tests.test_second import another
from tests.wire import Wire, flat

BILLING = Path(__file__).parent.parent / "billing"
READS = {"retrieve", "retrieve_current", "list", "create_preview"}


@pytest.fixture
def wire(desk: Flask, sandbox_process: Sandbox) -> Iterator[Wire]:
    with over_a_wire(desk, sandbox_process) as found:
        yield found


def a_new_product_another_name_and_price_for_it_and_its_end() -> None:
    """What an operator does with ``flask plans push``."""
    price, shop = Price("keys-credits", 700, "eur", None), running.catalogue()
    for title, amount in (("Credits", 700), ("More credits", 800)):
        product = Product("keys-credits", title, "", replace(price, amount=amount))
        catalogue.push(db.session(), Catalogue(shop.plans, (*shop.products, product)), archive=amount == 800)


def changes_her_mind_and_subscribes(alice: Shopper) -> None:
    alice.order("team")
    session_id = alice.order("pro", "year")
    assert alice.pay(session_id, DECLINED).status == 422
    assert alice.pay(session_id).status == 303
    catch_up(alice.desk)
    assert alice.row.status == "active"


def buys_something(alice: Shopper) -> None:
    assert alice.pay(alice.buy()).status == 303
    catch_up(alice.desk)


def buys_with_one_press(alice: Shopper) -> None:
    page = alice.get("/buy/credits-100").text.partition("Pay another way")[0]
    assert alice.post("/buy/credits-100/card", **hidden(page.rpartition("<form")[0])).status_code == 303
    catch_up(alice.desk)


def uses_the_portal_and_keeps_her_plan(alice: Shopper) -> None:
    for flow in ("home", "payment_method_update", "subscription_cancel"):
        assert alice.post(f"/billing/portal/{flow}").status_code == 303
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    catch_up(alice.desk)
    assert alice.row.cancel_at_period_end
    alice.post("/billing/resume")
    catch_up(alice.desk)
    assert not alice.row.cancel_at_period_end


def owes_and_puts_another_card(alice: Shopper) -> None:
    put_card(alice, FAILS_LATER)
    settle(alice)
    alice.advance(int(alice.row.current_period_end.timestamp()) + 2 * HOUR)  # type: ignore[union-attr]
    put_card(alice, "mastercard")
    settle(alice)
    assert (alice.row.status, alice.row.card_brand) == ("active", "mastercard")


def takes_a_break(alice: Shopper) -> None:
    alice.post("/billing/pause", months="1", **hidden(alice.get("/billing/pause").text))
    assert alice.standing.code == "paused_asked"
    alice.post("/billing/unpause", **hidden(alice.get("/billing/unpause").text))
    catch_up(alice.desk)
    assert alice.standing.code == "active"


def changes_her_plan(alice: Shopper) -> None:
    offer(alice, "basic").send()
    assert alice.standing.code == "changing"
    alice.post("/billing/stay")
    alice.use_card(FAILS_LATER)
    offer(alice, "team", "year").send()
    assert alice.row.coming is None
    alice.use_card(GOOD)
    offer(alice, "team", "year").send()
    assert alice.row.plan == "team"


def has_the_account_deleted(alice: Shopper) -> None:
    ask(alice)
    on_the_day(alice)
    assert alice.user.deleted_at is not None


def is_paid_back_for_a_second_plan(alice: Shopper) -> None:
    config = config_of(alice.desk)
    alice.desk.extensions["config"] = replace(config, second_subscription="refund")
    another(alice)
    catch_up(alice.desk)
    assert sweep() == 2
    catch_up(alice.desk)
    alice.desk.extensions["config"] = config


def test_every_write_of_a_whole_story_carries_a_key_and_parameters_that_are_in_the_registry(
    desk: Flask, wire: Wire
) -> None:
    alice = shopper(desk)
    a_new_product_another_name_and_price_for_it_and_its_end()
    changes_her_mind_and_subscribes(alice)
    buys_something(alice)
    buys_with_one_press(alice)
    uses_the_portal_and_keeps_her_plan(alice)
    changes_her_plan(alice)
    owes_and_puts_another_card(alice)
    takes_a_break(alice)
    is_paid_back_for_a_second_plan(alice)
    moves(alice, "alice@elsewhere.example.com")
    alice.advance_by(40 * 24 * HOUR)
    alice.post("/billing/check")
    refresh.everything(db.session(), config_of(desk))
    writes.finish_open(db.session())
    kept = {row.idempotency_key: row.params for row in db.session.execute(select(StripeWrite)).scalars()}
    has_the_account_deleted(alice)

    rows = {row.idempotency_key: row for row in db.session.execute(select(StripeWrite)).scalars()}
    sent_writes = [
        sent for sent in wire.writes if not sent.path.endswith("/create_preview")
    ]  # it makes nothing
    assert len(sent_writes) > 10
    for sent in sent_writes:
        # a DELETE, at which Stripe heeds no key: resolutions.HEEDS_NO_KEY looks whether it was done
        ends = "/subscriptions/" in sent.path or "/customers/" in sent.path
        assert sent.method == "POST" or ends, f"{sent.method} {sent.path}"
        row = rows.get(sent.key or "")
        assert row is not None, f"{sent.path} left with a key that is not in stripe_writes"
        if sent.key in kept:  # what was sent for the deletion is erased with the rest
            assert sent.fields == flat(json.loads(kept[sent.key])), sent.path
        assert (row.target or "") in sent.path
    told = {rows[sent.key or ""].operation for sent in sent_writes}
    assert told == set(stripe_client.OPERATIONS), "the story must tell of every operation"


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(BILLING.rglob("*.py")):
        yield str(path.relative_to(BILLING)), ast.parse(path.read_text(encoding="utf-8"))


def test_only_the_registry_sends_writes() -> None:
    """Nothing else calls ``stripe_client.call``, imports it by name, or takes the SDK's client. What only reads asks by
    ``ask``, in one module, whose calls are all reads."""
    found = set()
    for name, tree in sources():
        for node in ast.walk(tree):
            called = isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "stripe_client.call",
                "stripe_client.ask",
            )
            by_name = isinstance(node, ast.ImportFrom) and node.module == "billing.stripe_client"
            taken = by_name and {alias.name for alias in node.names} & {
                "call",
                "connect",
                "OPERATIONS",
                "ask",
            }
            client = isinstance(node, ast.Subscript) and ast.unparse(node).endswith("extensions['stripe']")
            if called or taken or client:
                found.add(name)
    assert found == {"writes.py", "stripe_client.py", "stripe_reads.py"}, (
        "write to Stripe through writes.perform only"
    )


def chain(node: ast.AST) -> list[str]:
    """``v1.checkout.sessions.create`` as its parts; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return [node.id, *parts] if isinstance(node, ast.Name) and node.id == "v1" else []


def test_every_call_of_the_sdk_that_changes_something_is_an_operation_with_our_options() -> None:
    tree = ast.parse((BILLING / "stripe_client.py").read_text(encoding="utf-8"))
    table = next(
        node for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "OPERATIONS"
    )  # fmt: skip
    listed = {id(node) for node in ast.walk(table)}
    reads = ast.parse((BILLING / "stripe_reads.py").read_text(encoding="utf-8"))
    both = [*ast.walk(tree), *ast.walk(reads)]
    calls = [node for node in both if isinstance(node, ast.Call) and chain(node.func)]
    changing = [node for node in calls if chain(node.func)[-1] not in READS]
    assert len(changing) == len(stripe_client.OPERATIONS)
    for node in changing:
        assert id(node) in listed, f"line {node.lineno}: put {ast.unparse(node)} into OPERATIONS"
        assert ast.unparse(node.args[-1]) == "o", f"line {node.lineno}: the options carry the key"


def test_every_request_for_a_write_names_an_operation_there_is() -> None:
    named = {
        ast.literal_eval(node.args[0])
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "WriteRequest"
    }
    assert named == set(stripe_client.OPERATIONS)
