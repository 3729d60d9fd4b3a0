"""What is said in the language of the reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from markupsafe import Markup

from billing import language, money, words

MOMENT = datetime(2026, 12, 3, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "day", "sum_", "since"),
    [
        ("en", "3 December 2026", "€1,234.50", "2 days ago"),
        ("en_US", "December 3, 2026", "€1,234.50", "2 days ago"),
        ("de", "3. Dezember 2026", "1.234,50\u00a0€", "vor 2 Tagen"),
        ("xx", "3 December 2026", "€1,234.50", "2 days ago"),  # nobody translated it: the default
    ],
)
def test_money_days_and_words_follow_the_locale(locale: str, day: str, sum_: str, since: str) -> None:
    with language.speaking(locale):
        assert words.day(MOMENT) == day
        assert money.format_money(123450, "eur") == sum_
        assert words.ago(MOMENT - timedelta(days=2), MOMENT) == since
    assert language.locale() == "en"


def test_one_and_many_are_told_apart() -> None:
    with language.speaking("de"):
        assert words.ago(MOMENT - timedelta(days=1), MOMENT) == "vor 1 Tag"
    assert words.ago(MOMENT - timedelta(days=1), MOMENT) == "1 day ago"
    assert words.ago(MOMENT, MOMENT) == "just now"


def test_a_hole_may_hold_markup_and_all_else_is_escaped() -> None:
    link = Markup('<a href="mailto:a@b">a@b</a>')
    said = language._("If you need help, write to {email} and quote {name}.", email=link, name="<script>")
    assert said == f"If you need help, write to {link} and quote &lt;script&gt;."
    assert isinstance(said, Markup)
    plain = language._("If you need help, write to {email}.", email="<b>")
    assert plain == "If you need help, write to <b>."
    assert not isinstance(plain, Markup), "the template escapes it"


def test_what_is_filled_in_is_never_filled_in_itself() -> None:
    assert language._("Reference {name}.", name="{email} {0} %s") == "Reference {email} {0} %s."


def test_a_fault_inside_leaves_the_language_of_before() -> None:
    with language.speaking("en_US", "Asia/Tokyo"):
        with pytest.raises(ZeroDivisionError), language.speaking("de", "Europe/Berlin"):
            raise ZeroDivisionError
        assert (language.locale(), str(language.zone())) == ("en_US", "Asia/Tokyo")
        with language.speaking("de"):
            assert str(language.zone()) == "Asia/Tokyo", "whose days is another question"
    with language.speaking("de", "Mars/Olympus"):
        assert str(language.zone()) == "UTC"
