"""coupon, promotion_code, and discount: the application of one of them."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def coupon(created: int, given: Json) -> Json:
    """A coupon of `percent_off` (a number) or `amount_off` (minor units of `currency`)."""
    return {
        "id": given.get("id") or ids.random_text(8),
        "object": "coupon",
        "amount_off": given.get("amount_off"),
        "created": created,
        "currency": given.get("currency"),
        "duration": given["duration"],
        "duration_in_months": given.get("duration_in_months"),
        "livemode": False,
        "max_redemptions": given.get("max_redemptions"),
        "metadata": given.get("metadata", {}),
        "name": given.get("name"),
        "percent_off": given.get("percent_off"),
        "redeem_by": given.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
        "_currency_options": given.get("currency_options", {}),
        "_products": given.get("products"),
    }


def promotion_code(created: int, coupon_id: str, given: Json) -> Json:
    restrictions = given.get("restrictions") or {}
    return {
        "id": ids.dated("promo"),
        "object": "promotion_code",
        "active": given.get("active", True),
        "code": given.get("code") or ids.random_text(8).upper(),
        "created": created,
        "customer": given.get("customer"),
        "customer_account": None,
        "expires_at": given.get("expires_at"),
        "livemode": False,
        "max_redemptions": given.get("max_redemptions"),
        "metadata": given.get("metadata", {}),
        "promotion": {"coupon": coupon_id, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": restrictions.get("minimum_amount"),
            "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
        },
        "times_redeemed": 0,
        "_minimums": restrictions.get("minimums", {}),
    }


def discount(start: int, end: int | None, coupon: Json, promotion_code: str | None, target: Json) -> Json:
    """A redeemed coupon. It keeps the coupon's terms: deleting or changing the coupon later alters nothing.

    `target` names what it is applied to: customer, and one of checkout_session, subscription,
    subscription_item, invoice, invoice_item.
    """
    return {
        "id": ids.dated("di"),
        "object": "discount",
        "checkout_session": target.get("checkout_session"),
        "customer": target.get("customer"),
        "customer_account": None,
        "end": end,
        "invoice": target.get("invoice"),
        "invoice_item": target.get("invoice_item"),
        "promotion_code": promotion_code,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": start,
        "subscription": target.get("subscription"),
        "subscription_item": target.get("subscription_item"),
        "_terms": {
            "amounts": {
                **{currency: each["amount_off"] for currency, each in coupon["_currency_options"].items()},
                **({coupon["currency"]: coupon["amount_off"]} if coupon["currency"] else {}),
            },
            "duration": coupon["duration"],
            "percent_off": coupon["percent_off"],
            "products": coupon["_products"],
        },
        "_spent": None,
    }
