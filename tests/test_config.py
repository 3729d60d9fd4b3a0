"""Dunlin starts only where its settings are whole, strong and of one mode; a sentence says what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy.orm import Session

import app as dunlin
from billing import boot, installation
from billing import config as settings
from billing.clock import now
from billing.config import Config
from billing.errors import ConfigError
from billing.extensions import db
from billing.signing import Secret
from tests.conftest import make_config

ROOT = Path(__file__).parent.parent
DATABASE = "postgresql://dunlin:dbcanary@db.example.com/dunlin"
SECRET = "0123456789abcdef" * 4
TEST = {
    "SECRET_KEY": SECRET,
    "DATABASE_URL": DATABASE,
    "REDIS_URL": "redis://:rediscanary@redis.example.com/0",
    "STRIPE_SECRET_KEY": "sk_test_0123456789abcdefghij",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef",
    "PUBLIC_URL": "https://billing.example.com",
    "SMTP_URL": "smtp://user:smtpcanary@mail.example.com:587",
    "MAIL_FROM": "Dunlin <billing@example.com>",
}
LIVE = TEST | {"APP_ENV": "production", "STRIPE_SECRET_KEY": "sk_live_0123456789abcdefghij"}


def rotating(older: str) -> dict[str, str]:
    """The setting with a current secret before these; ``{1}`` and so on are secrets."""
    secrets = [f"whsec_0123456789abcde{number}" for number in range(5)]
    return {"STRIPE_WEBHOOK_SECRET": f"{secrets[0]},{older.format(*secrets)}"}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        settings.load(environ)
    return str(caught.value)


def assert_one_sentence(text: str, name: str) -> None:
    assert name in text
    assert "\n" not in text
    assert text.endswith("."), text
    assert ". " not in text, f"more than one sentence: {text}"
    assert len(text) < 200


REFUSED: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    # what is wrong: (the setting that the sentence names, the settings, what is changed in them)
    "no Stripe key": ("STRIPE_SECRET_KEY", TEST, {"STRIPE_SECRET_KEY": ""}),
    "a Stripe key of blanks": ("STRIPE_SECRET_KEY", TEST, {"STRIPE_SECRET_KEY": " \n"}),
    "a publishable key as secret": (
        "STRIPE_SECRET_KEY",
        TEST,
        {"STRIPE_SECRET_KEY": "pk_test_0123456789abcdef"},
    ),
    "a key of no known kind": ("STRIPE_SECRET_KEY", TEST, {"STRIPE_SECRET_KEY": "0123456789abcdef"}),
    "live key in development": ("STRIPE_SECRET_KEY", LIVE, {"APP_ENV": "development"}),
    "live key without APP_ENV": ("STRIPE_SECRET_KEY", LIVE, {"APP_ENV": ""}),
    "live key in staging": ("STRIPE_SECRET_KEY", LIVE, {"APP_ENV": "staging"}),
    "restricted live key in development": (
        "STRIPE_SECRET_KEY",
        LIVE,
        {"APP_ENV": "development", "STRIPE_SECRET_KEY": "rk_live_0123456789abcdefghij"},
    ),
    "test key in production": ("STRIPE_SECRET_KEY", TEST, {"APP_ENV": "production"}),
    "restricted test key in production": (
        "STRIPE_SECRET_KEY",
        TEST,
        {"APP_ENV": "production", "STRIPE_SECRET_KEY": "rk_test_0123456789abcdefghij"},
    ),
    "test key in production, half allowed": (
        "ALLOW_TEST_KEY_IN_PRODUCTION",
        TEST,
        {"APP_ENV": "production", "ALLOW_TEST_KEY_IN_PRODUCTION": "true"},
    ),
    "live key with another address": ("STRIPE_API_BASE", LIVE, {"STRIPE_API_BASE": "http://127.0.0.1:8001"}),
    "address that is none": ("STRIPE_API_BASE", TEST, {"STRIPE_API_BASE": "127.0.0.1:8001"}),
    "publishable key of live mode": (
        "STRIPE_PUBLISHABLE_KEY",
        TEST,
        {"STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789abcdef"},
    ),
    "publishable key of test mode": (
        "STRIPE_PUBLISHABLE_KEY",
        LIVE,
        {"STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789abcdef"},
    ),
    "secret key as publishable": (
        "STRIPE_PUBLISHABLE_KEY",
        TEST,
        {"STRIPE_PUBLISHABLE_KEY": "sk_test_0123456789abcdefghij"},
    ),
    "no webhook secret": ("STRIPE_WEBHOOK_SECRET", TEST, {"STRIPE_WEBHOOK_SECRET": ""}),
    "webhook secrets of commas": ("STRIPE_WEBHOOK_SECRET", TEST, {"STRIPE_WEBHOOK_SECRET": " , ,"}),
    "short webhook secret": ("STRIPE_WEBHOOK_SECRET", TEST, {"STRIPE_WEBHOOK_SECRET": "whsec_012345678"}),
    "webhook secret of another kind": (
        "STRIPE_WEBHOOK_SECRET",
        TEST,
        {"STRIPE_WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef"},
    ),
    "second webhook secret short": (
        "STRIPE_WEBHOOK_SECRET",
        TEST,
        {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef,whsec_"},
    ),
    "old webhook secret without an end": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}")),
    "a third webhook secret without an end": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}@2026-12-05,{2}")),
    "five webhook secrets": (
        "STRIPE_WEBHOOK_SECRET",
        TEST,
        rotating(",".join(f"{{{number}}}@2026-12-05" for number in range(1, 5))),
    ),
    "current webhook secret with an end": (
        "STRIPE_WEBHOOK_SECRET",
        TEST,
        {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef@2026-12-05"},
    ),
    "an end that is empty": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}@")),
    "an end that is no date": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}@tomorrow")),
    "an end on a day that is not": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}@2026-02-30")),
    "an end of no time zone": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}@2026-12-05T12:00")),
    "an end with two @": ("STRIPE_WEBHOOK_SECRET", TEST, rotating("{1}@2026-12-05@2026-12-06")),
    "no session secret": ("SECRET_KEY", TEST, {"SECRET_KEY": ""}),
    "short session secret": ("SECRET_KEY", TEST, {"SECRET_KEY": "x" * 31}),
    "short old session secret": ("SECRET_KEY", TEST, {"SECRET_KEY_FALLBACKS": f"{SECRET},short"}),
    "no database": ("DATABASE_URL", TEST, {"DATABASE_URL": ""}),
    "SQLite": ("DATABASE_URL", TEST, {"DATABASE_URL": "sqlite:///dunlin.db"}),
    "MySQL": ("DATABASE_URL", TEST, {"DATABASE_URL": "mysql://dunlin@localhost/dunlin"}),
    "another driver": (
        "DATABASE_URL",
        TEST,
        {"DATABASE_URL": "postgresql+psycopg2://dunlin@localhost/dunlin"},
    ),
    "database port of letters": (
        "DATABASE_URL",
        TEST,
        {"DATABASE_URL": "postgres://dunlin@localhost:abc/dunlin"},
    ),
    "no Redis": ("REDIS_URL", TEST, {"REDIS_URL": ""}),
    "Redis over http": ("REDIS_URL", TEST, {"REDIS_URL": "http://localhost:6379"}),
    "Redis port of letters": ("REDIS_URL", TEST, {"REDIS_URL": "redis://localhost:abc/0"}),
    "no public address": ("PUBLIC_URL", TEST, {"PUBLIC_URL": ""}),
    "public address without scheme": ("PUBLIC_URL", TEST, {"PUBLIC_URL": "billing.example.com"}),
    "public address with path": ("PUBLIC_URL", TEST, {"PUBLIC_URL": "https://example.com/billing"}),
    "public address with query": ("PUBLIC_URL", TEST, {"PUBLIC_URL": "https://example.com?a=1"}),
    "public address with open bracket": ("PUBLIC_URL", TEST, {"PUBLIC_URL": "https://[::1"}),
    "public address with port of letters": ("PUBLIC_URL", TEST, {"PUBLIC_URL": "https://example.com:port"}),
    "public address of another scheme": ("PUBLIC_URL", TEST, {"PUBLIC_URL": "ftp://example.com"}),
    "plain http in production": ("PUBLIC_URL", LIVE, {"PUBLIC_URL": "http://billing.example.com"}),
    "no mail server": ("SMTP_URL", TEST, {"SMTP_URL": ""}),
    "mail server over http": ("SMTP_URL", TEST, {"SMTP_URL": "http://mail.example.com"}),
    "no sender": ("MAIL_FROM", TEST, {"MAIL_FROM": ""}),
    "unknown environment": ("APP_ENV", TEST, {"APP_ENV": "prod"}),
    "proxy hops of letters": ("PROXY_HOPS", TEST, {"PROXY_HOPS": "one"}),
    "negative proxy hops": ("PROXY_HOPS", TEST, {"PROXY_HOPS": "-1"}),
    "password length below the floor": ("PASSWORD_MIN_LENGTH", TEST, {"PASSWORD_MIN_LENGTH": "4"}),
    "an unknown policy of lost disputes": ("ON_DISPUTE_LOST", TEST, {"ON_DISPUTE_LOST": "refund"}),
    "an unknown policy of fraud warnings": ("ON_FRAUD_WARNING", TEST, {"ON_FRAUD_WARNING": "end"}),
    "an unknown policy": ("SECOND_SUBSCRIPTION", TEST, {"SECOND_SUBSCRIPTION": "ignore"}),
    "grace of a year": ("GRACE_DAYS", TEST, {"GRACE_DAYS": "365"}),
    "access perhaps": ("ACCESS_WHILE_PAUSED", TEST, {"ACCESS_WHILE_PAUSED": "maybe"}),
    "access while disputed in capitals": ("ACCESS_WHILE_DISPUTED", TEST, {"ACCESS_WHILE_DISPUTED": "YES"}),
    "data kept for ever": ("KEEP_DATA_DAYS", TEST, {"KEEP_DATA_DAYS": "99999"}),
    "never fresh": ("FRESH_HOURS", TEST, {"FRESH_HOURS": "0"}),
    "closed before it is old": ("FAIL_OPEN_HOURS", TEST, {"FRESH_HOURS": "48", "FAIL_OPEN_HOURS": "24"}),
    "log of request bodies in production": ("STRIPE_LOG", LIVE, {"STRIPE_LOG": "debug"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsafe_setting_is_refused_in_one_sentence_that_names_it(case: str) -> None:
    name, base, change = REFUSED[case]
    text = refusal(base | change)
    assert_one_sentence(text, name)
    for value in change.values():
        assert "0123456789" not in value or value not in text, "a refusal shows no secret"


@pytest.mark.parametrize("name", ["STRIPE_SECRET_KEY", "SECRET_KEY", "DATABASE_URL", "STRIPE_WEBHOOK_SECRET"])
def test_a_setting_that_is_absent_is_refused_and_its_file_form_is_offered(name: str) -> None:
    text = refusal({key: value for key, value in TEST.items() if key != name})
    assert_one_sentence(text, name)
    assert f"{name}_FILE" in text


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"STRIPE_SECRET_KEY": "rk_test_0123456789abcdefghij"},
        {"STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789abcdef"},
        {"STRIPE_API_BASE": "http://127.0.0.1:8001/"},
        {"APP_ENV": "staging"},
        {"APP_ENV": "production", "ALLOW_TEST_KEY_IN_PRODUCTION": "yes"},
        {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef, whsec_fedcba9876543210@2026-12-05"},
    ],
)
def test_test_mode_settings_are_accepted(change: dict[str, str]) -> None:
    config = settings.load(TEST | change)
    assert not config.livemode
    assert not (config.stripe_api_base or "").endswith("/")


@pytest.mark.parametrize("key", ["sk_live_0123456789abcdefghij", "rk_live_0123456789abcdefghij"])
def test_a_live_key_in_production_is_accepted(key: str) -> None:
    config = settings.load(
        LIVE | {"STRIPE_SECRET_KEY": key, "STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789abcdef"}
    )
    assert config.livemode
    assert config.secure_cookies


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_a_postgresql_address_gets_the_driver_that_is_shipped(scheme: str) -> None:
    config = settings.load(
        TEST | {"DATABASE_URL": f"{scheme}://u:p%40w@db.example.com:5433/d?sslmode=require"}
    )
    assert config.database_url == "postgresql+psycopg://u:p%40w@db.example.com:5433/d?sslmode=require"


def test_blanks_around_a_value_are_not_part_of_it() -> None:
    config = settings.load({name: f"  {value}\n" for name, value in TEST.items()})
    assert config.stripe_secret_key == TEST["STRIPE_SECRET_KEY"]
    assert config.secret_key == SECRET


def test_the_current_webhook_secret_comes_first_and_each_older_one_has_its_last_moment() -> None:
    config = settings.load(
        TEST
        | {
            "STRIPE_WEBHOOK_SECRET": "whsec_new_0123456789, whsec_old_0123456789 @ 2026-12-05,"
            "whsec_older_012345@2026-12-04T12:00Z,whsec_oldest_01234@2026-12-04T13:00:30+02:00,"
        }
    )
    assert config.stripe_webhook_secrets == (
        Secret("whsec_new_0123456789"),
        Secret("whsec_old_0123456789", datetime(2026, 12, 5, tzinfo=UTC)),
        Secret("whsec_older_012345", datetime(2026, 12, 4, 12, tzinfo=UTC)),
        Secret("whsec_oldest_01234", datetime(2026, 12, 4, 11, 0, 30, tzinfo=UTC)),
    )
    assert "0123" not in repr(config.stripe_webhook_secrets)


def test_a_webhook_secret_that_has_expired_does_not_keep_the_program_down() -> None:
    config = settings.load(TEST | rotating("{1}@2001-01-01"))
    [current, old] = config.stripe_webhook_secrets
    assert (current.accepted(now()), old.accepted(now())) == (True, False)


def test_every_setting_may_come_from_a_file(tmp_path: Path) -> None:
    environ = {}
    for name, value in TEST.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
        environ[f"{name}_FILE"] = str(tmp_path / name)
    assert settings.load(environ) == settings.load(TEST)


def test_a_file_wins_over_the_value_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk_test_from_the_file_0123", encoding="utf-8")
    assert settings.load(TEST | {"STRIPE_SECRET_KEY_FILE": str(path)}).stripe_secret_key.endswith("file_0123")


def test_a_file_is_checked_like_a_value(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk_live_0123456789abcdefghij", encoding="utf-8")
    assert_one_sentence(refusal(TEST | {"STRIPE_SECRET_KEY_FILE": str(path)}), "STRIPE_SECRET_KEY")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    text = refusal(TEST | {"SECRET_KEY_FILE": str(tmp_path / "none")})
    assert_one_sentence(text, "SECRET_KEY_FILE")


def test_a_folder_is_refused_as_file(tmp_path: Path) -> None:
    assert_one_sentence(refusal(TEST | {"SECRET_KEY_FILE": str(tmp_path)}), "SECRET_KEY_FILE")


def test_a_file_of_other_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfe\x00binary")
    assert_one_sentence(refusal(TEST | {"SECRET_KEY_FILE": str(path)}), "SECRET_KEY_FILE")


def test_an_empty_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n", encoding="utf-8")
    text = refusal(TEST | {"STRIPE_WEBHOOK_SECRET_FILE": str(tmp_path / "key")})
    assert_one_sentence(text, "STRIPE_WEBHOOK_SECRET")


def test_the_settings_show_no_secret_when_they_are_printed() -> None:
    config = settings.load(TEST | {"SECRET_KEY_FALLBACKS": "f" * 32})
    for text in (repr(config), str(config), f"{config}", "%r" % (config,)):  # noqa: UP031 the form of log calls
        for secret in (SECRET, "sk_test_", "whsec_", "dbcanary", "rediscanary", "smtpcanary", "f" * 32):
            assert secret not in text


def test_the_settings_are_frozen() -> None:
    config: Any = settings.load(TEST)
    with pytest.raises(AttributeError):
        config.stripe_secret_key = "sk_live_0123456789abcdefghij"


# Whose database it is.


def live_config(config: Config) -> Config:
    return make_config(
        config.database_url,
        APP_ENV="production",
        STRIPE_SECRET_KEY="sk_live_0123456789abcdefghij",
        STRIPE_API_BASE="",
        public_url="https://billing.example.com",
    )


def test_a_database_of_test_mode_refuses_a_live_key(app: Flask, config: Config, db_session: Session) -> None:
    found = installation.current(db_session)
    assert found is not None
    with pytest.raises(ConfigError) as caught:
        installation.check(found, live_config(config), None)
    assert_one_sentence(str(caught.value), "DATABASE_URL")
    assert "STRIPE_SECRET_KEY" in str(caught.value)


def test_a_database_of_live_mode_refuses_a_test_key(app: Flask, config: Config, db_session: Session) -> None:
    found = installation.current(db_session)
    assert found is not None
    found.livemode = True
    with pytest.raises(ConfigError) as caught:
        installation.check(found, config, found.stripe_account)
    assert_one_sentence(str(caught.value), "DATABASE_URL")
    db_session.rollback()


def test_a_database_of_another_account_is_refused(app: Flask, config: Config, db_session: Session) -> None:
    found = installation.current(db_session)
    assert found is not None
    with pytest.raises(ConfigError) as caught:
        installation.check(found, config, "acct_other")
    assert_one_sentence(str(caught.value), "STRIPE_SECRET_KEY")


def test_setting_up_again_changes_nothing_but_the_key_that_is_known(
    app: Flask, config: Config, db_session: Session
) -> None:
    before = installation.public_id(db_session)
    installation.record(db_session, config, "acct_tests")
    db_session.commit()
    assert installation.public_id(db_session) == before
    with pytest.raises(ConfigError):
        installation.record(db_session, config, "acct_other")


def test_a_known_key_needs_no_answer_of_stripe_at_start(app: Flask) -> None:
    boot.refuse_foreign_database()  # nobody listens at the address of this Stripe


def test_a_new_key_does_not_start_before_stripe_has_said_whose_it_is(app: Flask, db_session: Session) -> None:
    found = installation.current(db_session)
    assert found is not None
    found.key_fingerprint = "another"
    db_session.commit()
    with pytest.raises(ConfigError, match="STRIPE_SECRET_KEY is new to this database"):
        boot.refuse_foreign_database()
    again = installation.current(db.session())
    assert again is not None
    assert again.key_fingerprint == "another"


def start(config: Config, **change: str) -> subprocess.CompletedProcess[str]:
    """What gunicorn does first: import ``app`` and call ``web()``, in a process of its own."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        **TEST,
        "DATABASE_URL": config.database_url,
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        **change,
    }
    code = "import app; app.web(); print('started')"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )


