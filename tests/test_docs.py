"""The documents say what the code does: each list in them is compared with its origin, both ways."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from flask import Flask
from gunicorn.config import Config as GunicornConfig

import app as dunlin
from billing import config as settings
from billing import standing, voice
from billing.inbox import is_ours
from billing.jobs import HANDLERS
from tests.conftest import make_config

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "sandbox").glob("*.md")])
RUNNER = {"PORT", "SANDBOX_PORT", "INBOX_PORT", "WEB_CONCURRENCY", "HEROKU_REDIS"}
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def program() -> Flask:
    """The application as it is put together; no database is reached."""
    return dunlin.create_app(make_config("postgresql://127.0.0.1:1/none"))


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of every table under a heading, without header and rule."""
    _, _, rest = (DOCS / page).read_text().partition(f"## {heading}\n")
    assert rest, f"docs/{page} has no heading “{heading}”"
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    tables = re.findall(r"(?:^[ ]*\|.*\n)+", section, re.MULTILINE)
    lines = [line.strip() for table in tables for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def first(cells: list[list[str]]) -> list[str]:
    """The first column, without its code marks."""
    return [row[0].strip("`") for row in cells]


def read_settings() -> dict[str, tuple[bool, str]]:
    """Every name that ``billing/config.py`` reads: whether it is required, and its default."""
    tree = ast.parse((ROOT / "billing" / "config.py").read_text())
    found: dict[str, tuple[bool, str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in (
            "read",
            "read.number",
            "read.yes",
        ):
            continue
        name, *rest = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        required = any(word.arg == "required" for word in node.keywords)
        found.setdefault(str(name), (required, str(rest[0]) if rest else ""))
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    written = {row[0].strip("`"): row[1].strip("`") for row in rows("settings.md", "The application")}
    read = read_settings()
    shown = {name: "required" if required else (default or "–") for name, (required, default) in read.items()}
    shown["SUPPORT_EMAIL"] = "MAIL_FROM"  # empty means the other one
    shown["SELLER_NAME"] = "BRAND_NAME"
    assert written == shown


def test_no_setting_is_listed_twice() -> None:
    names = [
        *first(rows("settings.md", "The application")),
        *first(rows("settings.md", "The runner and the platform")),
    ]
    assert sorted(names) == sorted(set(names))
    refused = (DOCS / "settings.md").read_text().partition("## Who refuses what\n")[2].partition("\n## ")[0]
    begun = [line.partition(" that ")[0] for line in refused.splitlines() if line.startswith("- ")]
    assert sorted(begun) == sorted(set(begun)), "a sentence stands there twice"


def test_the_runners_settings_are_documented() -> None:
    assert set(first(rows("settings.md", "The runner and the platform"))) == RUNNER
    read = "".join((ROOT / name).read_text() for name in ("app.py", "Procfile", "local/environment.py"))
    assert not [name for name in RUNNER if name not in read]


def test_the_example_of_a_local_file_names_known_settings() -> None:
    text = (ROOT / ".env.example").read_text()
    named = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    assert set(named) <= set(read_settings()) | RUNNER
    assert not re.search(r"(sk|pk|rk)_(test|live)_\w|whsec_\w", text), "an example holds no key"


def test_every_route_is_documented(program: Flask) -> None:
    there = {
        (
            ", ".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})),
            rule.rule,
            who(program, rule.endpoint),
        )
        for rule in program.url_map.iter_rules()
    }
    written = {(row[0], row[1].strip("`"), row[2]) for row in rows("routes.md", "All of them")}
    assert written == there


def who(program: Flask, endpoint: str) -> str:
    """Who may open a view, told from how it is marked."""
    view = program.view_functions[endpoint]
    if endpoint == "webhooks.receive":
        assert getattr(view, "is_public", False), "Stripe does not sign in"
        return "Stripe"
    if endpoint == "static" or getattr(view, "is_public", False):
        return "anyone"
    if endpoint.startswith("admin."):
        return "admin"
    return "with access" if hasattr(view, "__wrapped__") else "signed in"


def test_every_handled_event_is_documented() -> None:
    assert first(rows("events.md", "Handled types")) == list(HANDLERS)


def test_the_endpoint_is_told_to_send_exactly_what_is_handled() -> None:
    _, _, rest = (DOCS / "deploy.md").read_text().partition("## Event types of the endpoint\n")
    listed = rest.partition("```text\n")[2].partition("```")[0].split()
    assert listed == [name for name in HANDLERS if not is_ours(name)]


def test_every_command_is_documented(program: Flask) -> None:
    written = {row.split(" ", 1)[0] for row in first(rows("commands.md", "`flask`"))}
    assert written == set(program.cli.commands)
    named = set(first(rows("commands.md", "`flask`")))
    for name, group in program.cli.commands.items():
        if isinstance(group, click.Group) and name != "db":
            assert {f"{name} {one}" for one in group.commands} <= {" ".join(row.split()[:2]) for row in named}


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert first(rows("commands.md", "`make`")) == [f"make {name}" for name in targets]


def test_the_standings_are_documented_in_the_order_in_which_they_are_asked() -> None:
    table = rows("standing.md", "The table")
    assert first(table) == ["comp", *dict.fromkeys(asked("_code"))]
    assert set(first(table)) == set(voice.TAGS)


