"""The look is kept by tests: colours and their contrast, the weight of a page, the words of the templates."""

from __future__ import annotations

import gzip
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CSS = ROOT / "static" / "css"
TEMPLATES = ROOT / "templates"
PAGES = sorted(path for path in TEMPLATES.rglob("*.html") if "mail" not in path.parts)
MAILS = sorted((TEMPLATES / "mail").rglob("*.*"))
TOKEN = re.compile(
    r"--([\w-]+): light-dark\(oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\), oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)\)"
)
COLOUR = re.compile(r"#(?:[0-9a-f]{3}){1,2}\b|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color)a?\(", re.IGNORECASE)
NAMED = re.compile(
    r":[^;{]*\b(?:white|black|gr[ae]y|red|blue|yellow|orange|silver|beige)\s*[;}]", re.IGNORECASE
)
UNWANTED = re.compile(r"(?<![\w-])(?:please|sorry|oops|invalid|forbidden|simply)(?![\w-])", re.IGNORECASE)

Linear = tuple[float, float, float]


def linear(lightness: float, chroma: float, hue: float) -> Linear:
    """OKLCH (percent, chroma, degrees) as linear sRGB, cut to what a screen can show."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    base = lightness / 100
    long = (base + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (base - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (base - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    return _cut(red), _cut(green), _cut(blue)


def _cut(value: float) -> float:
    return min(1.0, max(0.0, value))


def hexadecimal(colour: Linear) -> str:
    """The same colour as ``#rrggbb``."""
    coded = (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in colour)
    return "#" + "".join(f"{round(255 * v):02x}" for v in coded)


def contrast(one: Linear, other: Linear) -> float:
    """WCAG 2 contrast of two colours."""
    lights = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def tokens(scheme: str) -> dict[str, Linear]:
    """Every colour of ``tokens.css`` by name, in ``light`` or ``dark``."""
    first = 0 if scheme == "light" else 3
    found = TOKEN.findall((CSS / "tokens.css").read_text())
    numbers = {name: [float(value) for value in values] for name, *values in found}
    return {name: linear(*values[first : first + 3]) for name, values in numbers.items()}


def without_jinja(source: str) -> str:
    """The HTML of a template, each expression replaced by a letter."""
    source = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", source, flags=re.DOTALL)
    return re.sub(r"\{\{.*?\}\}", "x", source, flags=re.DOTALL)


class Words(HTMLParser):
    """Collects what people read or hear: text, and the attributes that are read aloud."""

    SPOKEN = ("aria-label", "title", "alt", "placeholder")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in ("style", "script", "code")
        self.found += [value for name, value in attrs if name in self.SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("style", "script", "code")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.found.append(data)


def spoken(path: Path) -> str:
    if path.suffix == ".txt":
        return without_jinja(path.read_text())
    words = Words()
    words.feed(without_jinja(path.read_text()))
    return "\n".join(words.found)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


TEXT_ON = [
    ("ink", "paper"),
    ("ink-2", "paper"),
    ("ink", "paper-2"),
    ("ink-2", "paper-2"),
    ("paper", "green"),
    ("paper", "ink"),
]
TEXT_ON += [(tone, "paper") for tone in ("green", "amber", "red", "slate")]
TEXT_ON += [(tone, f"{tone}-wash") for tone in ("amber", "red", "slate")]
TEXT_ON += [("ink", f"{tone}-wash") for tone in ("amber", "red", "slate")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON)
def test_text_can_be_read(scheme: str, text: str, ground: str) -> None:
    colours = tokens(scheme)
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("border", ["edge", "ink", "red", "green"])
def test_controls_and_focus_stand_out(scheme: str, border: str) -> None:
    colours = tokens(scheme)
    assert contrast(colours[border], colours["paper"]) >= 3


@pytest.mark.parametrize("path", [*sorted(CSS.glob("*.css")), *PAGES, *MAILS], ids=name)
def test_colours_are_written_only_in_the_tokens(path: Path) -> None:
    if path.name in ("tokens.css", "colours.html"):
        return
    source = re.sub(r'<meta name="theme-color"[^>]*>', "", path.read_text())
    if path.suffix == ".css":
        source = re.sub(r"color-mix\([^;]*", "", source)
        assert not NAMED.findall(source)
    assert not COLOUR.findall(source)


def test_colours_that_css_cannot_reach_are_those_of_the_tokens() -> None:
    light = {key: hexadecimal(value) for key, value in tokens("light").items()}
    dark = {key: hexadecimal(value) for key, value in tokens("dark").items()}
    mail = dict(re.findall(r'set (\w+) = "(#\w+)"', (TEMPLATES / "mail" / "colours.html").read_text()))
    for key, value in mail.items():
        wanted = dark if key.startswith("dark_") else light
        assert value == wanted[key.removeprefix("dark_").replace("_", "-")], key
    theme = re.findall(r'theme-color" content="(#\w+)"', (TEMPLATES / "layout.html").read_text())
    assert theme == [light["paper"], dark["paper"]]
    icon = set(re.findall(r"#[0-9a-f]{6}", (ROOT / "static" / "favicon.svg").read_text()))
    assert icon == {light["paper"], light["green"]}


def test_the_order_of_the_layers_is_declared_once() -> None:
    declared = [
        line
        for path in CSS.glob("*.css")
        for line in re.findall(r"^@layer [^{]*;", path.read_text(), re.MULTILINE)
    ]
    assert declared == ["@layer tokens, base, components, pages;"]


def test_a_page_stays_light() -> None:
    css = sum(len(gzip.compress(path.read_bytes())) for path in CSS.glob("*.css"))
    script = ROOT / "static" / "app.js"
    font = (ROOT / "static" / "fonts" / "atkinson-hyperlegible-next.woff2").stat().st_size
    assert css <= 6 * 1024
    assert len(gzip.compress(script.read_bytes())) <= 3 * 1024
    assert len(script.read_text().splitlines()) <= 200
    assert css + font + 3 * 1024 <= 50 * 1024


def test_a_page_is_six_requests() -> None:
    layout = (TEMPLATES / "layout.html").read_text()
    assert 1 + len(re.findall(r'rel="(?:stylesheet|preload)"|<script', layout)) <= 6


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_nothing_is_inline(path: Path) -> None:
    source = path.read_text()
    assert not re.findall(
        r"\sstyle\s*=|\son\w+\s*=|<style|<script(?![^>]*\ssrc=)|javascript:|http-equiv", source
    )


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_form_that_changes_something_carries_the_token(path: Path) -> None:
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", path.read_text(), re.DOTALL):
        assert "guard(" in form or "csrf_token()" in form


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_template_says_what_it_is_given(path: Path) -> None:
    assert path.read_text().startswith("{#")


@pytest.mark.parametrize("path", [*PAGES, *MAILS], ids=name)
def test_words_are_those_of_the_house(path: Path) -> None:
    source = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    assert not UNWANTED.findall(source)
    assert not re.findall(r"[a-z]'[a-z]", source), "an apostrophe is written ’"
    read = spoken(path)
    assert not re.findall(r"['\"!]|\.\.\.", read)
