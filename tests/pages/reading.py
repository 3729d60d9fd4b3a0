"""The order in which a page is read aloud, as it was agreed (``reading/``); what changes with the day is masked.

Where a page rightly reads otherwise now: `READING=write .venv/bin/python -m pytest tests/pages -k agreed`, and read the
difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

AGREED = Path(__file__).parent / "reading"
KEY_PAGES = [
    "plans", "sign-up-mistakes", "sign-in", "confirm", "check", "check-trial", "return-processing",
    "billing-active", "billing-past_due", "change-now", "invoices", "account",
]  # fmt: skip
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
MASKS = (
    (rf"\b\d{{1,2}}\s{MONTH}\s\d{{4}}\b", "{day}"),
    (r"\b(?:just now|\d+ (?:second|minute|hour)s? ago)\b", "{ago}"),
    (r"DUN-\d+", "{number}"),
    (r"\bin_test_\d+", "{invoice}"),
    (r'(?: +- option "[A-Z][A-Za-z]+/[^"]+"\n)+', "      - {zones}\n"),  # as many as the machine knows
)


# What a change costs today falls by the second; its amounts are counted in ``tests/test_quotes.py``.
OF_THE_MOMENT = {"change-now": ((r"€\d+\.\d\d", "{amount}"),)}


def masked(read: str, name: str = "") -> str:
    for mask, words in (*MASKS, *OF_THE_MOMENT.get(name, ())):
        read = re.sub(mask, words, read)
    return read + "\n"


def agreed(name: str, read: str) -> str:
    """What was agreed for this page. With ``READING=write`` that is what it reads now, from here on."""
    kept = AGREED / f"{name}.yaml"
    if os.environ.get("READING") == "write":
        kept.write_text(read, encoding="utf-8")
    return kept.read_text(encoding="utf-8")