def asked(function: str) -> Iterator[str]:
    """The codes that a function of ``standing`` can give, in the order in which it asks."""
    tree = ast.parse((ROOT / "billing" / "standing.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for statement in statements(functions[function].body):
        for expression in answers(statement):
            if isinstance(expression, ast.Call) and ast.unparse(expression.func) in functions:
                yield from asked(ast.unparse(expression.func))
            elif isinstance(expression, ast.Call):
                yield str(ast.literal_eval(expression.args[-1]))  # the default of a table’s ``get``
            else:
                yield str(ast.literal_eval(expression))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from statements(statement.body)
            yield from statements(statement.orelse)


def answers(statement: ast.stmt) -> list[ast.expr]:
    """What a statement may answer: the values of a table, or the branches of what is returned."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
        return statement.value.values
    if not isinstance(statement, ast.Return) or statement.value is None:
        return []
    if isinstance(statement.value, ast.IfExp):
        return [statement.value.body, statement.value.orelse]
    return [statement.value]


def test_each_standing_has_the_tag_and_the_access_that_the_code_gives() -> None:
    words = {"yes": "yes", "grace": "until the grace ends", "policy": "by policy", "before": "as before"}
    for code, _, tag, access in rows("standing.md", "The table"):
        text, glyph, _ = voice.TAGS[code.strip("`")]
        assert tag == f"{text} {glyph}", code
        assert access == words.get(standing.ACCESS.get(code.strip("`"), "no"), "no"), code


def test_every_mail_is_documented() -> None:
    kinds = {path.name for path in (ROOT / "templates" / "mail").iterdir() if path.is_dir()}
    written = first(rows("mails.md", "Kinds"))
    assert len(written) == len(set(written))
    assert set(written) == kinds


def test_every_red_light_is_explained() -> None:
    tree = ast.parse((ROOT / "billing" / "lights.py").read_text())
    function = next(
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "conditions"
    )
    table = next(node for node in ast.walk(function) if isinstance(node, ast.Dict))
    names = [str(ast.literal_eval(key)) for key in table.keys if key is not None]
    assert first(rows("deploy.md", "Red lights")) == ["database", *names]


def test_every_module_is_in_the_map() -> None:
    modules = {path.stem for path in (ROOT / "billing").iterdir() if path.suffix == ".py" or path.is_dir()}
    mapped = [row[1].strip("`") for row in rows("development.md", "Layers")]
    assert len(mapped) == len(set(mapped))
    assert set(mapped) == {name for name in modules if not name.startswith("__")}


@pytest.mark.parametrize(
    ("decision", "requirements"),
    [
        ("0002-runtime-dependencies.md", "requirements.txt"),
        ("0003-development-dependencies.md", "requirements-dev.txt"),
    ],
)
def test_every_dependency_has_its_reason(decision: str, requirements: str) -> None:
    needed = re.findall(r"^([\w\[\]-]+)==", (ROOT / requirements).read_text(), re.MULTILINE)
    table = re.findall(
        r"^\| ([\w\[\]-]+) \| \S.+\|$", (DOCS / "decisions" / decision).read_text(), re.MULTILINE
    )
    assert sorted(set(table) - {"package", "---"}) == sorted(needed)


def test_decisions_are_numbered_short_and_complete() -> None:
    assert [path.name[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    for path in DECISIONS:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert len(text.splitlines()) <= 50, f"{path.name} is longer than 50 lines"
        for part in ("Context", "Decision", "Consequences", "Alternatives"):
            assert f"**{part}.**" in text, f"{path.name} lacks {part}"


def test_the_procfile_starts_what_there_is(program: Flask) -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    commands = dict(line.split(": ", 1) for line in lines)
    assert list(commands) == ["release", "web", "worker", "clock"]
    for name in ("release", "worker", "clock"):
        words = shlex.split(commands[name])
        assert words[:3] == ["flask", "--app", "app"]
        command: click.Command | None = program.cli
        for word in words[3:]:
            assert isinstance(command, click.Group)
            command = command.commands.get(word)
        assert command is not None, name
    web = shlex.split(commands["web"])
    assert web[:2] == ["gunicorn", "app:web()"]
    assert callable(dunlin.web)
    assert web[web.index("--bind") + 1] == "0.0.0.0:$PORT"
    assert "--no-control-socket" in web
    assert int(web[web.index("--graceful-timeout") + 1]) < 25, "the platform ends what takes longer"


def test_gunicorn_knows_the_options_of_the_procfile() -> None:
    line = next(one for one in (ROOT / "Procfile").read_text().splitlines() if one.startswith("web: "))
    words = shlex.split(line.replace("${WEB_CONCURRENCY:-1}", "1").removeprefix("web: gunicorn "))
    given = GunicornConfig().parser().parse_args(words)
    assert (given.worker_class, given.workers, given.threads) == ("billing.server.Worker", 1, 8)
    assert given.control_socket_disable is True


def test_app_json_asks_for_every_required_setting() -> None:
    manifest = json.loads((ROOT / "app.json").read_text())
    from_addons = {"DATABASE_URL", "REDIS_URL"}
    required = {name for name, (needed, _) in read_settings().items() if needed}
    assert required - from_addons <= set(manifest["env"])
    assert set(manifest["env"]) <= set(read_settings()) | RUNNER
    assert all(entry["description"] for entry in manifest["env"].values())
    assert {plan.partition(":")[0] for plan in manifest["addons"]} == {"heroku-postgresql", "heroku-redis"}
    assert set(manifest["formation"]) == {"web", "worker", "clock"}


def test_the_environments_are_named() -> None:
    text = (DOCS / "settings.md").read_text()
    assert all(f"`{name}`" in text for name in settings.ENVIRONMENTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    broken = [link for link in LINK.findall(text) if not resolves(page, link)]
    assert not broken


def resolves(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = unquote(link).partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The headings’ anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
