"""What a change of the plan or of its seats costs, to the unit: Stripe's own previews, and nothing of our reckoning.

The quote is made at one moment (``proration_date``), and the change is asked for at that same moment, so that the
charge is the quote. What comes after it is Stripe's preview as well, with the discounts that will be left then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from billing import previews, stripe_reads
from billing.models import PlanPrice
from billing.payloads import Object, first_item, ref
from billing.previews import Part

Timing = Literal["now", "period_end", "trial"]
MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True)
class Quote:
    """What a change costs. Amounts are minor units of ``currency``; times are Unix seconds.

    ``due`` is charged now; ``then`` on ``then_on`` and at each later ``interval``, or ``later`` once the discount has
    ended. ``balance``: what the customer's account has before it (below 0: a credit). ``period_end``: of the
    present period. ``discounts``: those of the subscription that are left on ``then_on``.
    """

    subscription: str
    item: str
    price: str
    quantity: int
    had: tuple[str, int]
    timing: Timing
    moment: int
    currency: str
    then: int
    then_on: int
    interval: str
    period_end: int
    due: int = 0
    later: int | None = None
    balance: int = 0
    discounts: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def terms(self) -> dict[str, Any]:
        """What somebody agrees to by pressing the button, as JSON keeps it: everything but the single lines."""
        terms = asdict(self)
        del terms["parts"]
        # Another interval begins anew at the second of the change: what is agreed to is its day.
        terms["then_on"] = datetime.fromtimestamp(self.then_on, UTC).date().isoformat()
        return {**terms, "had": list(self.had), "discounts": list(self.discounts)}

    def sum_of(self, kind: str) -> int:
        """All parts of a kind together, in minor units."""
        return sum(part.amount for part in self.parts if part.kind == kind)


def timing(found: Object, price: PlanPrice, quantity: int) -> Timing:
    """When the change begins. A longer interval is paid now; else what is worth more by the month begins now."""
    if found["status"] == "trialing":
        return "trial"
    item = first_item(found)
    present = item["price"]
    old = MONTHS.get((present.get("recurring") or {}).get("interval", ""), 1)
    new = MONTHS.get(price.interval or "", 1)
    if present.get("product") == price.product_id and old != new:
        return "now" if new > old else "period_end"
    before = present["unit_amount"] * (item.get("quantity") or 1)
    return "now" if price.amount * quantity * old > before * new else "period_end"


def quote(found: Object, price: PlanPrice, quantity: int, moment: int) -> Quote:
    """Ask Stripe what the change costs at this moment. Raises StripeError: then nothing may be sold."""
    item, when = first_item(found), timing(found, price, quantity)
    ends = item["current_period_end"]
    wanted = {"items": [{"id": item["id"], "price": price.price_id, "quantity": quantity}]}
    today: Object | None = None
    then_on = found["trial_end"] if when == "trial" else ends
    if when == "now":
        asked = {**wanted, "proration_behavior": "always_invoice", "proration_date": moment}
        today = previews.ask(found, asked)
        charges = [line for line in previews.lines(today) if previews.price_of(line) == price.price_id]
        then_on = max([line["period"]["end"] for line in charges if line["amount"] >= 0], default=ends)
    own, discounts = _discounts(found)
    left = [one for one in discounts if _reduces(one, then_on, today)]
    lasting = [one for one in left if _lasts(one)]
    after = {**wanted, "proration_behavior": "none"}
    next_ = previews.ask(found, after, None if left == discounts else left)
    later = None if lasting == left else previews.ask(found, after, lasting)
    return Quote(
        subscription=found["id"],
        item=item["id"],
        price=price.price_id,
        quantity=quantity,
        had=(ref(item.get("price")) or "", item.get("quantity") or 1),
        timing=when,
        moment=moment,
        currency=price.currency,
        then=previews.of_a_period(next_, price.price_id),
        then_on=then_on,
        interval=price.interval or "",
        period_end=ends,
        due=today["amount_due"] if today else 0,
        later=previews.of_a_period(later, price.price_id) if later else None,
        balance=next_["starting_balance"],
        discounts=tuple(one["id"] for one in left) if own else (),
        parts=tuple(previews.parts(today, price.price_id)) if today else (),
    )


def _discounts(found: Object) -> tuple[bool, list[Object]]:
    """What reduces its invoices, and whether that is its own: else it is the customer's."""
    customer = found.get("customer")
    of_customer = customer.get("discount") if isinstance(customer, dict) else None
    if not found.get("discounts") and not of_customer:
        return False, []
    seen = stripe_reads.get_discounts(found["id"])
    own = [one for one in seen.get("discounts") or [] if isinstance(one, dict)]
    return bool(own), own or [seen["customer"]["discount"]]


def _reduces(discount: Object, then_on: int, today: Object | None) -> bool:
    """Whether it still reduces the invoice of that moment; one that is good once may be used up by today's."""
    if discount.get("end") is not None:
        return bool(discount["end"] > then_on)
    used = [one["discount"] for one in (today or {}).get("total_discount_amounts") or [] if one["amount"]]
    return _lasts(discount) or discount["id"] not in used


def _lasts(discount: Object) -> bool:
    coupon = (discount.get("source") or {}).get("coupon")
    once = isinstance(coupon, dict) and coupon["duration"] == "once"
    return discount.get("end") is None and not once
