"""Which language we speak and whose days we name, and each sentence in it.

English is written in the code and in the templates, and is the key of every translation. A translation is one file,
``translations/<language>.po``; it is read at start, so nothing has to be compiled. The locale of the present
request or mail is a Babel identifier such as ``en``, ``en_US`` or ``de``; money and dates follow it too.

Both belong to one request or one mail alone: ``billing/locales.py`` sets them when a request begins and forgets them
when it ends, ``billing/readers.py`` puts them around what is written for somebody. Everything else is said in English.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from markupsafe import Markup, escape

FOLDER = Path(__file__).parent.parent / "translations"
DEFAULT = "en"
UTC = "UTC"
# What a person may choose: the locale, and its name in its own language.
LOCALES = {"en": "English", "en_US": "English (United States)", "de": "Deutsch"}
REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")

_locale: ContextVar[str] = ContextVar("locale", default=DEFAULT)
_zone: ContextVar[str] = ContextVar("zone", default=UTC)


def locale() -> str:
    """The locale that is spoken now."""
    return _locale.get()


def tag() -> str:
    """The same as HTML and mails name it: ``en-US``."""
    return as_tag(_locale.get())


def as_tag(name: str) -> str:
    """``en_US`` as HTML names it: ``en-US``."""
    return name.replace("_", "-")


def zone() -> ZoneInfo:
    """The time zone whose days and hours are named now."""
    return ZoneInfo(_zone.get())


def speak(name: str | None, zone: str | None = None) -> None:
    """Speak this locale from here on; what nobody translated, the default. ``zone``: and name this time zone's days."""
    _locale.set(name if name in LOCALES else DEFAULT)
    if zone is not None:
        _zone.set(zone if zone in zones() else UTC)


def forget() -> None:
    """Back to English and UTC: what was spoken belonged to a request that is over."""
    _locale.set(DEFAULT)
    _zone.set(UTC)


@contextmanager
def speaking(name: str | None, zone: str | None = None) -> Iterator[None]:
    """Speak this locale inside the block: the reader's, where what is made is for somebody else's eyes."""
    before = _locale.get(), _zone.get()
    speak(name, zone)
    try:
        yield
    finally:
        _locale.set(before[0])
        _zone.set(before[1])


def negotiate(wanted: Iterable[str]) -> str | None:
    """The first of these language tags that we speak, be it without its region (``de-AT`` is ``de``); or None."""
    ours = {name.lower(): name for name in LOCALES}
    tags = [tag.replace("-", "_") for tag in wanted]
    found = negotiate_locale(tags, list(LOCALES), aliases={})
    return ours.get(found.lower()) if found else None


@cache
def zones() -> tuple[str, ...]:
    """Every time zone that a person may choose, by its name in the IANA database: ``UTC``, ``Europe/Berlin``."""
    return (UTC, *sorted(name for name in available_timezones() if name.partition("/")[0] in REGIONS))


def _(message: str, /, **values: object) -> str:
    """The sentence in the language that is spoken, with its ``{names}`` filled in.

    A name may stand for markup (a ``<time>``, an address as a link): then the whole is markup, and the rest escaped.
    """
    return _fill(_translations(_language()).gettext(message), values)


def _n(one: str, many: str, count: int, /, **values: object) -> str:
    """The sentence that fits the number; ``{count}`` is filled in as well."""
    return _fill(_translations(_language()).ngettext(one, many, count), {"count": count, **values})


def later(message: str) -> str:
    """Mark a sentence of a table for translation: it stays English here, and ``_`` is asked where it is said."""
    return message


def _fill(text: str, values: dict[str, object]) -> str:
    if any(isinstance(value, Markup) for value in values.values()):
        return escape(text).format_map(values)
    return text.format_map(values) if values else text


def _language() -> str:
    return Locale.parse(_locale.get()).language


def load() -> None:
    """Read every translation now, for processes that are forked from this one."""
    zones()
    for name in LOCALES:
        _translations(Locale.parse(name).language)


@cache
def _translations(language: str) -> NullTranslations:
    path = FOLDER / f"{language}.po"
    if language == DEFAULT or not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
