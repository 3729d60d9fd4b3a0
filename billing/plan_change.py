"""Changing to another plan or interval: whether it can be, when, what it costs to the unit, and what Stripe is asked.

What costs more begins at once and only if it is paid; what costs less begins when the paid period ends; a trial
changes free of charge. The quote is Stripe's own preview at one moment (``proration_date``), and the change is asked
for at that same moment, so that the charge is the quote.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from billing import prices, stripe_client
from billing.clock import from_stripe, now
from billing.models import PlanPrice, Subscription
from billing.payloads import Object, first_item, ref
from billing.write_request import WriteRequest

Timing = Literal["now", "period_end", "trial"]
MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True)
class Quote:
    """What a change costs. Amounts are minor units of ``currency``; ``moment`` and ``then_on`` are Unix seconds.

    ``due`` is charged now, after ``from_credit`` was taken off; ``credit`` is what stays for later invoices;
    ``then`` is each later payment.
    """

    subscription: str
    item: str
    price: str
    quantity: int
    timing: Timing
    moment: int
    currency: str
    due: int
    from_credit: int
    credit: int
    then: int
    interval: str
    then_on: int
    lines: tuple[tuple[str, int], ...] = ()

    @property
    def terms(self) -> dict[str, Any]:
        """What somebody agrees to by pressing the button: everything but the wording of the lines."""
        terms = asdict(self)
        del terms["lines"]
        return terms


def obstacle(found: Object, price: PlanPrice) -> str | None:
    """Why Stripe's subscription can't change to this price now, in a sentence for the person; None where it can."""
    item = first_item(found)
    present = item.get("price") or {}
    if found["status"] not in ("active", "trialing"):
        return "A plan can be changed once its payments are in order."
    if found.get("pause_collection"):
        return "Payments are paused. The plan can be changed when they have restarted."
    if _scheduled(found):
        return "Your plan is set to change already. Keep your present plan first, then change it."
    if found.get("pending_update"):
        return "A change of your plan waits for its payment. Confirm that payment first, or wait until it lapses."
    if found.get("cancel_at") or found.get("cancel_at_period_end"):
        return "Your plan is set to end. Keep it first, then change it."
    if len((found.get("items") or {}).get("data") or []) != 1 or present.get("unit_amount") is None:
        return "Your plan was made to measure. Write to us, and we change it together."
    if found.get("collection_method") != "charge_automatically":
        return "You pay by invoice. Write to us, and we change your plan together."
    if present.get("currency") != price.currency:
        return f"Your account is billed in {str(present.get('currency')).upper()}, and this price is not."
    if present.get("id") == price.price_id:
        return "That is the plan you have."
    return None


def timing(found: Object, price: PlanPrice) -> Timing:
    """When the change begins. A longer interval is paid now; else what is worth more by the month begins now."""
    if found["status"] == "trialing":
        return "trial"
    present = first_item(found)["price"]
    old = MONTHS.get((present.get("recurring") or {}).get("interval", ""), 1)
    new = MONTHS.get(price.interval or "", 1)
    if present.get("product") == price.product_id and old != new:
        return "now" if new > old else "period_end"
    return "now" if price.amount * old > present["unit_amount"] * new else "period_end"


def moment_of(found: Object) -> int:
    """Stripe's present second: that of the test clock where the subscription is on one."""
    clock = ref(found.get("test_clock"))
    return int(stripe_client.get_test_clock(clock)["frozen_time"] if clock else now().timestamp())


def quote(found: Object, price: PlanPrice, moment: int) -> Quote:
    """Ask Stripe what the change costs at this moment. Raises StripeError: then nothing may be sold."""
    item = first_item(found)
    when, quantity = timing(found, price), item.get("quantity") or 1
    due, from_credit, credit = 0, 0, 0
    lines: tuple[tuple[str, int], ...] = ()
    then_on = item["current_period_end"] if when != "trial" else found["trial_end"]
    if when == "now":
        preview = stripe_client.preview_invoice(
            {
                "customer": ref(found["customer"]),
                "subscription": found["id"],
                "subscription_details": {
                    "items": [_item(item["id"], price.price_id, quantity)],
                    "proration_behavior": "always_invoice",
                    "proration_date": moment,
                },
            }
        )
        data = preview["lines"]["data"]
        due, total = preview["amount_due"], preview["total"]
        from_credit, credit = max(0, total - due) if total > 0 else 0, max(0, -total)
        lines = tuple((one["description"] or "", one["amount"]) for one in data)
        then_on = max(one["period"]["end"] for one in data if one["amount"] >= 0)
    return Quote(
        found["id"], item["id"], price.price_id, quantity, when, moment, price.currency, due,
        from_credit, credit,
        price.amount * quantity, price.interval or "", then_on, lines,
    )  # fmt: skip


