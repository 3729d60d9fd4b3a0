"""Every sentence that people read is in the catalogue, and every language has all of it, rightly worded."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from local import translations
from tests.templates import bare_words
from tests.test_layers import LAYERS

ROOT = Path(__file__).parent.parent
# Read by the operator's own people, who read English.
FOR_ADMINS = ("templates/admin/", "templates/dev/", "templates/mail/admin_")
# Sentences of the edge and the domain that are for operators, or for whoever looks at Stripe’s dashboard.
IN_ENGLISH = {"billing/second.py", "billing/withdrawals.py", "billing/contested.py", "billing/senders.py"}
COMMANDS = "billing/cli"
SENTENCE = re.compile(r"[A-Z][\w’]*( [\w’{},–-]+)+[.?]")
# What a person reads of these calls and keywords goes through ``_``.
SPOKEN = {"flash", "ValidationError", "append"}
SPOKEN_LISTS = {"errors", "form_errors"}
SPOKEN_KEYWORDS = {"notice", "heading"}

# The voice of the house (docs/development.md): who reads this has done nothing wrong, and no sentence begs or shouts.
AVOIDED = {
    "en": r"\b(please|sorry|oops|invalid|forbidden|simply|valid)\b|\.\.\.|[\"']|!",
    "de": r"\b(bitte|leider|entschuldig\w*|verzeih\w*|hoppla|ups|ungültig\w*|verboten\w*|einfach|gültig\w*)\b"
    r"|\.\.\.|[\"'!]|\b(du|dein\w*|dich|dir|euch|ihr seid)\b",
}
said = cache(translations.said)
each_language = pytest.mark.parametrize("language", translations.languages())


def ours(pattern: str, folder: str) -> list[Path]:
    names = (path for path in sorted((ROOT / folder).rglob(pattern)))
    return [path for path in names if not name_of(path).startswith(FOR_ADMINS)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts(sentence: translations.Sentence) -> tuple[str, ...]:
    return (sentence,) if isinstance(sentence, str) else sentence


def test_there_is_a_second_language() -> None:
    assert "de" in translations.languages()
    assert len(said()) > 200


@each_language
def test_no_sentence_is_left_untranslated(language: str) -> None:
    used, _ = translations.read(language)
    known = {entry.sentence for entry in used if entry.complete}
    missing: dict[str, list[str]] = {}
    for sentence, places in said().items():
        if sentence not in known:
            missing.setdefault(places[0], []).append(texts(sentence)[0])
    assert missing == {}, "run python -m local.translations, and translate what it added"


@each_language
def test_a_translation_fills_in_what_its_sentence_fills_in(language: str) -> None:
    used, _ = translations.read(language)
    assert [entry for entry in used if translations.wrong_holes(entry)] == []


@each_language
def test_no_translation_is_of_a_sentence_that_nobody_says(language: str) -> None:
    used, _ = translations.read(language)
    assert [texts(entry.sentence)[0] for entry in used if entry.sentence not in said()] == []


def english() -> dict[str, str]:
    return {text: places[0] for sentence, places in said().items() for text in texts(sentence)}


def test_english_keeps_the_voice_of_the_house() -> None:
    wrong = {
        place: text for text, place in english().items() if re.search(AVOIDED["en"], text, re.IGNORECASE)
    }
    assert wrong == {}


@each_language
def test_the_translations_keep_the_voice_of_the_house(language: str) -> None:
    used, _ = translations.read(language)
    words = [text for entry in used for text in entry.translations]
    assert [text for text in words if re.search(AVOIDED[language], text, re.IGNORECASE)] == []


@each_language
def test_a_translation_ends_as_its_sentence_ends(language: str) -> None:
    used, _ = translations.read(language)
    ends = ".?:…"
    wrong = [
        text
        for entry in used
        for text in entry.translations
        if (text[-1:] if text[-1:] in ends else "")
        != (texts(entry.sentence)[0][-1] if texts(entry.sentence)[0][-1] in ends else "")
    ]
    assert wrong == []


def test_no_template_says_a_word_by_itself() -> None:
    found = {
        name_of(path): bare_words(path)
        for pattern in ("*.html", "*.txt")
        for path in ours(pattern, "templates")
    }
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<p>Hello {{ name }}</p>", ["Hello"]),
        ('<p title="A word">{{ _("Hello {name}", name=name) }}</p>', ["A word"]),
        ('<img alt="A word">', ["A word"]),
        ('{% set heading = "Sign in" %}<h1 class="big">{{ heading }}</h1>', ["Sign in"]),
        ('{{ forms.submit("Send it", quiet=True) }}', ["Send it"]),
        ('{{ _("Hello {name}", name="You") }}{{ item.type in ("CSRFTokenField",) }}', ["You"]),
        ('{# Words #}{% extends "layout.html" %}<p>{{ "●" }} – {{ _n("one", "many", 2) }}</p>', []),
        ('<p lang="en">Run <code>it</code>, <br>now.</p><p>Word</p>', ["Word"]),
        ("<style>.page { color: red }</style><b>&nbsp;</b>", []),
    ],
)
def test_bare_words_are_found_wherever_people_read_them(
    tmp_path: Path, template: str, found: list[str]
) -> None:
    path = tmp_path / "page.html"
    path.write_text(template, encoding="utf-8")
    assert bare_words(path) == found


def spoken(tree: ast.AST) -> list[tuple[int, ast.expr]]:
    """What goes to a person's eyes from Python, with its line: flashes, problems of a form, notices of a page."""
    found: list[tuple[int, ast.expr]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            owner = getattr(getattr(node.func, "value", None), "attr", "")
            if name in SPOKEN - {"append"} or (name == "append" and owner in SPOKEN_LISTS):
                found += [(node.lineno, given) for given in node.args]
            found += [(node.lineno, given.value) for given in node.keywords if given.arg in SPOKEN_KEYWORDS]
        if isinstance(node, ast.Assign) and any(
            getattr(one, "attr", "") in SPOKEN_LISTS for one in node.targets
        ):
            found += [(node.lineno, one) for one in getattr(node.value, "elts", [])]
    return found


def bare(given: ast.expr) -> bool:
    if isinstance(given, ast.Constant):
        return isinstance(given.value, str)
    return isinstance(given, (ast.JoinedStr, ast.BinOp))


def test_no_view_says_a_word_by_itself() -> None:
    found: dict[str, list[int]] = {}
    for path in ours("*.py", "billing"):
        if "admin" not in path.parts:
            lines = [
                line for line, given in spoken(ast.parse(path.read_text(encoding="utf-8"))) if bare(given)
            ]
            found |= {name_of(path): lines} if lines else {}
    assert found == {}


def test_a_bare_word_in_a_view_is_found() -> None:
    code = """
flash("Done.")
flash(f"Done, {name}.")
flash(_("Done."))
form.form_errors.append("Wrong.")
form.code.errors = ["Wrong."]
raise ValidationError("Wrong.")
page("x.html", notice="Done " + name, heading=title)
words.append("x")
"""
    assert [line for line, given in sorted(spoken(ast.parse(code)), key=lambda one: one[0]) if bare(given)] == [
        2, 3, 5, 6, 7, 8,
    ]  # fmt: skip


def sentences(node: ast.AST) -> list[tuple[int, str]]:
    """Every sentence among the strings of a module, with its line, but for docstrings, what is raised, and what is
    marked for translation."""
    if isinstance(node, (ast.Raise, ast.Assert)):
        return []
    text = literal(node)
    if isinstance(node, ast.expr) and SENTENCE.search(text):
        return [(node.lineno, text)]
    below = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in translations.KEYWORDS:
        below = list(node.keywords)
    return [found for child in below if not is_docstring(child) for found in sentences(child)]


def literal(node: ast.AST) -> str:
    """The text of a string; what an f-string fills in is ``{}``."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) or "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_no_sentence_of_the_edge_or_the_domain_stays_out_of_the_catalogue() -> None:
    found: dict[str, list[int]] = {}
    for module in (*LAYERS["edge"], *LAYERS["domain"]):
        path = ROOT / "billing" / f"{module}.py"
        if path.exists() and (name := name_of(path)) not in IN_ENGLISH and not name.startswith(COMMANDS):
            lines = [line for line, _ in sentences(ast.parse(path.read_text(encoding="utf-8")))]
            found |= {name: lines} if lines else {}
    assert found == {}


def test_a_sentence_that_stays_out_is_found() -> None:
    code = '''"""A module about sentences. It has some."""
TABLE = {"x": "Nothing is owed."}
later("Marked for later."), _("Asked for, {name}.", name="You owe nothing.")
raise ValueError("For developers only.")
def f(name):
    """What it does. And how."""
    return f"Dear {name}, nothing is owed."
'''
    assert [line for line, _ in sentences(ast.parse(code))] == [2, 3, 7]


@each_language
def test_the_catalogue_is_sorted_and_says_nothing_twice(language: str, tmp_path: Path) -> None:
    path = ROOT / "translations" / f"{language}.po"
    ids = re.findall(r'^msgid "(.+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [sentence for sentence, times in Counter(ids).items() if times > 1] == []
    assert ids == sorted(ids, key=str.casefold)


@each_language
def test_no_sentence_is_translated_in_two_ways(language: str) -> None:
    assert translations.torn(language) == []


def test_a_sentence_with_two_translations_is_found_before_one_is_lost(tmp_path: Path) -> None:
    po = tmp_path / "de.po"
    po.write_text(
        PO.replace("#~ ", "") + '\nmsgid "Wait."\nmsgstr "Warten!"\n\nmsgid "Old."\nmsgstr "Alt."\n'
    )
    assert translations.torn("de", tmp_path) == ["Wait."]


def test_the_script_says_no_word_by_itself() -> None:
    script = (ROOT / "static" / "app.js").read_text(encoding="utf-8")
    spoken_lines = [line for line in script.splitlines() if "console." not in line]
    assert re.findall(r"""["'`][A-Z][a-z]+[^"'`]*["'`]""", "\n".join(spoken_lines)) == []


PO = """# Example.
msgid ""
msgstr ""
"Language: de\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Wait."
msgstr "Warten."

# a word for the translator
msgid "Old."
msgstr "Alt."

#~ msgid "Back."
#~ msgstr "Zurück."
"""


def test_bringing_a_catalogue_up_to_date_adds_marks_and_loses_nothing(tmp_path: Path) -> None:
    for folder in ("billing", "templates", "translations"):
        (tmp_path / folder).mkdir()
    code, po = tmp_path / "billing" / "x.py", tmp_path / "translations" / "de.po"
    po.write_text(PO, encoding="utf-8")
    code.write_text('_("Wait."), later("Back."), _n("{count} day", "{count} days", 2)\n')
    (tmp_path / "templates" / "x.html").write_text('<p>{{ _("A page of {name}", name=x) }}</p>')
    left = translations.bring_up_to_date("de", tmp_path)
    assert [texts(entry.sentence)[0] for entry in left] == ["A page of {name}", "{count} day"]
    written = po.read_text(encoding="utf-8")
    assert re.findall(r'^(?:#~ )?msgid "(.+)"', written, re.MULTILINE) == [
        "A page of {name}",
        "Back.",
        "Wait.",
        "{count} day",
        "Old.",
    ]
    assert '#~ msgid "Old."\n#~ msgstr "Alt."' in written
    assert 'msgid "Back."\nmsgstr "Zurück."' in written
    assert "# a word for the translator" in written
    translations.bring_up_to_date("de", tmp_path)
    assert po.read_text(encoding="utf-8") == written, "a second time changes nothing"
    code.write_text('_("Wait."), _("Old.")\n')
    translations.bring_up_to_date("de", tmp_path)
    assert 'msgid "Old."\nmsgstr "Alt."' in po.read_text(encoding="utf-8"), (
        "what is said again is translated again"
    )
