"""The parts of the pages that need no engine: the card form, words for money and dates, the PDF."""

from __future__ import annotations

import re

import pytest

from sandbox.pages.cards import parse_expiry, read_card
from sandbox.pages.guards import origin_of, web_link
from sandbox.pages.pdf import Page, Row, paged, width, wrapped, write
from sandbox.pages.wording import card_words, day, every, moment, money
from tests.sandbox.pages.visitor import card


@pytest.mark.parametrize(
    "typed", ["12/34", "12 / 34", "12/2034", "1234", "122034", "12-34", "12 34", "12.2034", " 12 / 34 "]
)
def test_an_expiry_date_is_read_however_it_is_typed(typed: str) -> None:
    form, read = read_card(card(expiry=typed))
    assert form.errors == {}
    assert read is not None
    assert (read.exp_month, read.exp_year) == (12, 2034)


def test_a_month_may_have_one_digit() -> None:
    assert parse_expiry("1/34") == (1, 2034)


@pytest.mark.parametrize(
    "typed", ["13/34", "00/34", "12", "12/3", "12/345", "soon", "12/34/56", "١٢/٣٤", "123"]
)
def test_what_is_no_month_and_year_is_refused_at_the_field(typed: str) -> None:
    form, read = read_card(card(expiry=typed))
    assert read is None
    assert list(form.errors) == ["expiry"]


@pytest.mark.parametrize(
    "typed", ["", "4242", "4242 4242 4242 424X", "4" * 20, "４２４２４２４２４２４２４２４２"]
)
def test_what_is_no_card_number_is_refused_at_the_field(typed: str) -> None:
    form, read = read_card(card(typed))
    assert read is None
    assert list(form.errors) == ["number"]


def test_spaces_and_dashes_in_a_number_do_not_matter() -> None:
    _, read = read_card(card("4242-4242 42424242"))
    assert read is not None
    assert read.number == "4242424242424242"


@pytest.mark.parametrize(
    ("number", "cvc"), [("4242424242424242", "99"), ("378282246310005", "123"), ("4" * 16, "")]
)
def test_a_security_code_has_the_length_of_its_brand(number: str, cvc: str) -> None:
    form, read = read_card(card(number, cvc=cvc))
    assert read is None
    assert list(form.errors) == ["cvc"]


def test_the_form_never_keeps_the_security_code() -> None:
    form, _ = read_card(card(cvc="987"))
    assert "987" not in repr(form)


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [(2900, "eur", "€29.00"), (500, "jpy", "¥500"), (1230, "kwd", "KWD\u00a01.230"), (-100, "usd", "-$1.00")],
)
def test_amounts_are_shown_in_the_units_of_their_currency(amount: int, currency: str, words: str) -> None:
    assert money(amount, currency) == words


def test_dates_and_intervals_in_words() -> None:
    assert moment(1798085520) == "24 Dec 2026 04:12 UTC"
    assert day(1798085520) == "24 December 2026"
    assert moment(None) == day(None) == "–"
    assert [every("month"), every("month", 3), every(None)] == ["per month", "every 3 months", ""]


def test_a_card_is_named_by_brand_and_last_digits() -> None:
    visa = {"card": {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2034}}
    assert card_words(visa) == "Visa •••• 4242, expires 01/2034"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8000/checkout/return?x=1", "http://127.0.0.1:8000"),
        ("https://user:word@shop.example/", "https://shop.example"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("javascript:alert(1)", None),
        ("http://shop.example;script-src:*/", None),
        ("http://shop.example:port/", None),
        ("/relative", None),
        ("", None),
        (None, None),
    ],
)
def test_only_plain_web_origins_enter_the_policy(url: str | None, origin: str | None) -> None:
    assert origin_of(url) == origin
    assert web_link(url) == (url if origin else None)


def test_the_pdf_points_at_its_objects() -> None:
    file = write([Page([Row("Total", "€29.00"), Row(r"a (b) \c"), Row("漢")])], "Sandbox")
    assert file.startswith(b"%PDF-1.4\n")
    assert file.endswith(b"%%EOF\n")
    (start,) = re.findall(rb"startxref\n(\d+)\n", file)
    assert file[int(start) :].startswith(b"xref\n0 7\n")
    offsets = re.findall(rb"(\d{10}) 00000 n \n", file)
    assert [file[int(at) :].split(b" ", 1)[0] for at in offsets] == [b"1", b"2", b"3", b"4", b"5", b"6"]
    (length,) = re.findall(rb"/Length (\d+)", file)
    content = file.split(b"stream\n", 1)[1].split(b"\nendstream")[0]
    assert len(content) == int(length)
    assert rb"(a \(b\) \\c) Tj" in content
    assert b"(\x8029.00) Tj" in content


def test_amounts_end_at_the_right_margin_of_the_pdf() -> None:
    file = write([Page([Row("a", "€1.00"), Row("b", "€1,234.00")])], "")
    ends = [
        float(x) + width(text.decode("cp1252"))
        for x, text in re.findall(rb"Tf ([\d.]+) \d+ Td \((\x80[^)]+)\)", file)
    ]
    assert ends == [pytest.approx(539, abs=0.01)] * 2


def test_a_long_pdf_has_as_many_pages_as_it_needs_and_loses_no_line() -> None:
    heading = [Row("Continued")]
    pages = paged([Row(f"line {number}") for number in range(100)], heading)
    file = write(pages, "Sandbox")
    assert len(pages) == 3
    assert b"/Count 3" in file
    assert re.findall(rb"\(line (\d+)\)", file) == [str(number).encode() for number in range(100)]
    assert file.count(b"(Continued)") == 2
    assert b"Page 3 of 3" in file


def test_long_words_of_a_line_are_broken_at_spaces() -> None:
    assert wrapped("one two three", width("one two")) == ["one two", "three"]
    assert wrapped("unbreakable", 1) == ["unbreakable"]
