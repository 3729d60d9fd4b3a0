"""C5. A day is written as each language writes it, and it is the day in UTC, whatever zone a moment came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing import language, web, words

# A moment where somebody is, and its day in UTC.
MOMENTS = [
    ("2026-12-03 23:30", "UTC", 3, "December", "Dezember"),
    ("2026-12-04 00:30", "Europe/Berlin", 3, "December", "Dezember"),
    ("2026-12-04 12:30", "Pacific/Auckland", 3, "December", "Dezember"),
    ("2026-12-03 18:30", "America/New_York", 3, "December", "Dezember"),
    ("2026-12-03 23:30", "America/Los_Angeles", 4, "December", "Dezember"),
    # The days on which clocks are put forward and back; 02:30 is there twice, and both are the same day.
    ("2026-03-29 01:30", "Europe/Berlin", 29, "March", "März"),
    ("2026-03-29 03:30", "Europe/Berlin", 29, "March", "März"),
    ("2026-10-25 02:30", "Europe/Berlin", 25, "October", "Oktober"),
    ("2026-11-01 23:30", "America/New_York", 2, "November", "November"),
    ("2028-02-29 23:30", "UTC", 29, "February", "Februar"),
    ("2028-03-01 00:30", "Europe/Berlin", 29, "February", "Februar"),
    ("2027-01-31 23:30", "UTC", 31, "January", "Januar"),
    ("2026-12-31 23:30", "UTC", 31, "December", "Dezember"),
]


@pytest.mark.parametrize(("local", "zone", "day", "english", "german"), MOMENTS)
def test_the_day_of_a_moment_is_its_day_in_utc_in_both_languages(
    local: str, zone: str, day: int, english: str, german: str
) -> None:
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    year = moment.astimezone(UTC).year
    assert words.day(moment) == f"{day} {english} {year}"
    with language.speaking("en_US"):
        assert words.day(moment) == f"{english} {day}, {year}"
    with language.speaking("de"):
        assert words.day(moment) == f"{day}. {german} {year}"
    at = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert web._day(moment) == f'<time datetime="{at}">{day} {english} {year}</time>'


def test_an_hour_that_is_there_twice_is_two_moments_and_each_is_told_by_utc() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    said = [words.moment_text(one) for one in (first.astimezone(UTC), first.replace(fold=1).astimezone(UTC))]
    assert said == ["25 October 2026, 00:30 UTC", "25 October 2026, 01:30 UTC"]
    assert words.ago(first.astimezone(UTC), first.astimezone(UTC) + timedelta(hours=1)) == "1 hour ago"
