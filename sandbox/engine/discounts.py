"""Coupons and promotion codes redeemed into discounts, and which discounts an invoice is subject to."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from sandbox import clock, money, periods
from sandbox.engine.totals import Rule
from sandbox.errors import missing, request_error
from sandbox.events import change, difference, emit
from sandbox.house import db
from sandbox.objects import discount as shapes
from sandbox.store import public

Json = dict[str, Any]


class Offer(NamedTuple):
    """A coupon, and the promotion code that stands for it, if it came by one."""

    coupon: Json
    code: Json | None = None


class Purchase(NamedTuple):
    """What somebody wants to pay less for. `amount` in minor units before discounts, None when not known yet."""

    customer: Json | None
    currency: str | None
    amount: int | None = None


def offer(coupon: str | None, promotion_code: str | None, param: str) -> Offer:
    """By their ids; 400 when there is none. `param` is the parameter to blame, "" for the outermost."""
    if promotion_code is not None:
        code = db().find("promotion_code", promotion_code)
        if code is None:
            raise missing("promotion code", promotion_code, _below(param, "promotion_code"), 400)
        return Offer(db().get("coupon", code["promotion"]["coupon"]), code)
    found = db().find("coupon", coupon)
    if found is None or found.get("_deleted"):
        raise missing("coupon", str(coupon), _below(param, "coupon"), 400)
    return Offer(found)


def _below(param: str, name: str) -> str:
    return f"{param}[{name}]" if param else name


def typed(words: str, customer_id: str | None) -> Offer | None:
    """The active promotion code that a person typed, in any case: their own before one for everybody."""
    codes = [
        code
        for code in db().all("promotion_code", active=True)
        if code["code"].lower() == words.strip().lower() and code["customer"] in (None, customer_id)
    ]
    for code in sorted(codes, key=lambda each: each["customer"] is None):
        return Offer(db().get("coupon", code["promotion"]["coupon"]), code)
    return None


def check(offered: Offer, purchase: Purchase, param: str = "discounts") -> None:
    """400 unless the offer may be redeemed for this purchase, now."""
    customer = purchase.customer
    now = clock.now(customer["id"] if customer else None)
    if offered.code is not None:
        _check_code(offered.code, purchase, now, param)
    coupon = offered.coupon
    if coupon.get("_deleted") or _over(coupon, coupon["redeem_by"], now):
        raise request_error(f"Coupon expired: {coupon['id']}", "coupon_expired", _below(param, "coupon"))
    if coupon["amount_off"] is not None and purchase.currency not in (
        None,
        coupon["currency"],
        *coupon["_currency_options"],
    ):
        raise request_error(
            f"The coupon {coupon['id']} takes off an amount in {coupon['currency']}, not in {purchase.currency}.",
            param=param,
        )


def _over(obj: Json, until: int | None, now: int) -> bool:
    limit = obj["max_redemptions"]
    return (until is not None and until <= now) or (limit is not None and obj["times_redeemed"] >= limit)


def _check_code(code: Json, purchase: Purchase, now: int, param: str) -> None:
    param = _below(param, "promotion_code")
    customer = purchase.customer
    if not code["active"] or _over(code, code["expires_at"], now):
        raise request_error("This promotion code is not active.", "coupon_expired", param)
    if code["customer"] is not None and code["customer"] != (customer or {}).get("id"):
        raise request_error("This promotion code cannot be used by this customer.", param=param)
    limits = code["restrictions"]
    if limits["first_time_transaction"] and customer is not None and _has_paid(customer["id"]):
        raise request_error(
            "This promotion code cannot be redeemed because the associated customer has prior transactions.",
            param=param,
        )
    if limits["minimum_amount"] is not None and purchase.amount is not None:
        least = minimum(code, purchase.currency)
        if least is None or purchase.amount < least:
            raise request_error(
                "This promotion code cannot be redeemed because the purchase does not meet its minimum of "
                f"{money.words(limits['minimum_amount'], limits['minimum_amount_currency'])}.",
                param=param,
            )


def minimum(code: Json, currency: str | None) -> int | None:
    """The least amount of a purchase in that currency that the code is good for; None in any other."""
    limits = code["restrictions"]
    known = {limits["minimum_amount_currency"]: limits["minimum_amount"]}
    known |= {each: option["minimum_amount"] for each, option in code["_minimums"].items()}
    return known.get(currency)


def _has_paid(customer_id: str) -> bool:
    paid = [each for each in db().all("invoice", customer=customer_id) if each["status"] == "paid"]
    intents = db().all("payment_intent", customer=customer_id, status="succeeded")
    return bool(intents) or any(each["amount_paid"] for each in paid)


def unsaved(offered: Offer, target: Json) -> Json:
    """The discount that redeeming would make, for previews. `target` as in objects.discount, and the second that it
    begins in, if that is not now: months of a discount and of its subscription end together."""
    coupon = offered.coupon
    start = target.get("start") or clock.now(target.get("customer"))
    end = None
    if coupon["duration"] == "repeating" and lasting(target):
        months = {"interval": "month", "interval_count": 1}
        end = periods.boundary(start, months, coupon["duration_in_months"])
    return shapes.discount(start, end, coupon, offered.code["id"] if offered.code else None, target)


def redeem(offered: Offer, target: Json) -> Json:
    """Make the discount and count the redemption. What may not be redeemed is for `check` to say before.

    Stripe tells of discounts on customers and subscriptions (customer.discount.created), not of those that
    belong to one invoice, one invoice item or one Checkout payment.
    """
    discount = db().put(unsaved(offered, target))
    _count(db().get("coupon", offered.coupon["id"]), "valid")
    if offered.code is not None:
        _count(db().get("promotion_code", offered.code["id"]), "active")
    if lasting(discount):
        emit("customer.discount.created", discount)
    return discount


def _count(obj: Json, flag: str) -> None:
    used = obj["times_redeemed"] + 1
    over = obj["max_redemptions"] is not None and used >= obj["max_redemptions"]
    db().put(obj | {"times_redeemed": used, flag: obj[flag] and not over})


def lasting(discount: Json) -> bool:
    """Whether a discount, or its target, is a customer's or a subscription's, and so can reduce many invoices."""
    return not any(discount.get(name) for name in ("invoice", "invoice_item", "checkout_session"))


def alive(ids: list[str], now: int) -> list[Json]:
    """Those of the discounts that still reduce an invoice made at `now`."""
    found = [db().find("discount", id_) for id_ in ids]
    return [
        each for each in found if each and not each["_spent"] and (each["end"] is None or each["end"] > now)
    ]


def of(sub: Json | None, customer: Json) -> list[Json]:
    """What reduces the next invoice: the subscription's discounts, or where it has none the customer's."""
    now = clock.now(customer["id"])
    own = alive(sub["discounts"], now) if sub is not None else []
    if own:
        return own
    return alive([customer["discount"]["id"]], now) if customer["discount"] else []


def rule(discount: Json, currency: str) -> Rule:
    """What a discount takes off an invoice in that currency."""
    terms = discount["_terms"]
    percent = terms["percent_off"]
    return Rule(
        id=discount["id"],
        percent_off=None if percent is None else Fraction(str(percent)),
        amount_off=terms["amounts"].get(currency, 0),
        products=None if terms["products"] is None else frozenset(terms["products"]),
    )


def spend(discounts: list[Json], invoice_id: str) -> None:
    """A draft uses them: what is good for one invoice reduces no other from now on."""
    for discount in discounts:
        if discount["_terms"]["duration"] == "once" and lasting(discount):
            db().put(discount | {"_spent": invoice_id})


def settle(invoice: Json) -> None:
    """The invoice is final: the discounts that it spent leave the subscription or the customer."""
    for discount in _spent_by(invoice):
        end(discount)


def restore(invoice: Json) -> None:
    """The draft is gone: what it spent is good again."""
    for discount in _spent_by(invoice):
        db().put(discount | {"_spent": None})


def _spent_by(invoice: Json) -> list[Json]:
    found = [db().get("discount", each["discount"]) for each in invoice["total_discount_amounts"]]
    return [each for each in found if each["_spent"] == invoice["id"]]


def end(discount: Json) -> None:
    """Take a discount off what it is on. Invoices keep naming it."""
    db().put(discount | {"_spent": discount["_spent"] or "ended"})
    customer = db().get("customer", discount["customer"])
    if (customer["discount"] or {}).get("id") == discount["id"]:
        change(customer, None, discount=None)
    sub = db().find("subscription", discount["subscription"])
    if sub is not None:
        db().put(_without(sub, discount["id"]))
    emit("customer.discount.deleted", discount)


def end_by_time(discount_id: str) -> None:
    """The months of a repeating coupon are over."""
    end(db().get("discount", discount_id))


def expire_coupon(coupon_id: str) -> None:
    """Nobody can redeem it from now on."""
    change(db().get("coupon", coupon_id), "coupon.updated", valid=False)


def expire_code(code_id: str) -> None:
    change(db().get("promotion_code", code_id), "promotion_code.updated", active=False)


def _without(sub: Json, id_: str) -> Json:
    data = sub["items"]["data"]
    items = [item | {"discounts": [each for each in item["discounts"] if each != id_]} for item in data]
    kept = [each for each in sub["discounts"] if each != id_]
    return sub | {"discounts": kept, "items": sub["items"] | {"data": items}}


def give_customer(customer: Json, coupon_id: str | None) -> Json:
    """Put a coupon on a customer, in place of the one that is there; None takes it away.

    The API of 2026-10-28.endive has no parameter for it; older versions had `coupon`. Emits
    customer.discount.created, updated or deleted, and no customer.updated.
    """
    known = db().find("discount", (customer["discount"] or {}).get("id"))
    if coupon_id is None:
        if known is not None:
            end(known)
        return db().get("customer", customer["id"])
    offered = offer(coupon_id, None, "")
    check(offered, Purchase(customer, customer["currency"]), "")
    if known is None:
        made = redeem(offered, {"customer": customer["id"]})
    else:
        made = db().put(unsaved(offered, {"customer": customer["id"]}))
        _count(db().get("coupon", coupon_id), "valid")
        db().put(known | {"_spent": "ended"})
        previous = difference(public(known), public(made))
        emit("customer.discount.updated", made, previous)
    return change(db().get("customer", customer["id"]), None, discount=public(made))
