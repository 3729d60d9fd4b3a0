"""invoice, its lines, and invoice_payment."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json, listing, no_tax


def invoice(created: int, customer: Json, subscription: Json | None, lines: list[Json], given: Json) -> Json:
    """A draft whose sums are still to be written.

    `given` holds account {name, country}, billing_reason, currency, period (start, end), and what there is of
    auto_advance, collection_method, custom_fields, default_payment_method, description, discounts (ids), due_date,
    effective_at, footer, id, metadata, number, starting_balance, statement_descriptor.
    """
    id_ = given.get("id") or ids.dated("in")
    for line in lines:
        line["invoice"] = id_
    return {
        "id": id_,
        "object": "invoice",
        "account_country": given["account"]["country"],
        "account_name": given["account"]["name"],
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": given.get("auto_advance", True),
        "automatic_tax": {**no_tax(), "provider": None, "status": None},
        "automatically_finalizes_at": None,
        "billing_reason": given["billing_reason"],
        "collection_method": given.get("collection_method") or "charge_automatically",
        "created": created,
        "currency": given["currency"],
        "custom_fields": given.get("custom_fields"),
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": given.get("default_payment_method"),
        "default_source": None,
        "default_tax_rates": [],
        "description": given.get("description"),
        "discounts": given.get("discounts", []),
        "due_date": given.get("due_date"),
        "effective_at": given.get("effective_at"),
        "ending_balance": None,
        "footer": given.get("footer"),
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listing(f"/v1/invoices/{id_}/lines", lines, total=True),
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "next_payment_attempt": None,
        "number": given.get("number"),
        "on_behalf_of": None,
        "parent": _parent(subscription),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": given["period"][1],
        "period_start": given["period"][0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": given.get("starting_balance", 0),
        "statement_descriptor": given.get("statement_descriptor"),
        "status": "draft",
        "status_details": None,
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": customer["test_clock"],
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": created,
        "_notice_sent": False,
        "_overdue": False,
        "_token": None,
        "_payment_intent": None,
        "_hard_declined": None,
    }


def _parent(subscription: Json | None) -> Json | None:
    if subscription is None:
        return None
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def line(subscription: Json, item: Json, description: str, amount: int, period: tuple[int, int]) -> Json:
    """A full-period line of a subscription item; `period` is (start, end)."""
    price = item["price"]
    given = {
        "amount": amount,
        "currency": subscription["currency"],
        "description": description,
        "discounts": list(item["discounts"]),
        "metadata": subscription["metadata"],
        "parent": _of_subscription_item(subscription["id"], item["id"], {}),
        "period": {"end": period[1], "start": period[0]},
        "price_details": {"price": price["id"], "product": price["product"]},
        "quantity": item["quantity"],
        "subscription": subscription["id"],
        "unit_amount_decimal": str(price["unit_amount"]),
    }
    return _line(given)


def item_line(item: Json) -> Json:
    """The line of an invoice item; a proration's says which subscription item it is about."""
    source = (item["parent"] or {}).get("subscription_details") or {}
    subscription = source.get("subscription")
    if source.get("subscription_item"):
        parent = _of_subscription_item(subscription, source["subscription_item"], item)
    else:
        details = {"invoice_item": item["id"], **_proration(item), "subscription": subscription}
        parent = {
            "invoice_item_details": details,
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
    given = {
        **{
            key: item[key]
            for key in ("amount", "currency", "description", "discountable", "metadata", "period")
        },
        "discounts": list(item["discounts"]),
        "parent": parent,
        "price_details": item["pricing"]["price_details"],
        "quantity": item["quantity"],
        "subscription": subscription,
        "unit_amount_decimal": item["pricing"]["unit_amount_decimal"],
    }
    return _line(given)


def _of_subscription_item(subscription: str | None, item_id: str, source: Json) -> Json:
    """`source` is the invoice item in between, empty for a plain period."""
    details = {
        "invoice_item": source.get("id"),
        **_proration(source),
        "subscription": subscription,
        "subscription_item": item_id,
    }
    return {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }


def _proration(source: Json) -> Json:
    credited = (source.get("proration_details") or {}).get("credited_items") or {}
    return {
        "proration": source.get("proration", False),
        "proration_details": {"credited_items": credited.get("invoice_line_item_details")},
    }


def _line(given: Json) -> Json:
    return {
        "id": ids.dated("il"),
        "object": "line_item",
        "amount": given["amount"],
        "currency": given["currency"],
        "description": given["description"],
        "discount_amounts": [],
        "discountable": given.get("discountable", True),
        "discounts": given["discounts"],
        "invoice": None,
        "livemode": False,
        "metadata": given["metadata"],
        "parent": given["parent"],
        "period": given["period"],
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": given["price_details"],
            "type": "price_details",
            "unit_amount_decimal": given["unit_amount_decimal"],
        },
        "quantity": given["quantity"],
        "quantity_decimal": str(given["quantity"]),
        "subscription": given["subscription"],
        "subtotal": given["amount"],
        "taxes": [],
    }


def invoice_payment(created: int, invoice: Json, payment_intent: str) -> Json:
    return {
        "id": ids.dated("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_remaining"],
        "created": created,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment_intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
        "_customer": invoice["customer"],
    }
