"""Each mail is three templates: a short subject, a text written by hand, and the same in HTML."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, select_autoescape

from billing import language

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
URL = "https://billing.acme.example/billing"
ALWAYS = {"brand": "Acme", "url": URL, "to": "ana@example.com", "support_email": "help@acme.example"}
INVOICE = {
    "plan": "Pro",
    "amount": "€29.00",
    "number": "A1B2C3D4-0002",
    "description": "Pro, November 2026",
    "paid_date": "20 November 2026",
    "next_date": "20 December 2026",
}
DUNNING = {
    **INVOICE,
    "due_date": "20 November 2026",
    "access": True,
    "access_until": "4 December 2026",
    "decline_text": "Your bank declined the payment and didn’t say why.",
    "retry_text": "We can’t try this card again. Add another card and we’ll take the payment.",
}
PLAN = {"plan": "Pro", "amount": "€29.00", "next_date": "3 December 2026", "access_until": "3 December 2026"}
TRIAL = {**PLAN, "trial_end": "30 November 2026"}
ENDED = {**PLAN, "ended_date": "4 December 2026"}
DISPUTE = {
    "amount": "€29.00",
    "reason": "fraudulent",
    "due_date": "30 November 2026",
    "subscriber": "ana@example.com",
}
WITHDRAWN = {
    "plan": "Pro",
    "reference": "A1B2C3D4-0001",
    "name": "Alice Ahrens",
    "moment": "3 December 2026, 14:05 UTC",
}
MAYBE = ("due_date", "access_until", "next_date", "number", "description", "paid_date")
ABSENT = dict.fromkeys(MAYBE)
HELD = {"access": False, "access_until": None}

SAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("code", {"secret": "482913"}),
    ("exists", {}),
    ("reset", {}),
    ("pw_changed", {}),
    ("welcome", {}),
    ("receipt", INVOICE),
    ("receipt", {**INVOICE, **ABSENT}),
    ("recovered", {**INVOICE, "access": True}),
    ("dun1", DUNNING),
    ("dun1", {**DUNNING, **ABSENT}),
    ("dun1", {**DUNNING, **HELD}),
    ("dun2", DUNNING),
    ("dun2", {**DUNNING, **HELD}),
    ("dun3", DUNNING),
    ("dun3", {**DUNNING, **ABSENT}),
    ("dun3", {**DUNNING, **HELD}),
    ("dun5", ENDED),
    ("action_required", DUNNING),
    ("action_required", {**DUNNING, **HELD}),
    ("cancel_set", PLAN),
    ("paused", {**PLAN, "resumes_date": "3 December 2026", "card": "Visa ending 4242"}),
    ("paused", {**PLAN, "resumes_date": None, "card": None}),
    ("resuming", {**PLAN, "resumes_date": "3 December 2026", "card": "Visa ending 4242"}),
    ("resuming", {**PLAN, "resumes_date": "3 December 2026", "card": None}),
    ("kept", PLAN),
    ("kept", {**PLAN, "amount": None, "next_date": None}),
    ("ended", ENDED),
    ("second_ended", ENDED),
    ("refund", {"amount": "€29.00"}),
    ("trial_end", {**TRIAL, "card": "Visa ending 4242"}),
    ("trial_end", {**TRIAL, "card": None}),
    ("one_off_receipt", {"product": "100 credits", "amount": "€15.00"}),
    ("withdraw_link", {"secret": "WyJzdWJfMSIsMTc5NF0.Zm9v"}),
    ("withdrawn", WITHDRAWN),
    ("withdrawn", {**WITHDRAWN, "reference": None}),
    ("admin_dispute", {**DISPUTE, "status": "needs_response"}),
    ("admin_dispute", {**DISPUTE, "status": "won"}),
    ("admin_alert", {"what": "A person has two live subscriptions", "subject": "sub_1Q2w3E4r5T6y7U8i9O0p"}),
]
each_mail = pytest.mark.parametrize(("kind", "facts"), SAMPLES, ids=[kind for kind, facts in SAMPLES])

# As Flask sets it up: HTML is escaped, text is not.
JINJA = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["html"]), keep_trailing_newline=True
)
JINJA.globals.update(_=language._, _n=language._n, language_tag=language.tag)


def render(kind: str, part: str, facts: dict[str, Any]) -> str:
    return JINJA.get_template(f"mail/{kind}/{part}").render(**facts, **ALWAYS)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def test_every_kind_has_its_three_files() -> None:
    kinds = [path for path in (TEMPLATES / "mail").iterdir() if path.is_dir()]
    folders = {path.name: sorted(file.name for file in path.iterdir()) for path in kinds}
    assert set(folders) == {kind for kind, facts in SAMPLES}
    assert all(files == ["body.html", "body.txt", "subject.txt"] for files in folders.values())


@each_mail
def test_a_subject_is_one_short_line(kind: str, facts: dict[str, Any]) -> None:
    subject = render(kind, "subject.txt", facts).strip()
    assert 0 < len(subject) <= 60
    assert "\n" not in subject
    assert not re.findall(r"None|[{}]|  ", subject)


@each_mail
def test_the_text_is_short_and_ends_with_the_address(kind: str, facts: dict[str, Any]) -> None:
    text = render(kind, "body.txt", facts)
    assert max(len(line) for line in text.splitlines()) <= 72
    assert lines(text)[-1] == URL
    assert text.count(URL) == 1
    assert len(text.split()) <= 120
    assert not re.findall(r"None|[{}]|\n\n\n", text)


@each_mail
def test_the_html_says_what_the_text_says(kind: str, facts: dict[str, Any]) -> None:
    page, text = render(kind, "body.html", facts), render(kind, "body.txt", facts)
    first = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    read = squeezed(html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))
    paragraphs = text.split("\n\n")
    assert [html.unescape(one) for one in first] == [squeezed(paragraphs[0])]
    for paragraph in paragraphs[:-1]:
        rows = re.findall(r"^[\w ]+: +(.*)$", paragraph, re.MULTILINE)
        for said in rows or [paragraph]:
            assert squeezed(said) in read


@each_mail
def test_the_html_is_plain_enough_for_mail_programs(kind: str, facts: dict[str, Any]) -> None:
    page = render(kind, "body.html", facts)
    assert '<html lang="en">' in page
    assert len(page.encode()) <= 60 * 1024
    assert not re.findall(r"<script|<img|<link|background-image|None", page)
    assert page.count("<table") == page.count('role="presentation"')
    assert set(re.findall(r'href="([^"]*)"', page)) == {URL}
    assert all(int(size) >= 16 for size in re.findall(r"font-size:(\d+)px", page))


def test_what_a_person_wrote_is_escaped_in_html() -> None:
    page = JINJA.get_template("mail/exists/body.html").render(**{**ALWAYS, "to": "<b>ana</b>@example.com"})
    assert "<b>ana" not in page
