"""Which language we speak, and each sentence in it.

English is written in the code and in the templates, and is the key of every translation. A translation is one file,
``translations/<language>.po``; it is read at start, so nothing has to be compiled. The locale of the present
request or mail is a Babel identifier such as ``en``, ``en_US`` or ``de``; money and dates follow it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent.parent / "translations"
DEFAULT = "en"
# What a person may choose: the locale, and its name in its own language.
LOCALES = {"en": "English", "en_US": "English (United States)", "de": "Deutsch"}

_locale: ContextVar[str] = ContextVar("locale", default=DEFAULT)


def locale() -> str:
    """The locale that is spoken now."""
    return _locale.get()


def tag() -> str:
    """The same as HTML and mails name it: ``en-US``."""
    return _locale.get().replace("_", "-")


def speak(name: str | None) -> None:
    """Speak this locale from here on; what nobody translated, the default."""
    _locale.set(name if name in LOCALES else DEFAULT)


@contextmanager
def speaking(name: str | None) -> Iterator[None]:
    """Speak this locale inside the block: the reader's, where what is made is for somebody else's eyes."""
    before = _locale.get()
    speak(name)
    try:
        yield
    finally:
        _locale.set(before)


def _(message: str, /, **values: object) -> str:
    """The sentence in the language that is spoken, with its ``{names}`` filled in."""
    return _fill(_translations(_language()).gettext(message), values)


def _n(one: str, many: str, count: int, /, **values: object) -> str:
    """The sentence that fits the number; ``{count}`` is filled in as well."""
    return _fill(_translations(_language()).ngettext(one, many, count), {"count": count, **values})


def later(message: str) -> str:
    """Mark a sentence of a table for translation: it stays English here, and ``_`` is asked where it is said."""
    return message


def _fill(text: str, values: dict[str, object]) -> str:
    return text.format_map(values) if values else text


def _language() -> str:
    return Locale.parse(_locale.get()).language


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
