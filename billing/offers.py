"""What is offered to one person on a check page: the price, the trial, and the one sentence that says it all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import checkout, prices
from billing.language import _, later
from billing.models import PastPrice, PlanPrice
from billing.money import format_money
from billing.plans import Plan, Price, Product
from billing.words import day

PAID = {
    "month": later(
        "{amount} today, then {amount} every month until you cancel. Cancel any time in Billing; you keep access "
        "until the end of the period you paid for."
    ),
    "year": later(
        "{amount} today, then {amount} every year until you cancel. Cancel any time in Billing; you keep access "
        "until the end of the period you paid for."
    ),
}
TRIAL = {
    "month": later("Nothing to pay today. {amount} on {day}, then every month until you cancel."),
    "year": later("Nothing to pay today. {amount} on {day}, then every year until you cancel."),
}
NO_CARD = later("Nothing to pay and no card needed. {plan} stops on {day} unless you add a card.")
# Where the trial's end brings an invoice, nothing stops, and saying so would be a surprise with a bill.
NO_CARD_BUT_A_BILL = {
    "month": later(
        "Nothing to pay and no card needed today. {amount} is due on {day}, then every month until you cancel."
    ),
    "year": later(
        "Nothing to pay and no card needed today. {amount} is due on {day}, then every year until you cancel."
    ),
}
EVERY = {
    "month": later("Every month, until you cancel"),
    "year": later("Every year, until you cancel"),
}


@dataclass(frozen=True)
class Offer:
    """A plan at a price for one person. ``amount``: what Stripe's price asks for all the seats (``quantity``), in minor
    units; ``price_id`` None: it is not at Stripe yet. ``trial_days``: 0 where there is no trial, or (``tried``) the
    person had theirs."""

    plan: Plan
    price: Price
    amount: int
    price_id: str | None
    trial_days: int = 0
    tried: bool = False
    quantity: int = 1

    @property
    def currency(self) -> str:
        return self.price.currency

    @property
    def interval(self) -> str:
        return self.price.interval or "month"

    @property
    def trial_end_behavior(self) -> str | None:
        """What the trial's end brings without a card; None where there is no trial, or it needs a card."""
        without = self.plan.payment_method_collection == "if_required"
        return self.plan.missing_payment_method if self.trial_days and without else None

    @property
    def seal(self) -> str:
        """What the check page promised, so that a form which promised something else is shown again, not obeyed."""
        ending = self.trial_end_behavior or "card"
        return f"{self.price.lookup_key}:{self.amount}:{self.quantity}:{self.trial_days}:{ending}"


def of(session: Session, user_id: int, plan: Plan, price: Price, quantity: int = 1) -> Offer:
    """What this person is offered now."""
    known = prices.sold(session, price)
    tried = bool(plan.trial_days) and not checkout.may_try(session, user_id)
    return Offer(
        plan,
        price,
        (known.amount if known else price.amount) * quantity,
        known.price_id if known else None,
        0 if tried else plan.trial_days,
        tried,
        quantity,
    )


def product_seal(session: Session, product: Product, price: Price) -> str:
    """What its check page promises; see ``Offer.seal``."""
    gives = ",".join(product.gives)
    return f"{price.lookup_key}:{prices.at_stripe(session, price).amount}:{product.credits}:{gives}"


def was_sold(session: Session, item: str, interval: str | None = None, currency: str | None = None) -> bool:
    """Whether this was for sale once: Stripe has or had a price for it, whatever the catalogue says."""
    for kept in (PlanPrice, PastPrice):
        sold = select(kept.lookup_key).where(kept.item == item)
        if interval is not None:
            sold = sold.where(kept.interval == interval)
        if currency is not None:
            sold = sold.where(kept.currency == currency)
        if session.execute(sold.limit(1)).first() is not None:
            return True
    return False


def terms(offer: Offer, now: datetime) -> str:
    """The one sentence beside the button: what is taken today, what later, and until when."""
    amount = format_money(offer.amount, offer.currency)
    if not offer.trial_days:
        return _(PAID[offer.interval], amount=amount)
    first = day(now + timedelta(days=offer.trial_days))
    if offer.trial_end_behavior is None:
        return _(TRIAL[offer.interval], amount=amount, day=first)
    if offer.trial_end_behavior == "create_invoice":
        return _(NO_CARD_BUT_A_BILL[offer.interval], amount=amount, day=first)
    return _(NO_CARD, plan=offer.plan.title, day=first)


def first_charge(offer: Offer, now: datetime) -> datetime | None:
    """When money is taken first, where that is not today and will be taken without another word of theirs."""
    return now + timedelta(days=offer.trial_days) if offer.trial_days else None


def every(offer: Offer) -> str:
    """How often the price is paid."""
    return _(EVERY[offer.interval])
