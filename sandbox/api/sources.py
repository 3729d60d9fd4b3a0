"""/v1/customers/<id>/sources: cards as the older API keeps them."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import sources
from sandbox.errors import missing, not_built
from sandbox.house import db
from sandbox.objects.source_card import card

Json = dict[str, Any]

ADDRESS = {
    "address_city": "city",
    "address_country": "country",
    "address_line1": "line1",
    "address_line2": "line2",
    "address_state": "state",
    "address_zip": "postal_code",
}


def create(call: Call) -> Json:
    customer, params = call.subject("customer"), call.params
    return card(sources.add(customer, params.need("source"), params.metadata()))


def _subject(call: Call) -> Json:
    method = db().find("payment_method", call.ids[1])
    if method is None or method["customer"] != call.id or not method.get("_source"):
        raise missing("source", call.ids[1])
    return method


def retrieve(call: Call) -> Json:
    call.subject("customer")
    return card(_subject(call))


def update(call: Call) -> Json:
    method, params = _subject(call), call.params
    exp = {name: params.integer(name, least=1) for name in ("exp_month", "exp_year") if params.has(name)}
    address = {ADDRESS[name]: value for name, value in params.words(*ADDRESS).items()}
    metadata = params.metadata(method["metadata"])
    return sources.update(method, params.words("name"), metadata, exp, address)


def delete(call: Call) -> Json:
    return sources.remove(call.subject("customer"), _subject(call))


def list_(call: Call) -> Json:
    customer = call.subject("customer")
    if call.params.text("object") not in (None, "card"):
        raise not_built("sources that are no cards", "object")
    rows = [card(method) for method in sources.of(customer)]
    return listing.of(call, rows, f"/v1/customers/{customer['id']}/sources")


OPERATIONS = (
    Operation("POST", "/v1/customers/<id>/sources", create, "source metadata.*"),
    Operation("GET", "/v1/customers/<id>/sources", list_, f"{LISTED} object"),
    Operation("GET", "/v1/customers/<id>/sources/<id>", retrieve),
    Operation(
        "POST",
        "/v1/customers/<id>/sources/<id>",
        update,
        f"name exp_month exp_year metadata.* {' '.join(ADDRESS)}",
    ),
    Operation("DELETE", "/v1/customers/<id>/sources/<id>", delete),
)