def test_the_program_ends_with_one_sentence_and_no_trace_when_the_database_is_foreign(config: Config) -> None:
    url = config.database_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into installation (id, public_id, livemode, stripe_account, key_fingerprint)"
            " values (1, 'p', true, 'acct_live', 'f')"
        )
    done = start(config)
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Dunlin does not start: ")
    assert_one_sentence(lines[0], "DATABASE_URL")


def test_the_program_ends_with_one_sentence_and_no_trace_when_a_setting_is_unsafe(config: Config) -> None:
    done = start(config, STRIPE_SECRET_KEY="sk_live_0123456789abcdefghij")
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert_one_sentence(done.stderr.strip(), "STRIPE_SECRET_KEY")
    assert "0123456789abcdefghij" not in done.stderr


def test_the_program_starts_on_its_own_database(config: Config) -> None:
    done = start(config)
    assert done.stdout == "started\n", done.stderr


def env_files(
    monkeypatch: pytest.MonkeyPatch, folder: Path, own: str, made: str, environ: dict[str, str]
) -> Config:
    """What the application reads where the operator's ``.env`` and the runner's file hold this."""
    for name, text in (("OWN_ENV", own), ("MADE_ENV", made)):
        path = folder / name
        path.write_text(text)
        monkeypatch.setattr(dunlin, name, path)
    for name in TEST:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return dunlin._read_config()


