"""The house keeps its order: imports point down, and each foreign library has one door."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import billing

ROOT = Path(__file__).parent.parent

# Top to bottom. A module may import its own layer and those below it.
HOUSE = """
edge: auth pricing portal ledger orders switching arrival access account webhooks front health admin forms cli cli_sync
  web server locales trouble cli_plans leaving guards canceling pausing new_card receipts looking agreements outcomes
  seats seat_form withdrawing withdraw_forms packing cli_doctor shop purchases paying banner email_change deleting
  mail_pages cli_mails
work: boot jobs claims writes sightings registry resolutions closing outbox lights timetable refresh sweep healing
  rehearsal catalogue catalogue_writes comparison turns checks exports removing ahead specimens practice
domain: subscriptions plan_change second invoices payments checkout clocks standing voice tags facts dunning notices
  labels still plan_news payment_news declines mailer bounces people accounts reconcile comparing mirrors syncing
  write_request readers premises reasons sentences actions line particulars comps means novelties currencies offers
  plan_cards opening became cards customers pauses breaks ending bills obstacles previews quoting quote_words seals
  next_steps withdrawals senders grants one_click purchase_words ladder reminders pay_links refunds refunding
  contested fraud_warnings addresses exporting deletions erasing samples
nouns: models plans running money stripe_client stripe_reads queues payloads inbox leases installation schema roles
  audit throttle refusals passwords words plan_file prices diagnosis key_rights
ground: config environment signing extensions errors clock deadline logs pace hands language
"""
LAYERS = {layer: names.split() for layer, names in re.findall(r"^(\w+):((?:.|\n  )+)$", HOUSE, re.MULTILINE)}
RANK = {module: rank for rank, modules in enumerate(reversed(LAYERS.values())) for module in modules}
LAYER = {module: layer for layer, modules in LAYERS.items() for module in modules}

# The one module that may know a library; the others ask it.
DOORS = {"stripe": "stripe_client", "rq": "queues", "smtplib": "mailer", "gunicorn": "server"}
# What belongs to a request.
OF_A_REQUEST = {"request", "session", "current_user", "login_user", "logout_user"}
# A lease that is not committed holds nobody off, and a try that is not committed is not counted.
COMMITS_BY_ITSELF = {
    "leases": "taking and freeing must be seen by other processes at once",
    "throttle": "a try counts even when the request that made it is rolled back",
}


def module_of(path: Path) -> str:
    """The name under ``billing`` that the layers list: a file, or the package that it lies in."""
    first = path.relative_to(ROOT / "billing").parts[0]
    return first.removesuffix(".py")


@cache
def sources(folder: str) -> list[tuple[Path, ast.Module]]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [(path, ast.parse(path.read_text(encoding="utf-8"), str(path))) for path in paths]


@cache
def imported(tree: ast.AST) -> list[tuple[str, int]]:
    """Every dotted name that a file imports, with its line; ``from a import b`` gives ``a.b``."""
    return list(_imported(tree))


def _imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full: `from billing.x import y`"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def ours(name: str) -> str | None:
    """The module of ``billing`` that a dotted name leads to."""
    parts = name.split(".")
    return parts[1] if parts[0] == "billing" and len(parts) > 1 else None


def modules() -> list[tuple[Path, ast.Module, str]]:
    found = [(path, tree, module_of(path)) for path, tree in sources("billing")]
    return [entry for entry in found if entry[2] != "__init__"]


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_module_has_exactly_one_layer() -> None:
    there = {module for _, _, module in modules()}
    listed = Counter(module for layer in LAYERS.values() for module in layer)
    assert not [name for name, times in listed.items() if times > 1], "a module is listed in two layers"
    missing, gone = sorted(there - set(listed)), sorted(set(listed) - there)
    assert not missing, f"put {missing} into one layer: LAYERS here and the list in billing/__init__.py"
    assert not gone, f"{gone} are gone: take them out of LAYERS here and of billing/__init__.py"


def test_the_reading_guide_lists_the_same_layers() -> None:
    text = billing.__doc__ or ""
    listed = dict(re.findall(r"^\* (\w+): +((?:.|\n {2,})+?)$(?=\n\*|\n?\Z)", text, re.MULTILINE))
    guide = {layer: sorted(re.findall(r"\w+", names)) for layer, names in listed.items()}
    assert guide == {layer: sorted(names) for layer, names in LAYERS.items()}, (
        "the list at the end of billing/__init__.py and LAYERS in this test must say the same"
    )


def test_imports_point_down() -> None:
    wrong = [
        f"{where(path, line)}: {module} ({LAYER[module]}) imports {below} ({LAYER[below]})"
        for path, tree, module in modules()
        for name, line in imported(tree)
        if (below := ours(name)) in RANK and RANK[below] > RANK[module]
    ]
    assert not wrong, "\n".join(
        [
            "An import points up. Move the function down to the layer that needs it, pass what it needs as",
            "an argument, or move the module to the higher layer (here and in billing/__init__.py):",
            *wrong,
        ]
    )


def test_nothing_below_knows_the_program_its_tests_or_its_stand_ins() -> None:
    wrong = [
        f"{where(path, line)}: {name}"
        for path, tree, _ in modules()
        for name, line in imported(tree)
        if name.split(".")[0] in ("app", "sandbox", "local", "tests")
    ]
    assert not wrong, f"billing runs in production, where only billing is: take these imports out: {wrong}"


def test_the_sandbox_never_imports_the_product() -> None:
    wrong = [
        f"{where(path, line)}: {name}"
        for path, tree in sources("sandbox")
        for name, line in imported(tree)
        if name.split(".")[0] in ("app", "billing", "local", "tests")
    ]
    assert not wrong, (
        f"the sandbox stands for Stripe; sharing our code it would share our mistakes; copy instead: {wrong}"
    )


@pytest.mark.parametrize(("library", "door"), sorted(DOORS.items()))
def test_a_library_has_one_door(library: str, door: str) -> None:
    found = [*modules(), (ROOT / "app.py", ast.parse((ROOT / "app.py").read_text()), "app")]
    wrong = [
        f"{where(path, line)}: {name}"
        for path, tree, module in found
        for name, line in imported(tree)
        if name.split(".")[0] == library and module != door
    ]
    assert not wrong, f"only billing/{door}.py imports {library}; add a function there and call that: {wrong}"


def test_only_the_edge_knows_the_request() -> None:
    wrong = [
        f"{where(path, line)}: {name}"
        for path, tree, module in modules()
        if LAYER.get(module) != "edge"
        for name, line in imported(tree)
        if name in ("flask", "flask_login")
        or (name.split(".")[0] in ("flask", "flask_login") and name.split(".")[1] in OF_A_REQUEST)
    ]
    assert not wrong, f"read the request in a view and pass on what is needed: {wrong}"


def test_only_the_edge_and_work_commit() -> None:
    wrong = [
        where(path, node.lineno)
        for path, tree, module in modules()
        if LAYER.get(module) not in ("edge", "work") and module not in COMMITS_BY_ITSELF
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]
    assert not wrong, (
        f"one request or job is one transaction: let the view or the job commit, not what it calls: {wrong}"
    )


def test_a_module_that_commits_by_itself_says_so() -> None:
    for module in COMMITS_BY_ITSELF:
        tree = ast.parse((ROOT / "billing" / f"{module}.py").read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            if ".commit()" in ast.unparse(function):
                said = ast.get_docstring(function) or ""
                assert "commit" in said, f"{module}.{function.name} commits: its docstring must say so"
