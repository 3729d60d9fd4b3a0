"""PDF files of text and rules: as many A4 pages as are needed, in Helvetica, right-aligned where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

WIDTH, HEIGHT = 595, 842
TOP, BOTTOM, LEFT, RIGHT = 782, 72, 56, 539
SIZE, LEADING = 10, 15
# Advance widths of Helvetica for the characters 32 to 126, in thousandths of the size (Adobe's font metrics).
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778,
    722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278,
    278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
FONTS = {"F1": b"Helvetica", "F2": b"Helvetica-Bold"}


@dataclass(frozen=True)
class Row:
    """One line across the page: words at the left margin and at the right one; `rule` draws a line above."""

    left: str = ""
    right: str = ""
    size: int = SIZE
    bold: bool = False
    rule: bool = False


@dataclass
class Page:
    rows: list[Row] = field(default_factory=list)


def width(text: str, size: int = SIZE) -> float:
    """Points that the text takes; letters outside ASCII count as wide as a digit."""
    units = sum(_WIDTHS[ord(sign) - 32] if 32 <= ord(sign) < 127 else 556 for sign in text)
    return units * size / 1000


def wrapped(text: str, most: float, size: int = SIZE) -> list[str]:
    """The text in lines of at most that many points, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width(longer, size) <= most or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def paged(rows: list[Row], heading: list[Row]) -> list[Page]:
    """The rows on pages; every page after the first begins with the heading."""
    pages = [Page()]
    room = TOP - BOTTOM
    for row in rows:
        if room < _height(row):
            pages.append(Page(list(heading)))
            room = TOP - BOTTOM - sum(map(_height, heading))
        pages[-1].rows.append(row)
        room -= _height(row)
    return pages


def _height(row: Row) -> int:
    return LEADING * row.size // SIZE + (6 if row.rule else 0)


def write(pages: list[Page], footer: str) -> bytes:
    """The file. Letters outside Windows-1252 become question marks."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
    first = 3 + len(FONTS)
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(pages)))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        *(font % name for name in FONTS.values()),
    ]
    for number, page in enumerate(pages):
        content = _content(page, f"{footer}    Page {number + 1} of {len(pages)}")
        bodies.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (WIDTH, HEIGHT, first + 2 * number + 1)
        )
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return _file(bodies)


def _file(bodies: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    # Each entry of the cross-reference table is exactly 20 bytes: that is how readers find it.
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1) + table
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, start)
    return bytes(out)


def _content(page: Page, footer: str) -> bytes:
    marks, at = [], TOP
    for row in page.rows:
        if row.rule:
            marks.append(b"0.5 w %d %d m %d %d l S" % (LEFT, at + 3, RIGHT, at + 3))
        at -= _height(row)
        marks += _text(row.left, LEFT, at, row, "left") + _text(row.right, RIGHT, at, row, "right")
    marks += _text(footer, LEFT, BOTTOM - 36, Row(size=8), "left")
    return b"\n".join(marks)


def _text(text: str, x: float, y: int, row: Row, align: Literal["left", "right"]) -> list[bytes]:
    if not text:
        return []
    start = x - width(text, row.size) if align == "right" else x
    font = b"F2" if row.bold else b"F1"
    return [b"BT /%s %d Tf %.2f %d Td (%s) Tj ET" % (font, row.size, start, y, _escaped(text))]


def _escaped(line: str) -> bytes:
    raw = line.replace("\u00a0", " ").encode("cp1252", "replace")
    return raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
