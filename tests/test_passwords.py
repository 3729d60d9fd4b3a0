"""Passwords: the strength of the hash, what may be chosen, and that every door costs the same."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from flask import Flask
from sqlalchemy.orm import Session

from billing import accounts, passwords
from billing.models import User
from tests import doors
from tests.support import PASSWORD

KEY = "0123456789abcdef" * 4


class Watched(PasswordHasher):
    """The same hasher, which counts what it is asked for and how many ask at once."""

    def __init__(self, real: PasswordHasher) -> None:
        super().__init__(real.time_cost, real.memory_cost, real.parallelism)
        self.verified, self.hashed, self.inside, self.most = 0, 0, 0, 0
        self._lock = threading.Lock()

    def verify(self, *args: str | bytes) -> bool:
        with self:
            self.verified += 1
            return bool(super().verify(*args))

    def hash(self, *args: str | bytes) -> str:  # type: ignore[override]
        with self:
            self.hashed += 1
            return str(super().hash(*args))

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *problem: object) -> None:
        with self._lock:
            self.inside -= 1


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A seam that cannot be had otherwise: time may not be asserted, so the real work is counted where it is done."""
    passwords.matches(None, "so that the hash of nobody's password is there")
    watched = Watched(passwords._hasher)
    monkeypatch.setattr(passwords, "_hasher", watched)
    return watched


def test_a_hash_is_argon2id_with_owasps_parameters_and_its_own_salt() -> None:
    stored = passwords.make_hash(PASSWORD)
    found = extract_parameters(stored)
    assert found.type is Type.ID
    assert found.memory_cost >= 19 * 1024
    assert found.time_cost >= 2
    assert found.parallelism == 1
    assert found.salt_len >= 16
    assert found.hash_len >= 32
    assert passwords.make_hash(PASSWORD) != stored
    assert passwords.matches(stored, PASSWORD)


def test_a_password_matches_whole_or_not_at_all() -> None:
    longest = "correct horse battery staple " * 4 + "0123456789ab"
    assert len(longest) == passwords.LONGEST == 128
    stored = passwords.make_hash(longest)
    assert passwords.matches(stored, longest)
    for other in (
        longest[:-1],
        longest[:-1] + "c",
        longest + "x",
        longest.upper(),
        longest[:72],
        "",
        longest * 9,
    ):
        assert not passwords.matches(stored, other)
    assert not passwords.matches(None, "a password that nobody has")
    assert not passwords.matches("no hash at all", PASSWORD)
    assert not passwords.matches("", "")


def problem(password: str, *, minimum: int = 12, email: str = "ana.lind@example.com") -> str | None:
    return passwords.problem(password, minimum=minimum, email=email, brand="Dunlin Works")


GOOD = [
    "three warm words",
    "x7#kQp!2vL0z",
    "ünïcödé wörks here",
    "一二三四五六七八九十百千",
    "🐦🐤🐥🐣🐔🐧🦅🦆🦉🦇🐺🐗",
    " spaces stay as they are ",
    "ana.lind likes waders",
    "a" * 125 + "bcd",
]
TOO_EASY = [
    "111111111111",
    "abababababab",
    "Ana.Lind@Example.com",
    "ana.lind12345",
    "!!ana.lind!!99",
    "DUNLIN WORKS 2026",
    "dunlin works",
]


@pytest.mark.parametrize("password", GOOD)
def test_any_words_of_the_right_length_will_do(password: str) -> None:
    assert problem(password) is None


@pytest.mark.parametrize("password", TOO_EASY)
def test_what_everybody_would_try_first_is_refused(password: str) -> None:
    assert problem(password) == "This password is too easy to guess. Choose another one."


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("maximilian1985@example.com", "maximilian1985"),
        ("maximilian1985@example.com", "Maximilian1985!"),
        ("1anne.smith@example.com", "1Anne.Smith@example.com"),
        ("123456789012@example.com", "123456789012"),
    ],
)
def test_an_address_that_ends_in_digits_is_no_password_either(email: str, password: str) -> None:
    assert problem(password, email=email) == "This password is too easy to guess. Choose another one."


def test_every_common_password_is_refused_in_any_case() -> None:
    listed = passwords.COMMON.read_text(encoding="utf-8").split()
    assert len(listed) >= 100
    assert all(problem(word, minimum=1) for word in listed)
    assert all(problem(word.upper(), minimum=1) for word in listed)


def test_the_length_is_counted_in_characters_and_both_ends_are_allowed() -> None:
    words = "abcdéfghïjklmnop" * 9
    assert problem(words[:11]) == "Use at least 12 characters. Three or four words work well."
    assert problem(words[:12]) is None
    assert problem(words[:8], minimum=8) is None
    assert problem(words[:128]) is None
    assert problem(words[:129]) == "Use at most 128 characters."
    assert problem("") == "Use at least 12 characters. Three or four words work well."


def test_at_most_two_hashes_are_made_at_a_time(hasher: Watched) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(30)
        if number % 2:
            passwords.make_hash(PASSWORD)
        else:
            passwords.matches(None, PASSWORD)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (hasher.hashed, hasher.verified) == (4, 4)
    assert hasher.most <= 2


def test_a_place_is_given_back_whatever_the_answer_was(hasher: Watched) -> None:
    stored = passwords.make_hash(PASSWORD)
    for stored_, tried in (
        (stored, "wrong"),
        ("no hash", PASSWORD),
        (None, PASSWORD),
        (stored, PASSWORD),
    ) * 2:
        passwords.matches(stored_, tried)
    assert passwords._slots.acquire(blocking=False)
    assert passwords._slots.acquire(blocking=False)
    assert not passwords._slots.acquire(blocking=False)
    passwords._slots.release()
    passwords._slots.release()


def test_a_sign_in_makes_one_verification_for_whomever_it_is(
    hasher: Watched, db_session: Session, alice: User
) -> None:
    for email, right in ((alice.email, PASSWORD), (alice.email, "wrong"), ("nobody@example.com", PASSWORD)):
        hasher.verified = hasher.hashed = 0
        let_in = accounts.authenticate(db_session, email, right) is not None
        assert let_in == ((email, right) == (alice.email, PASSWORD))
        assert (hasher.verified, hasher.hashed) == (1, 0)


def test_a_sign_up_makes_one_hash_for_whomever_it_is(
    hasher: Watched, db_session: Session, alice: User
) -> None:
    for email in (alice.email, "newcomer@example.com"):
        hasher.hashed = 0
        accounts.start_sign_up(db_session, email, "four cold clear words", None, KEY)
        assert (hasher.verified, hasher.hashed) == (0, 1)


def test_a_hash_of_older_parameters_is_made_anew_at_the_next_sign_in(
    app: Flask, db_session: Session, alice: User
) -> None:
    doors.wait_for_a_young_window()
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    alice.password_hash = weak
    db_session.commit()
    assert doors.enter(app.test_client(), alice.email, "three warm wards").status_code == 422
    db_session.refresh(alice)
    assert alice.password_hash == weak
    assert doors.enter(app.test_client(), alice.email).status_code == 303
    db_session.refresh(alice)
    renewed = alice.password_hash
    assert extract_parameters(renewed).memory_cost == 19 * 1024
    assert passwords.matches(renewed, PASSWORD)
    assert doors.enter(app.test_client(), alice.email).status_code == 303
    db_session.refresh(alice)
    assert alice.password_hash == renewed
