"""The items of a subscription, and what is added to its invoices, as requests say them."""

from __future__ import annotations

from typing import Any

from sandbox.api import prices
from sandbox.api.form import Params
from sandbox.engine import amounts, changing
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db

Json = dict[str, Any]

PRICE_DATA = "currency product unit_amount tax_behavior"


def spell(prefix: str, names: str) -> str:
    """Those names below a prefix, as Operation.accepts lists them."""
    return " ".join(f"{prefix}.{name}" for name in names.split())


ITEM = (
    f"price quantity metadata.* {spell('price_data', PRICE_DATA)}"
    " price_data.recurring.interval price_data.recurring.interval_count"
)
EXTRA = f"price quantity metadata.* discountable {spell('price_data', PRICE_DATA)}"
MOST_ITEMS = 20


def price(row: Params, currency: str | None, recurring: bool = True) -> Json:
    """The price that a row names or describes; 400 when it does not fit the subscription."""
    id_ = row.text("price")
    if id_ is None and row.has("price_data"):
        data = row.child("price_data")
        if not data.text("product"):
            raise required(data.name("product"))
        made = prices.build(data, prices.product_of(data), prices.amount(data), {})
        found: Json | None = db().put(made | {"active": False})
    elif id_ is None:
        raise required(row.name("price"))
    else:
        found = db().find("price", id_)
    if found is None:
        raise missing("price", str(id_), row.name("price"), 400)
    if not found["active"] and id_ is not None:
        message = "The price specified is inactive. This field only accepts active prices."
        raise request_error(message, "price_inactive", row.name("price"))
    if recurring != (found["recurring"] is not None):
        wanted = "recurring" if recurring else "one_time"
        raise request_error(
            f"The price specified is set to `type={found['type']}` but this field only accepts prices with"
            f" `type={wanted}`.",
            param=row.name("price"),
        )
    if currency is not None and amounts.unit_amount(found, currency) is None:
        raise request_error("The price's currency differs from the subscription's.", param=row.name("price"))
    return found


def check_prices(items: list[Json], name: str) -> None:
    """The prices of a subscription must repeat alike, and none may be there twice."""
    every = {(each["recurring"]["interval"], each["recurring"]["interval_count"]) for each in items}
    if len(every) > 1:
        raise not_built("subscriptions with items of different intervals", name)
    if len(items) > MOST_ITEMS:
        raise request_error("A subscription may have up to 20 items.", param=name)
    if len({each["id"] for each in items}) < len(items):
        raise request_error("Cannot add multiple subscription items with the same plan or price.", param=name)


def extras(params: Params, currency: str | None, subscription: str | None) -> list[Json]:
    """`add_invoice_items` as engine.items.add takes them."""
    rows = params.rows("add_invoice_items")
    if len(rows) > MOST_ITEMS:
        raise request_error("You may pass up to 20 items.", param="add_invoice_items")
    return [_extra(row, currency, subscription) for row in rows]


def _extra(row: Params, currency: str | None, subscription: str | None) -> Json:
    found = price(row, currency, recurring=False)
    quantity = row.integer("quantity", least=1) or 1
    product = db().find("product", found["product"]) or {"name": "Product"}
    charged_in = currency or found["currency"]
    unit = amounts.unit_amount(found, charged_in) or 0
    return {
        "amount": unit * quantity,
        "currency": charged_in,
        "description": product["name"],
        "discountable": row.flag("discountable") if row.has("discountable") else True,
        "metadata": row.metadata(),
        "price": found,
        "quantity": quantity,
        "subscription": subscription,
        "unit_amount_decimal": str(unit),
    }


def items(sub: Json, params: Params) -> list[Json]:
    """The subscription's items as `items` wants them: rows with an id change one, rows without add one."""
    known = {item["id"]: item for item in sub["items"]["data"]}
    for row in params.rows("items"):
        id_ = row.text("id")
        if id_ is None:
            found = price(row, sub["currency"])
            quantity = row.integer("quantity", least=0)
            made = changing.item(sub, found, 1 if quantity is None else quantity)
            known[made["id"]] = made | {"metadata": row.metadata()}
        elif id_ not in known:
            raise missing("subscription item", id_, row.name("id"), 400)
        elif row.flag("deleted"):
            del known[id_]
        else:
            known[id_] = changed_item(sub, known[id_], row)
    if not known:
        raise request_error(
            "A subscription must have at least one active item: cancel it instead.", param="items"
        )
    wanted = list(known.values())
    check_prices([each["price"] for each in wanted], "items")
    return wanted


def changed_item(sub: Json, known: Json, row: Params) -> Json:
    """The item with what a row says; another price resets the quantity to 1 unless it is said too."""
    quantity = row.integer("quantity", least=0)
    if row.has("price") or row.has("price_data"):
        found = price(row, sub["currency"])
        known = changing.item(sub, found, 1 if quantity is None else quantity, known)
    elif quantity is not None:
        known = known | {"quantity": quantity}
    return known | ({"metadata": row.metadata(known["metadata"])} if row.has("metadata") else {})
