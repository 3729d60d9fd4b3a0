"""What a template says by itself: words in its text, in attributes that people meet, and in its expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

READ_ALOUD = ("title", "aria-label", "placeholder", "alt")
# Beginning like a sentence or a name; ``CSRFTokenField`` is neither.
WORDS = re.compile(r"^[“„]?[A-ZÄÖÜ][a-zäöü’]*(\b|$)(?![a-z]*[A-Z])")
ASKS = ("_", "_n")
VOID = ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr")
SAID = "\ue000"  # where an expression stood


class Read(HTMLParser):
    """The words of a page: its text and what is read aloud. Styles, scripts and ``silent`` elements have none, and what
    is marked as being in a language of its own (``<p lang="en">`` for an admin, the name of a language) is left out."""

    def __init__(self, page: str, silent: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.words: list[str] = []
        self._left_out = ("style", "script", *silent)
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        foreign = tag != "html" and "lang" in dict(attrs)
        if not self._inside and not foreign:
            self.words += [
                value for name, value in attrs if value and (name in READ_ALOUD or _shown(name, value))
            ]
        if tag not in VOID and (self._inside or foreign or tag in self._left_out):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while tag in self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)


def _shown(name: str, value: str) -> bool:
    """Words that the script shows; its codes and addresses begin with a small letter."""
    return name.startswith("data-") and value[:1].isupper()


def bare_words(path: Path) -> list[str]:
    """Every word or sentence of the template that is not asked for in the reader's language."""
    text = path.read_text(encoding="utf-8")
    return [*_in_the_text(text, path.suffix), *_in_expressions(text)]


def _in_the_text(text: str, suffix: str) -> list[str]:
    left = re.sub(r"\{#.*?#\}|\{%.*?%\}", " ", text, flags=re.DOTALL)
    left = re.sub(r"\{\{.*?\}\}", SAID, left, flags=re.DOTALL)
    if suffix != ".html":
        return [part.strip() for part in left.split(SAID) if _has_words(part)]
    return [part.strip() for words in Read(left).words for part in words.split(SAID) if _has_words(part)]


def _has_words(text: str) -> bool:
    """Whether there is a word in it that is no entity and no attribute's name."""
    return bool(re.search(r"[^\W\d_]{2,}", re.sub(r"&\w+;|[\w-]+=\"", "", text)))


def _in_expressions(text: str) -> list[str]:
    return [words for words in _strings(Environment().parse(text)) if WORDS.match(words)]


def _strings(node: nodes.Node) -> Iterator[str]:
    """Every literal of an expression but those that ``_`` is given."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in ASKS:
        for given in node.kwargs:
            yield from _strings(given)
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    for child in node.iter_child_nodes():
        yield from _strings(child)
