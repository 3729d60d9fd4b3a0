"""Everything that left a sandbox while the tests ran, compared with the installed SDK's types.

Each answer of the API and each delivered event was written down by the sandbox itself (`--record`). Whatever the
SDK could not hold, each kind of mistake once, becomes one sentence that begins with where it was seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stripe import ErrorObject
from stripe._object_classes import OBJECT_CLASSES

from sandbox.house import API_VERSION
from tests.sandbox.engine import shapes

Json = dict[str, Any]

# What Checkout's own page asks for: the SDK has no such object.
NO_TYPES = {"payment_page"}
NOT_YET_KNOWN = frozenset({"id", "hosted_invoice_url", "invoice_pdf"})  # of an invoice that is only announced
DELETED = {"id", "object", "deleted"}


def wrong(record: Path) -> list[str]:
    """What is wrong with the recorded traffic, in the present version; older ones have their own tests."""
    return Traffic().read(record)


class Traffic:
    """Remembers the shapes that it met: of objects that differ in ids, numbers and addresses alone, one is compared."""

    def __init__(self) -> None:
        self._samples = shapes.samples()
        self._seen: set[int] = set()
        self.looked = 0

    def read(self, record: Path) -> list[str]:
        found: set[str] = set()
        for text in record.read_text().splitlines() if record.exists() else []:
            entry = json.loads(text)
            if entry["api_version"] == API_VERSION and entry["kind"] != "replay":
                found.update(self._entry(entry))
        return sorted(found)

    def _entry(self, entry: Json) -> Iterator[str]:
        body = entry["body"]
        if entry["kind"] in ("event", "webhook"):
            yield from self._event(body)
        elif "error" in body:
            yield from _error(body["error"], entry["status"])
        else:
            yield from self._answer(body)

    def _answer(self, body: Json) -> Iterator[str]:
        if body["object"] == "list":
            yield from (f"list.{key}: unknown to lists" for key in body.keys() - shapes.LIST_KEYS)
            for each in body["data"]:
                yield from self._answer(each)
        elif body["object"] == "event":
            yield from self._event(body)
        elif body.get("deleted") and body["object"] != "discount":  # which keeps its fields, but for its end
            yield from (f"deleted {body['object']}.{key}: too much" for key in body.keys() - DELETED)
        elif body["object"] not in NO_TYPES:
            without = NOT_YET_KNOWN if body.get("billing_reason") == "upcoming" else frozenset()
            without = frozenset({"end"}) if body.get("deleted") else without
            yield from self._object(body, without)

    def _event(self, event: Json) -> Iterator[str]:
        about, previous = event["data"]["object"], event["data"].get("previous_attributes") or {}
        if event["api_version"] != API_VERSION:  # made in an older shape, which it keeps
            return
        upcoming = event["type"] == "invoice.upcoming"
        for problem in self._object(about, NOT_YET_KNOWN if upcoming else frozenset(), collapsed=True):
            yield f"{event['type']}: {problem}"
        yield from (f"{event['type']}: {each}" for each in shapes.unknown_keys(previous, about["object"]))
        shell = {**event, "data": {"object": {}}}
        yield from (each for each in self._object(shell) if not each.startswith("event.data"))

    def _object(self, obj: Json, without: frozenset[str] = frozenset(), collapsed: bool = False) -> list[str]:
        sums = [*_sums(obj)] if obj["object"] == "invoice" else []
        mark = hash((_form(obj), without, collapsed))
        if mark in self._seen:
            return sums
        self._seen.add(mark)
        self.looked += 1
        if obj["object"] not in OBJECT_CLASSES:
            return [f"{obj['object']}: no such object in the SDK"]
        return [*sums, *shapes.problems(obj, self._samples.get(obj["object"]), without, collapsed)]


def _form(value: Any) -> Any:
    """What a value's shape depends on: keys, types, and words that may be one of a literal's."""
    if isinstance(value, dict):
        return tuple((key, _form(each)) for key, each in value.items())
    if isinstance(value, list):
        return tuple({_form(each) for each in value})
    if isinstance(value, str):
        word = value.islower() and value.replace("_", "").replace(".", "").isalpha()
        return value if word and len(value) < 40 else "…"
    return type(value)


def _error(error: Json, status: int) -> Iterator[str]:
    """An error body: keys of the SDK's ErrorObject, and a type that goes with the status."""
    known = set(ErrorObject.__annotations__)
    yield from (f"error.{key}: unknown to the SDK" for key in error.keys() - known)
    types = {402: {"card_error"}, 500: {"api_error"}}.get(
        status, {"invalid_request_error", "idempotency_error"}
    )
    if error.get("type") not in types:
        yield f"error.type: {error.get('type')!r} with {status}"
    code = error.get("code")
    if code and not error.get("doc_url") and error["type"] == "card_error":
        yield f"error.doc_url: missing beside {code}"


def _sums(invoice: Json) -> Iterator[str]:
    """The money of an invoice must add up, at each moment that it is shown (facts 1.5)."""
    lines = invoice["lines"]["data"]
    off = sum(each["amount"] for line in lines for each in line["discount_amounts"])
    if not invoice["lines"]["has_more"] and sum(line["amount"] for line in lines) - off != invoice["total"]:
        yield "invoice: the lines less their discounts are not the total"
    if invoice["amount_paid"] + invoice["amount_remaining"] != invoice["amount_due"]:
        yield "invoice: paid and remaining are not what is due"
    used = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    if invoice["ending_balance"] is not None and invoice["total"] - invoice["amount_due"] != used:
        yield "invoice: total and balance are not what is due"
