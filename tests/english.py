"""Looks for English that was left in what a reader of another language reads."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser

from local import translations
from tests.templates import READ_ALOUD

ENOUGH = 10  # letters that a sentence must have beside what is filled in, to be told from other words by them


class _Read(HTMLParser):
    """The words of a page: its text and what is read aloud, but for the parts that say they are in English."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._foreign = 0
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent = tag in ("style", "script", "option")  # an option names a language or a place
        self.words += [value or "" for name, value in attrs if name in READ_ALOUD or name.startswith("data-")]

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)


def words_of(page: str) -> list[str]:
    read = _Read()
    read.feed(page)
    read.close()
    return [" ".join(words.split()) for words in read.words if words.strip()]


def left_in(words: list[str], language: str = "de") -> list[str]:
    """The English sentences of our catalogue that are said in these words."""
    return sorted({sentence for text in words for sentence, said in _sentences(language) if said(text)})


@cache
def _sentences(language: str) -> tuple[tuple[str, object], ...]:
    used, _ = translations.read(language)
    found: dict[str, object] = {}
    for entry in used:
        english = (entry.sentence,) if isinstance(entry.sentence, str) else entry.sentence
        for text in english:
            if text not in entry.translations and (said := _finder(text)):
                found[text] = said
    return tuple(found.items())


def _finder(text: str) -> object:
    """Whether some words say this sentence: a short one by itself, a long one also among others."""
    parts = [re.escape(part) for part in re.split(r"\{\w+\}", text)]
    letters = sum(len(re.findall(r"[^\W\d_]", part)) for part in parts)
    if letters < ENOUGH:
        return re.compile(".+".join(parts)).fullmatch if len(parts) == 1 else None
    return re.compile(".+?".join(parts)).search