def lines(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def test_flask_commands_read_what_make_run_made_and_before_it_what_the_operator_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = f"# mine\nBRAND_NAME='Acme & Sons'\nPUBLIC_URL={TEST['PUBLIC_URL']}\nSECRET_KEY=\n"
    read = env_files(monkeypatch, tmp_path, own, lines(TEST | {"BRAND_NAME": "Dunlin"}), {})
    assert (read.brand_name, read.secret_key) == ("Acme & Sons", TEST["SECRET_KEY"])
    read = env_files(monkeypatch, tmp_path, own, lines(TEST), {"BRAND_NAME": "Shell"})
    assert read.brand_name == "Shell"


@pytest.mark.parametrize("where", ["shell", ".env"])
@pytest.mark.parametrize("app_env", ["staging", "production"])
def test_a_secret_that_was_made_up_here_never_stands_in_for_one_that_is_missing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str, app_env: str
) -> None:
    said = {name: value for name, value in TEST.items() if name != "STRIPE_WEBHOOK_SECRET"}
    said |= {"APP_ENV": app_env, "ALLOW_TEST_KEY_IN_PRODUCTION": "yes"}
    own, environ = (lines(said), {}) if where == ".env" else ("", said)
    with pytest.raises(ConfigError, match="STRIPE_WEBHOOK_SECRET is not set"):
        env_files(monkeypatch, tmp_path, own, lines(TEST), environ)
