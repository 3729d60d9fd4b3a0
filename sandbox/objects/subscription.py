"""subscription and subscription_item."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.catalogue import plan
from sandbox.objects.parts import Json, listing, no_tax


def subscription(created: int, customer: Json, lines: list[tuple[Json, int]], given: Json) -> Json:
    """An active subscription to (price, quantity) pairs.

    `given` holds start, end (of the first period) and may hold trial_end, default_payment_method, metadata,
    description, missing_payment_method, trial_anchor, anchor, anchor_config, billing_mode, collection_method,
    days_until_due, save_default_payment_method, schedule, and item_metadata (one for each pair).
    """
    id_ = ids.dated("sub")
    trial_end = given.get("trial_end")
    items = [item(id_, created, price, count, given["start"], given["end"]) for price, count in lines]
    for each, metadata in zip(items, given.get("item_metadata", []), strict=False):
        each["metadata"] = metadata
    return {
        "id": id_,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": no_tax(),
        "billing_cycle_anchor": given.get("anchor") or trial_end or given["start"],
        "billing_cycle_anchor_config": given.get("anchor_config"),
        "billing_mode": billing_mode(given.get("billing_mode") or "flexible"),
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": given.get("collection_method") or "charge_automatically",
        "created": created,
        "currency": given["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": given.get("days_until_due"),
        "default_payment_method": given.get("default_payment_method"),
        "default_source": None,
        "default_tax_rates": [],
        "description": given.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": listing(f"/v1/subscription_items?subscription={id_}", items, total=True),
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": given.get("metadata", {}),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": given.get("save_default_payment_method") or "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": given.get("schedule"),
        "start_date": given["start"],
        "status": "trialing" if trial_end else "active",
        "status_details": None,
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": given.get("trial_anchor"),
                "missing_payment_method": given.get("missing_payment_method") or "create_invoice",
            }
        },
        "trial_start": given["start"] if trial_end else None,
    }


def item(subscription_id: str, created: int, price: Json, quantity: int, start: int, end: int) -> Json:
    shown = {key: value for key, value in price.items() if not key.startswith("_")}
    return {
        "id": ids.new("si", 14),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": created,
        "current_period_end": end,
        "current_period_start": start,
        "current_trial": None,
        "discounts": [],
        "metadata": {},
        "plan": plan(price),
        "price": shown,
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def billing_mode(type_: str) -> Json:
    if type_ == "classic":
        return {"flexible": None, "type": "classic"}
    return {"flexible": {"proration_discounts": "included"}, "type": "flexible"}


def pending_update(expires_at: int, items: list[Json], given: Json) -> Json:
    """A change that waits for its invoice to be paid. `given` may hold billing_cycle_anchor and trial_end."""
    return {
        "billing_cycle_anchor": given.get("billing_cycle_anchor"),
        "cancel_at_period_end": None,
        "discount": None,
        "discounts": None,
        "expires_at": expires_at,
        "metadata": None,
        "subscription_items": items,
        "trial_end": given.get("trial_end"),
        "trial_from_plan": None,
    }


def paused(reason: str, at: int) -> Json:
    """`status_details` of a paused subscription; `reason` is Stripe's word."""
    return {"paused": {"subscription": {"type": reason}, "transitioned_at": at, "type": "subscription"}}
