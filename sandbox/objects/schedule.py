"""subscription_schedule and its phases."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json, no_tax
from sandbox.objects.subscription import billing_mode


def schedule(created: int, customer: Json, phases: list[Json], given: Json) -> Json:
    """Not started yet. `given` may hold end_behavior, metadata and billing_mode."""
    return {
        "id": ids.dated("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": billing_mode(given.get("billing_mode") or "flexible"),
        "canceled_at": None,
        "completed_at": None,
        "created": created,
        "current_phase": None,
        "customer": customer["id"],
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": no_tax(),
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": None,
            "description": None,
            "invoice_settings": _invoice_settings(),
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": given.get("end_behavior") or "release",
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "pause_schedules": [],
        "phases": phases,
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": customer["test_clock"],
        "_expiring_sent": None,
    }


def _invoice_settings() -> Json:
    return {
        "account_tax_ids": None,
        "custom_fields": None,
        "days_until_due": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    }


def phase(start: int, end: int, items: list[Json], given: Json) -> Json:
    """`given` holds currency, and may hold description, discounts, metadata, proration_behavior, trial_end,
    collection_method and default_payment_method."""
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "automatic_tax": None,
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": given.get("collection_method"),
        "currency": given["currency"],
        "default_payment_method": given.get("default_payment_method"),
        "default_tax_rates": [],
        "description": given.get("description"),
        "discounts": given.get("discounts", []),
        "end_date": end,
        "invoice_settings": None,
        "items": items,
        "metadata": given.get("metadata", {}),
        "on_behalf_of": None,
        "proration_behavior": given.get("proration_behavior") or "create_prorations",
        "start_date": start,
        "transfer_data": None,
        "trial_end": given.get("trial_end"),
    }


def phase_item(price: str, quantity: int, metadata: Json) -> Json:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": metadata,
        "plan": price,
        "price": price,
        "quantity": quantity,
        "tax_rates": [],
    }
