"""sandbox/README.md says what the sandbox does: its tables are compared with the code, both ways."""

from __future__ import annotations

import re

from sandbox import cards
from sandbox.api.operation import Operation
from sandbox.api.table import TABLE
from sandbox.app import create_app
from sandbox.house import CHOICES, SETTINGS, TROUBLE
from tests.sandbox.engine.driver import ROOT

README = (ROOT / "sandbox" / "README.md").read_text()


def rows(header: str) -> list[list[str]]:
    """The cells below the table's header that begins so."""
    _, _, rest = README.partition(f"| {header} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def coded(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def noun(operation: Operation) -> str:
    return operation.path.removeprefix("/v1/").partition("/<id>")[0]


def verb(operation: Operation) -> str:
    """What the table calls an operation: Stripe's word for it, or the last part of its path."""
    below = operation.path.partition("<id>/")[2]
    if below:
        return below
    on_one = operation.path.endswith("<id>") or operation.path == "/v1/account"
    if not on_one:
        return {"GET": "list", "POST": "create"}[operation.method]
    gone = "cancel" if noun(operation) == "subscriptions" else "delete"
    return {"GET": "retrieve", "POST": "update", "DELETE": gone}[operation.method]


def test_every_operation_is_in_the_table() -> None:
    said = {name.removesuffix("/<id>"): row[1] for row in rows("under `/v1/`") for name in coded(row[0])}
    assert {noun(each) for each in TABLE} == set(said)
    assert [each.path for each in TABLE if verb(each) not in said[noun(each)]] == []


def test_every_control_is_in_the_table() -> None:
    there = {
        (method, re.sub(r"<(?:\w+:)?\w+>", "<id>", rule.rule))
        for rule in create_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/sandbox/")
    }
    written = set()
    for row in rows("route"):
        *methods, last = coded(row[0])
        method, _, path = last.partition(" ")
        written |= {(each, path) for each in [*methods, method]}
    assert written == there


def test_every_trouble_and_setting_is_in_its_table() -> None:
    trouble = {name: row[1] for row in rows("trouble") for name in coded(row[0])}
    assert set(trouble) == set(TROUBLE)
    for name in ("delivery", "api"):
        assert set(coded(trouble[name].replace("`api`", ""))) == set(CHOICES[name])
    settings = {name: row for row in rows("setting") for name in coded(row[0])}
    assert set(settings) == set(SETTINGS)
    for name, (_, default, _) in settings.items():
        assert str(SETTINGS[name]) in coded(default), name
    assert set(CHOICES["retry_end"]) <= set(coded(" ".join(settings["retry_end"])))


def test_the_cards_of_the_table_are_known() -> None:
    shown = re.findall(r"\d{4}(?: \d{4}){3}", " ".join(" ".join(row) for row in rows("number")))
    assert len(shown) > 10
    assert [each for each in shown if each.replace(" ", "") not in cards.BY_NUMBER] == []
