"""Looks for English that was left in what a reader of another language reads."""

from __future__ import annotations

import re
from functools import cache

from local import translations
from tests.templates import Read

ENOUGH = 10  # letters that a sentence must have beside what is filled in, to be told from other words by them


def words_of(page: str) -> list[str]:
    """What is read on a page. An option names a language or a place."""
    return [" ".join(words.split()) for words in Read(page, silent=("option",)).words if words.strip()]


def left_in(words: list[str], language: str = "de") -> list[str]:
    """The English sentences of our catalogue that are said in these words."""
    return sorted(set().union(*(_said_in(text, language) for text in words)))


@cache
def _said_in(text: str, language: str) -> frozenset[str]:
    """Kept, since many pages and mails say the same."""
    return frozenset(sentence for sentence, said in _sentences(language) if said(text))


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
