"""What a person does in the Billing Portal."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import amounts, methods, portal, portal_plans
from sandbox.house import db, house
from sandbox.outcomes import Card, Outcome
from sandbox.store import public

Json = dict[str, Any]


def portal_view(token: str) -> Json:
    """What one customer’s portal shows; plans carry product_name, amount, can_update, changes_at.

    Looking keeps the session alive.
    """
    with db().transaction():
        session = portal.session_of(token)
        portal.touch(session)
    customer = db().get("customer", session["customer"])
    subscriptions = db().all("subscription", customer=customer["id"])
    cards = db().all("payment_method", customer=customer["id"])
    after = ((session["flow"] or {}).get("after_completion") or {}).get("redirect") or {}
    configuration = db().get("billing_portal.configuration", session["configuration"])
    return {
        "customer": public(customer),
        "email": customer["email"],
        "subscriptions": [_plan(session, sub) for sub in reversed(subscriptions)],
        "payment_methods": [public(card) for card in reversed(cards)],
        "default_payment_method": _default(customer, subscriptions),
        "invoices": [public(each) for each in reversed(db().all("invoice", customer=customer["id"]))],
        "flow": session["flow"],
        "features": configuration["features"],
        "profile": configuration["business_profile"],
        "retention": portal_plans.retention(session),
        "return_url": session["return_url"],
        "after_completion_url": after.get("return_url"),
        "business_name": house().settings()["business_name"],
        "expired": portal.expired(session),
        "recoverable": portal.recoverable(session),
    }


def _plan(session: Json, sub: Json) -> Json:
    items = sub["items"]["data"]
    product = db().find("product", items[0]["price"]["product"])
    amount = sum(
        (amounts.unit_amount(item["price"], sub["currency"]) or 0) * item["quantity"] for item in items
    )
    return public(sub) | {
        "product_name": str((product or {}).get("name", "Plan")),
        "amount": amount,
        "can_update": portal_plans.can_update(session, sub),
        "changes_at": _changes_at(sub),
    }


def _changes_at(sub: Json) -> int | None:
    """When the next phase of the plan's schedule begins."""
    schedule = db().find("subscription_schedule", sub["schedule"])
    starts = [phase["start_date"] for phase in schedule["phases"]] if schedule else []
    return min((start for start in starts if start > clock.now(sub["customer"])), default=None)


def _default(customer: Json, subscriptions: list[Json]) -> str | None:
    living = [sub for sub in subscriptions if sub["status"] not in ("canceled", "incomplete_expired")]
    method = methods.of(living[-1] if living else None, customer)
    return method["id"] if method else None


def plan_choices(token: str, subscription_id: str) -> list[Json]:
    """The prices that a plan may change to, see `portal_plans.choices`."""
    session = portal.session_of(token)
    return portal_plans.choices(session, portal.own_subscription(session, subscription_id))


def change_problem(token: str, subscription_id: str, price: str, quantity: str, code: str) -> dict[str, str]:
    session = portal.session_of(token)
    sub = portal.own_subscription(session, subscription_id)
    return portal_plans.problem(session, sub, price, quantity, code)


def rehearse_change(token: str, subscription_id: str, chosen: tuple[str, int, str]) -> Json:
    return portal_plans.rehearse(token, subscription_id, chosen)


def confirm_change(token: str, subscription_id: str, chosen: tuple[str, int, str], at: int) -> Outcome:
    with db().transaction():
        return portal_plans.confirm(token, subscription_id, chosen, at)


def price_words(price_id: str, currency: str) -> Json:
    """name, amount, interval, interval_count of a price, in a currency."""
    price = db().get("price", price_id)
    product = db().find("product", price["product"]) or {"name": "Plan"}
    return {
        "name": product["name"],
        "amount": amounts.unit_amount(price, currency) or 0,
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
    }


def update_card(token: str, card: Card) -> Outcome:
    with db().transaction():
        return portal.update_card(token, card)


def set_default(token: str, method_id: str) -> Outcome:
    with db().transaction():
        return portal.set_default(token, method_id)


def remove_method(token: str, method_id: str) -> Outcome:
    with db().transaction():
        return portal.remove_method(token, method_id)


def cancel(token: str, subscription_id: str, feedback: str | None, comment: str | None) -> Outcome:
    """Cancel at the end of the period or at once, as the configuration says."""
    with db().transaction():
        return portal_plans.cancel(token, subscription_id, feedback, comment)


def keep(token: str, subscription_id: str) -> Outcome:
    with db().transaction():
        return portal_plans.keep(token, subscription_id)


def resume(token: str, subscription_id: str) -> Outcome:
    with db().transaction():
        return portal_plans.resume(token, subscription_id)


def pause(token: str, subscription_id: str) -> Outcome:
    with db().transaction():
        return portal_plans.pause(token, subscription_id)


def update_customer(token: str, typed: dict[str, str]) -> Outcome:
    with db().transaction():
        return portal.update_customer(token, typed)


def revive(token: str, email: str) -> Outcome:
    """Log in again after the link expired."""
    with db().transaction():
        return portal.revive(token, email)
