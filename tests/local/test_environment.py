"""Who gave which setting, and what is kept for the next run."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local import envfile
from local.environment import SETTINGS, Kept, Operator, accounts, readable_password, settle
from local.errors import CannotStart


def test_comments_quotes_and_export_are_read_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# a comment\n\nexport A=1\nB='two words'\nC=x=y\nnot a setting\n")
    assert envfile.read(file) == {"A": "1", "B": "two words", "C": "x=y"}


def test_what_was_written_is_private_and_reads_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "data" / "env")
    kept.put("SECRET_KEY", "abc")
    assert Kept(kept.path).get("SECRET_KEY") == "abc"
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in kept.path.parent.iterdir()] == ["env"]


def test_a_value_of_two_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than one line"):
        envfile.write(tmp_path / "env", {"A": "1\nB=2"})


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(b"A=\xff\n")
    with pytest.raises(CannotStart, match="env can’t be read"):
        envfile.read(tmp_path / "env")


def test_a_made_value_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "env"
    made = Kept(path).make("A", readable_password)
    assert Kept(path).make("A", readable_password) == made


def test_both_accounts_keep_their_passwords(tmp_path: Path) -> None:
    first = accounts(Kept(tmp_path / "env"))
    assert accounts(Kept(tmp_path / "env")) == first
    assert [(account.email, account.admin) for account in first] == [
        ("admin@example.com", True),
        ("demo@example.com", False),
    ]
    assert all(len(account.password) >= 12 for account in first)


def test_the_operators_setting_wins_and_leaves_our_file(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "env")
    ours = {"DATABASE_URL": lambda: "postgresql://ours", "PORT": lambda: "8000"}
    assert settle(Operator({}), kept, ours)["DATABASE_URL"] == "postgresql://ours"
    theirs = settle(Operator({"DATABASE_URL": "postgresql://theirs"}), kept, ours)
    assert theirs["DATABASE_URL"] == "postgresql://theirs"
    assert envfile.read(kept.path) == {"PORT": "8000"}


def test_a_setting_that_no_part_wants_any_more_is_forgotten(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "env")
    settle(Operator({}), kept, {"STRIPE_API_BASE": lambda: "http://127.0.0.1:8001"})
    settle(Operator({"STRIPE_SECRET_KEY": "sk_test_x"}), kept, {})
    assert envfile.read(kept.path) == {}


def test_a_setting_given_by_file_is_read_from_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sk_test_from_a_file\n")
    operator = Operator({"STRIPE_SECRET_KEY_FILE": str(tmp_path / "secret")})
    assert operator.gave("STRIPE_SECRET_KEY")
    assert operator.value("STRIPE_SECRET_KEY") == "sk_test_from_a_file"


def test_a_setting_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="SMTP_URL_FILE can’t be read"):
        Operator({"SMTP_URL_FILE": str(tmp_path / "none")}).value("SMTP_URL")


def test_the_environment_wins_over_dotenv() -> None:
    assert Operator({"PORT": "9000"}, {"PORT": "8000"}).value("PORT") == "9000"


def test_tests_see_none_of_the_operators_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("STRIPE_SECRET_KEY_FILE", "x")
    assert not any(Operator.nobody().gave(name) for name in SETTINGS)
