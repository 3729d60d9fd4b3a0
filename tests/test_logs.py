"""A log line: one JSON object, no secrets, no personal data, nothing that a terminal would obey."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import logs
from billing.errors import ConfigError, StripeUnavailable
from tests.watching import Lines

calm = settings(deadline=None, database=None)
log = logging.getLogger("tests.told")


def said(speak: Callable[[], None]) -> str:
    """The one line that comes of this."""
    with Lines() as lines:
        speak()
    [line] = lines.lines
    return line


def parsed(line: str) -> dict[str, Any]:
    """The line as a strict reader of JSON lines takes it."""
    assert line.isascii()
    assert line.isprintable(), "a control character was written as it is"
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_line_says_when_how_bad_from_where_what_and_all_that_was_given() -> None:
    line = parsed(
        said(lambda: log.warning("paid %s times", 2, extra={"event": "evt_1", "tries": 3, "late": None}))
    )
    assert line.pop("at").startswith("20")
    assert line == {
        "level": "WARNING", "from": "tests.told", "what": "paid 2 times", "event": "evt_1", "tries": 3,
        "late": None,
    }  # fmt: skip


HOSTILE = {
    "line ends": 'a\r\nb\n{"level": "INFO"}\u2028\u2029\x85\x0b\x0c',
    "terminal commands": "\x1b[2J\x1b]0;title\x07\x9b31m\x08\x7f",
    "a NUL": "\0",
    "half a letter": "\ud800",
    "quotes": '"\'\\"}',
    "right to left": "\u202egnp.exe",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("where", ["message", "argument", "field", "name of a field"])
def test_what_strangers_wrote_can_neither_end_a_line_nor_command_a_terminal(text: str, where: str) -> None:
    speak = {
        "message": lambda: log.warning(text),
        "argument": lambda: log.warning("%s", text),
        "field": lambda: log.warning("x", extra={"agent": [text]}),
        "name of a field": lambda: log.warning("x", extra={"headers": {text: 1}}),
    }[where]
    line = parsed(said(speak))
    assert text in (line["what"], *line.get("agent", ()), *line.get("headers", ()))


LETTERS = st.text(st.characters(codec=None))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | LETTERS
    | st.binary()
    | st.builds(object)
    | st.builds(ValueError),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | LETTERS, inner) | st.tuples(inner),
    max_leaves=5,
)


@calm
@given(LETTERS, VALUES)
def test_whatever_is_logged_is_one_line_of_json(text: str, value: Any) -> None:
    line = parsed(said(lambda: log.warning("%s", text, extra={"value": value})))
    assert {"at", "level", "from", "what", "value"} <= set(line)


# Secrets and persons.

CANARIES = {
    "a secret key": "sk_test_51CanaryCanary",
    "a live secret key": "sk_live_51CanaryCanary",
    "a restricted key": "rk_live_51CanaryCanary",
    "a signing secret": "whsec_CanaryCanary/+=",
    "a Checkout Session": "cs_test_a1CanaryCanary",
    "a live Checkout Session": "cs_live_a1CanaryCanary",
    "a client secret": "pi_3Canary_secret_CanaryCanary",
    "a client secret of a setup": "seti_1Canary_secret_CanaryCanary",
    "a bearer token": "Bearer Canary.Canary-Canary_",
    "a password's hash": "$argon2id$v=19$m=19456,t=2,p=1$Canary$CanaryCanary",
    "a database's password": "postgresql://dunlin:Canary@db.example.com/dunlin",
    "a password of Redis": "rediss://:Canary@10.0.0.1:6380/0",
    "an address": "Canary.Bird+tag@sub.example.com",
    "an address with an apostrophe": "Canary.o'Canary@example.com",
    "an address of odd letters": "!Canary#$%&*/=?^`{|}~@example.com",
    "an address beyond ASCII": "Zoë.Canary@bücher.example",
    "a link to a new password": "https://billing.example.com/reset/Canary-_0123456789",
    "a link to pay": "https://billing.example.com/pay/Canary.Q2FuYXJ5.Canary-_0123456789",
    "a card number": "4242424242424242",
    "a card number with spaces": "4242 4242 4242 4242",
    "a card number with dashes": "4242-4242-4242-4242",
}
# Around a secret: what may stand beside it in a text that somebody else wrote.
AROUND = ("{}", "key={}", "<{}>", "'{}'", '{{"k": "{}"}}', "a {} b", "\n{}\n", "({}),")


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_secrets_and_persons_are_blotted_out_wherever_they_stand(canary: str) -> None:
    for frame in AROUND:
        text = frame.format(canary)
        lines = [
            said(lambda text=text: log.error(text)),
            said(lambda text=text: log.error("%s", text)),
            said(lambda text=text: log.error("%r", {"why": text})),
            said(lambda text=text: log.error("x", extra={"why": text})),
            said(lambda text=text: log.error("x", extra={"why": [{"deep": (text,)}]})),
            said(lambda text=text: log.error("x", extra={"why": {text: 1}})),
            said(lambda text=text: log.error("x", extra={"why": ValueError(text)})),
            said(lambda text=text: log.error("x", extra={"why": text.encode()})),
        ]
        for line in lines:
            assert "Canary" not in line, line
            assert "4242" not in line, line
            assert "[hidden]" in parsed(line)["what"] + json.dumps(parsed(line).get("why"))


def test_a_card_number_that_is_a_number_is_blotted_out_too() -> None:
    assert parsed(said(lambda: log.error("x", extra={"number": 4242424242424242})))["number"] == "[hidden]"


KEPT = """
evt_1Pgc76B7WZ01zgkWwyRHS12y sub_1Pgc6rB7WZ01zgkWNy0Cn5nw cus_QXg1o8vcGmoR32 in_1Pgc6tB7WZ01zgkWu9fdqL6I
pi_3PgafyB7WZ01zgkWSjxsAJo3 ch_1PgafuB7WZ01zgkWXYmPNZs8 du_1Pgc71B7WZ01zgkWMevJiAUx acct_1PgafTB7WZ01zgkW
127.0.0.1 2001:db8::1 2026-11-18T17:46:22+0000 1795000000 2900 invoice.payment_failed OperationalError
2026-10-28.endive /admin/subscribers/12 https://billing.example.com/billing
""".split()


@pytest.mark.parametrize("text", KEPT)
def test_what_an_operator_needs_is_left(text: str) -> None:
    line = parsed(said(lambda: log.error("x %s", text, extra={"about": text})))
    assert (line["what"], line["about"]) == (f"x {text}", text)


# Errors.


def fail(problem: BaseException, cause: BaseException | None = None) -> None:
    try:
        raise problem from cause
    except BaseException:
        log.exception("it failed")


def fail_twice(first: BaseException, second: BaseException) -> None:
    try:
        try:
            raise first
        except BaseException:  # noqa: BLE001 whatever was asked for
            raise second  # noqa: B904 while the first is handled, not because of it
    except BaseException:
        log.exception("it failed")


def test_an_error_is_told_by_its_kind_and_place_and_never_by_its_words() -> None:
    for line in (
        said(lambda: fail(ValueError("Canary the First lives at Canary Street 1"))),
        said(lambda: fail(RuntimeError("Canary"), KeyError("Canary"))),
        said(lambda: fail_twice(KeyError("Canary"), RuntimeError("Canary"))),
        said(lambda: fail(ExceptionGroup("Canary", [ValueError("Canary")]))),
    ):
        assert "Canary" not in line
        trace = parsed(line)["trace"]
        assert trace[0] in ("ValueError", "RuntimeError", "ExceptionGroup")
        assert f"{__file__}:" in trace[1]
        assert " fail" in trace[1]


def test_what_an_error_came_from_is_told_too() -> None:
    kinds = [
        [row for row in parsed(said(speak))["trace"] if not row.startswith(" ")]
        for speak in (
            lambda: fail(RuntimeError(), KeyError()),
            lambda: fail_twice(KeyError(), RuntimeError()),
        )
    ]
    assert kinds == [["RuntimeError", "KeyError"]] * 2


def test_an_error_of_our_own_may_say_why_but_no_secret() -> None:
    line = said(lambda: fail(StripeUnavailable("Stripe answered 503 (api_error)", status=503)))
    assert parsed(line)["trace"][0] == "StripeUnavailable: Stripe answered 503 (api_error)"
    line = said(lambda: fail(ConfigError("STRIPE_SECRET_KEY is sk_live_Canary")))
    assert parsed(line)["trace"][0] == "ConfigError: STRIPE_SECRET_KEY is [hidden]"


def test_an_error_that_is_its_own_cause_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    line = said(lambda: log.error("x", exc_info=first))
    assert parsed(line)["trace"] == ["ValueError", "KeyError"]


def test_libraries_speak_only_when_something_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    for name in ("stripe", "rq.worker", "urllib3.connectionpool", "alembic.runtime"):
        logging.getLogger(name).info("Canary")
        logging.getLogger(name).warning("something")
    log.info("ours")
    lines = [parsed(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["what"] for line in lines] == ["something"] * 4 + ["ours"]