def change_request(quoted: Quote, once: str, user_id: int) -> WriteRequest:
    """The write that changes the plan now: for free in a trial, else only if what was quoted is paid."""
    params: dict[str, Any] = {"items": [_item(quoted.item, quoted.price, quoted.quantity)]}
    if quoted.timing == "trial":
        params["proration_behavior"] = "none"
    else:
        params |= {
            "proration_behavior": "always_invoice",
            "proration_date": quoted.moment,
            "payment_behavior": "pending_if_incomplete",
        }
    name = f"change:{quoted.subscription}:{once}"
    return WriteRequest("subscription.update", name, params, quoted.subscription, user_id)


def schedule_request(quoted: Quote, once: str, user_id: int) -> WriteRequest:
    """The write that puts the subscription on a schedule, which so far only says what is already so."""
    params = {"from_subscription": quoted.subscription}
    name = f"change-schedule:{quoted.subscription}:{once}"
    return WriteRequest("subscription_schedule.create", name, params, user_id=user_id)


def phases_request(schedule: Object, quoted: Quote, once: str, user_id: int) -> WriteRequest:
    """The write that adds the next phase: the new price when the paid period is over, without proration."""
    present = schedule["phases"][0]
    kept = [{"price": ref(one["price"]), "quantity": one["quantity"]} for one in present["items"]]
    phases = [
        {"items": kept, "start_date": present["start_date"], "end_date": present["end_date"]},
        {
            "items": [{"price": quoted.price, "quantity": quoted.quantity}],
            "proration_behavior": "none",
            "duration": {"interval": quoted.interval, "interval_count": 1},
        },
    ]
    params = {"end_behavior": "release", "proration_behavior": "none", "phases": phases}
    name = f"change-phases:{quoted.subscription}:{once}"
    return WriteRequest("subscription_schedule.update", name, params, schedule["id"], user_id)


def leave_request(schedule: Object, user_id: int) -> WriteRequest:
    """The write that takes the subscription off a schedule, whatever that would have done."""
    name = f"leave-schedule:{schedule['id']}"
    return WriteRequest("subscription_schedule.release", name, target=schedule["id"], user_id=user_id)


def void_request(invoice: str, user_id: int) -> WriteRequest:
    """The write that gives up a change whose payment was declined: Stripe drops the pending update with its invoice."""
    return WriteRequest("invoice.void", f"change-void:{invoice}", target=invoice, user_id=user_id)


def coming(session: Session, found: Object) -> dict[str, Any] | None:
    """What the subscription will become: ``scheduled`` at a date, or ``pending`` until its payment is made.

    A schedule that only goes on with what is already so is no change.
    """
    pending = found.get("pending_update") or {}
    if pending.get("subscription_items"):
        item = pending["subscription_items"][0]
        return _coming(session, "pending", item, pending.get("expires_at"))
    phase = _scheduled(found)
    return _coming(session, "scheduled", phase["items"][0], phase["start_date"]) if phase else None


def _scheduled(found: Object) -> Object | None:
    """The next phase of the subscription's schedule, where it brings another price or quantity."""
    schedule = found.get("schedule")
    if not isinstance(schedule, dict) or not schedule.get("current_phase"):
        return None
    end = schedule["current_phase"]["end_date"]
    after = [phase for phase in schedule["phases"] if phase["start_date"] >= end and phase["items"]]
    item = first_item(found)
    as_it_is = (ref(item.get("price")), item.get("quantity"))
    next_ = after[0]["items"][0] if after else item
    return None if (ref(next_.get("price")), next_.get("quantity")) == as_it_is else after[0]


def _coming(session: Session, kind: str, item: Object, at: int | None) -> dict[str, Any]:
    price_id = ref(item.get("price"))
    known = prices.known(session, price_id)
    quantity = item.get("quantity") or 1
    return {
        "kind": kind,
        "price": price_id,
        "plan": known.item if known else None,
        "amount": known.amount * quantity if known else None,
        "currency": known.currency if known else None,
        "interval": known.interval if known else None,
        "at": at,
    }


def at(row: Subscription) -> datetime | None:
    """When the change that is coming comes."""
    return from_stripe((row.coming or {}).get("at"))


def _item(item: str, price: str, quantity: int) -> dict[str, Any]:
    return {"id": item, "price": price, "quantity": quantity}
