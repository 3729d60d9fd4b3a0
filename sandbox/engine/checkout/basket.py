"""What a person may change of an open session: how many, and a promotion code."""

from __future__ import annotations

from typing import Any

from sandbox import money
from sandbox.engine import discounts
from sandbox.engine.checkout import sums
from sandbox.errors import ApiError
from sandbox.house import db
from sandbox.outcomes import Outcome

Json = dict[str, Any]


def change_quantities(session: Json, wanted: dict[str, str]) -> dict[str, str]:
    """Set quantities by line item id, as they were typed; what is wrong with them by id, and nothing is set then."""
    wrong, numbers = {}, {}
    for item in session["_line_items"]:
        limits, typed = item["adjustable_quantity"], wanted.get(item["id"])
        if limits is None or typed is None:
            continue
        if not (typed.isascii() and typed.isdigit() and len(typed) < 7):
            wrong[item["id"]] = "Enter how many, in digits"
        elif not limits["minimum"] <= int(typed) <= limits["maximum"]:
            wrong[item["id"]] = f"Choose from {limits['minimum']} to {limits['maximum']}"
        else:
            numbers[item["id"]] = int(typed)
    if wrong:
        return wrong
    before = {item["id"]: item["quantity"] for item in session["_line_items"]}
    _set(session, before | numbers)
    problem = _total_problem(session)
    if problem:
        _set(session, before)
        return dict.fromkeys(numbers, problem)
    db().put(session)
    return {}


def _set(session: Json, quantities: dict[str, int]) -> None:
    for item in session["_line_items"]:
        item["quantity"] = quantities[item["id"]]
    sums.reckon(session)


def _total_problem(session: Json) -> str:
    needed = sums.recurring(session) or session["_line_items"]
    if not any(item["quantity"] for item in needed):
        return "Choose at least one"
    least = money.minimum(session["currency"])
    if 0 < session["amount_total"] < least:
        return f"The total must be at least {money.words(least, session['currency'])}"
    return ""


def add_code(session: Json, typed: str) -> Outcome:
    """Apply a promotion code that the person typed."""
    if not session["allow_promotion_codes"]:
        return Outcome("bad_input", "This page takes no promotion codes.", "promotion_code")
    offered = discounts.typed(typed, session["customer"])
    if offered is None or offered.code is None:
        return Outcome("bad_input", "This code is not valid.", "promotion_code")
    customer = db().find("customer", session["customer"])
    purchase = discounts.Purchase(customer, session["currency"], session["amount_subtotal"])
    try:
        discounts.check(offered, purchase)
    except ApiError as problem:
        return Outcome("bad_input", str(problem), "promotion_code")
    kept = session["discounts"]
    session["discounts"] = [{"coupon": None, "promotion_code": offered.code["id"]}]
    sums.reckon(session)
    problem_words = _total_problem(session)
    if problem_words:
        session["discounts"] = kept
        return Outcome("bad_input", problem_words, "promotion_code")
    db().put(session)
    return Outcome("done")


def remove_discounts(session: Json) -> None:
    """Take the typed code off again; what the shop itself gave stays."""
    if session["allow_promotion_codes"]:
        session["discounts"] = []
        sums.reckon(session)
        db().put(session)
