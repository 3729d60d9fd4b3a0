"""Each mail, whichever way it goes: a short subject, a text written by hand, and the same in HTML."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from billing import samples, specimens
from billing.config import Config
from billing.samples import Sample
from billing.specimens import Specimen
from tests.conftest import make_app, make_config

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
WAYS = [(sample, locale) for sample in samples.every() for locale in specimens.languages(sample.kind)]


@pytest.fixture(scope="module")
def desk() -> Iterator[Config]:
    """Writing a mail needs the templates and the settings, and no database."""
    config = make_config("postgresql://dunlin@127.0.0.1:1/dunlin")
    with make_app(config).app_context():
        yield config


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def subject_of(one: Specimen) -> str:
    return one.subject.removeprefix("[Test] ")


def test_every_kind_has_its_three_files_and_a_sample() -> None:
    kinds = [path for path in (TEMPLATES / "mail").iterdir() if path.is_dir()]
    folders = {path.name: sorted(file.name for file in path.iterdir()) for path in kinds}
    assert set(folders) == set(samples.kinds()), "write a sample of it in billing/samples.py"
    assert all(files == ["body.html", "body.txt", "subject.txt"] for files in folders.values())


def the_subject_is_one_short_line(one: Specimen, locale: str) -> None:
    subject = subject_of(one)
    assert 0 < len(subject) <= 60
    assert not re.findall(r"None|[{}]|  |\n|!|RE:|FINAL", subject)


def the_text_is_short_and_ends_with_the_address(one: Specimen, locale: str) -> None:
    text = one.text
    [url] = re.findall(r"https?://\S+", text)
    assert max(len(line) for line in text.splitlines() if line != url) <= 72
    assert lines(text)[-1] == url
    assert len(text.split()) <= 120
    assert not re.findall(r"None|[{}]|\n\n\n|<|>|&\w+;", text)


def the_html_says_what_the_text_says_in_the_order_of_what_matters(one: Specimen, locale: str) -> None:
    """What happened, what it means, the one thing to do, what happens without it, whom to ask."""
    page, text = one.html, one.text
    first = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    read = squeezed(html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))
    *paragraphs, link = text.strip().split("\n\n")
    words, url = link.rsplit(":\n", 1)
    assert [squeezed(html.unescape(said)) for said in first] == [squeezed(paragraphs[0])]
    here = 0
    for paragraph in paragraphs:
        rows = re.findall(r"^[\w ]+: +(\S.*)$", paragraph, re.MULTILINE)
        for said in rows or [paragraph]:
            assert squeezed(said) in read[here:], "it is not there, or not at its place"
            here = read.index(squeezed(said), here)
    assert read.index(squeezed(paragraphs[0])) < read.index(squeezed(f"{words} {url}")) < here
    assert read.endswith(squeezed(paragraphs[-1])), "whom to ask comes last"


def the_html_is_plain_enough_for_mail_programs(one: Specimen, locale: str) -> None:
    page, url = one.html, lines(one.text)[-1]
    assert f'<html lang="{locale}">' in page
    assert '<meta name="color-scheme" content="light dark">' in page
    assert len(page.encode()) <= 60 * 1024
    assert not re.findall(r"<script|<img|<link|background-image|url\(|None|position:|float:|flex", page)
    assert page.count("<table") == page.count('role="presentation"')
    assert [html.unescape(found) for found in re.findall(r'href="([^"]*)"', page)] == [url, url]
    assert all(int(size) >= 16 for size in re.findall(r"font-size:(\d+)px", page))
    assert len(re.findall(r"font-size:", page)) == len(re.findall(r"font-size:\d+px", page))


@pytest.mark.parametrize(
    ("sample", "locale"), WAYS, ids=[f"{one.kind}-{one.variant}.{locale}" for one, locale in WAYS]
)
def test_a_mail_is_short_and_plain_and_says_the_same_in_text_and_html(
    desk: Config, sample: Sample, locale: str
) -> None:
    one = specimens.write(sample, locale, desk)
    the_subject_is_one_short_line(one, locale)
    the_text_is_short_and_ends_with_the_address(one, locale)
    the_html_says_what_the_text_says_in_the_order_of_what_matters(one, locale)
    the_html_is_plain_enough_for_mail_programs(one, locale)


def test_each_mail_carries_what_programs_go_by(desk: Config) -> None:
    for one in specimens.every(desk):
        read = BytesParser(policy=policy.default).parsebytes(one.message.as_bytes())
        assert read.get_content_type() == "multipart/alternative"
        parts = [part.get_content_type() for part in read.iter_parts()]  # type: ignore[attr-defined]
        assert parts == ["text/plain", "text/html"], "whoever shows one part shows the last that it knows"
        assert read["Auto-Submitted"] == "auto-generated"
        assert read["Reply-To"] == desk.support_email
        assert read["From"].endswith("<billing@dunlin.example.com>")
        assert read["Content-Language"] == one.locale
        assert parsedate_to_datetime(read["Date"]).tzinfo is not None
        assert [
            name for name in read if name.lower() in ("list-unsubscribe", "references", "precedence")
        ] == []
        assert len(read.get_all("Message-ID")) == 1
        assert one.subject.startswith("[Test] ") is (one.variant != specimens.LIVE)
        assert {part["Content-Transfer-Encoding"] for part in read.iter_parts()} == {"quoted-printable"}  # type: ignore[attr-defined]


def test_no_two_kinds_have_one_subject_so_that_no_program_hides_one_below_another(desk: Config) -> None:
    kinds: dict[str, set[str]] = defaultdict(set)
    for one in specimens.every(desk):
        kinds[subject_of(one)].add(one.kind)
    assert {subject: found for subject, found in kinds.items() if len(found) > 1} == {}


def test_every_fact_that_may_be_missing_is_one_of_its_kind_and_is_missing_once() -> None:
    for kind, names in samples.OPTIONAL.items():
        first = next(facts for name, facts in samples.SAMPLES if name == kind)
        assert set(names) <= first.keys(), kind
        assert all(first[name] is not None for name in names), kind
    known = [(one.kind, one.variant) for one in samples.every()]
    assert len(known) == len(set(known))


def test_what_a_person_wrote_is_escaped_in_html(desk: Config) -> None:
    written = {"plan": "Pro", "reference": None, "name": "<b>Alice</b> & Co", "moment": "today"}
    one = specimens.write(Sample("withdrawn", "1", written), "en", desk)
    assert "<b>Alice" not in one.html
    assert "&lt;b&gt;Alice&lt;/b&gt; &amp; Co" in one.html
    assert "<b>Alice</b> & Co" in one.text
