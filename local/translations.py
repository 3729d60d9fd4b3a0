"""Bring the translations up to date with what the code and the templates say.

``python -m local.translations`` writes each ``translations/<language>.po`` anew, sorted: new sentences are added
without a translation; those that nobody says any more are marked (``#~``), and come back translated when they are said
again. No translation is ever lost: where a sentence has two, nothing is written until one is taken out. It ends with 1
where something is left to do, so it can stand in a build.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import escape, read_po

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "translations"
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "_n": (1, 2), "later": None}
# Where sentences are said, and which of Babel's extractors reads them there.
SOURCES = (
    ("billing", "*.py", "python"),
    ("templates", "*.html", "jinja2.ext:babel_extract"),
    ("templates", "*.txt", "jinja2.ext:babel_extract"),
)
Sentence = str | tuple[str, ...]  # the one, or the one and the many


@dataclass
class Entry:
    """One sentence of a catalogue: English, singular and plural where it counts, and its translations, "" for none."""

    sentence: Sentence
    translations: tuple[str, ...]
    comments: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return all(self.translations)


def said(root: Path = ROOT) -> dict[Sentence, list[str]]:
    """Every sentence that is said, and the files that say it."""
    found: dict[Sentence, list[str]] = {}
    for folder, pattern, method in SOURCES:
        for path in sorted((root / folder).rglob(pattern)):
            options = {"silent": "false", "encoding": "utf-8"}
            for _, sentence, _, _ in extract_from_file(method, path, KEYWORDS, options=options):
                places = found.setdefault(sentence if isinstance(sentence, str) else tuple(sentence), [])
                if (place := path.relative_to(root).as_posix()) not in places:
                    places.append(place)
    return found


def languages(folder: Path = FOLDER) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.po"))


def read(language: str, folder: Path = FOLDER) -> tuple[list[Entry], list[Entry]]:
    """The entries in use, and those marked as unused."""
    with (folder / f"{language}.po").open("rb") as file:
        catalogue: Catalog = read_po(file, locale=language)
    used = [_entry(message) for message in catalogue if message.id]
    return used, [_entry(message) for message in catalogue.obsolete.values()]


def torn(language: str, folder: Path = FOLDER) -> list[str]:
    """The sentences that the file translates twice, differently: as two people may do who don't know of each other."""
    head, *blocks = (folder / f"{language}.po").read_text(encoding="utf-8").split("\n\n")
    found: dict[Sentence, set[tuple[str, ...]]] = {}
    for block in blocks:
        catalogue = read_po(BytesIO(f"{head}\n\n{block}".encode()), locale=language)
        for entry in (_entry(message) for message in catalogue if message.id):
            found.setdefault(entry.sentence, set()).add(entry.translations)
    return [_first(sentence) for sentence, ways in found.items() if len(ways) > 1]


def bring_up_to_date(language: str, root: Path = ROOT) -> list[Entry]:
    """Write the file anew. Returns the entries that are left to translate."""
    path = root / "translations" / f"{language}.po"
    used, unused = read(language, path.parent)
    known = {entry.sentence: entry for entry in (*unused, *used) if entry.complete or entry in used}
    plurals = _plurals(language)
    now = [
        known.pop(sentence, Entry(sentence, ("",) * (1 if isinstance(sentence, str) else plurals)))
        for sentence in said(root)
    ]
    header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    kept = [entry for entry in known.values() if any(entry.translations)]
    parts = [header, *map(_text, _sorted(now)), *(_text(entry, mark="#~ ") for entry in _sorted(kept))]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [entry for entry in _sorted(now) if not entry.complete]


def holes(text: str) -> set[str]:
    """The ``{names}`` of a sentence."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def wrong_holes(entry: Entry) -> bool:
    """Whether a translation fills in other things than the sentence; “the first day” may leave out its number."""
    english = [
        holes(text) for text in (entry.sentence if isinstance(entry.sentence, tuple) else (entry.sentence,))
    ]
    least, most = set.intersection(*english), set.union(*english)
    return any(not least <= holes(text) <= most for text in entry.translations if text)


def _entry(message: Message) -> Entry:
    sentence = message.id if isinstance(message.id, str) else tuple(message.id)
    texts = (message.string,) if isinstance(message.string, str) else tuple(message.string or [""])
    return Entry(sentence, texts, list(message.user_comments))


def _plurals(language: str) -> int:
    return int(Catalog(locale=language).num_plurals)


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (_first(entry.sentence).casefold(), entry.sentence))


def _first(sentence: Sentence) -> str:
    return sentence if isinstance(sentence, str) else sentence[0]


def _text(entry: Entry, mark: str = "") -> str:
    lines = [f"# {comment}" for comment in entry.comments]
    if isinstance(entry.sentence, str):
        lines += [f"msgid {escape(entry.sentence)}", f"msgstr {escape(entry.translations[0])}"]
    else:
        one, many = entry.sentence
        lines += [f"msgid {escape(one)}", f"msgid_plural {escape(many)}"]
        lines += [f"msgstr[{number}] {escape(text)}" for number, text in enumerate(entry.translations)]
    return "\n".join(line if line.startswith("# ") else mark + line for line in lines)


def main() -> int:
    doubtful = [
        f"{language}: translated twice: {text}" for language in languages() for text in torn(language)
    ]
    if doubtful:  # writing would keep the first of them and forget the other
        print(*doubtful, sep="\n")
        return 1
    left = {language: bring_up_to_date(language) for language in languages()}
    for language, entries in left.items():
        for entry in entries:
            print(f"{language}: no translation: {_first(entry.sentence)}")
        if not entries:
            print(f"{language}: complete.")
    return 1 if any(left.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
