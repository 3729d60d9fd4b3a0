"""Why a plan or its seats can't be changed now, in a sentence for the person. What to do first, the page offers."""

from __future__ import annotations

from dataclasses import dataclass

from billing import plan_change
from billing.language import _
from billing.payloads import Object, first_item


@dataclass(frozen=True)
class Obstacle:
    """``kind``: a stable word, from which the page takes the next step; ``sentence``: the reason."""

    kind: str
    sentence: str


def of_state(found: Object) -> Obstacle | None:
    """Why Stripe's subscription can't be changed at all now; None where it can."""
    if found["status"] == "paused" or found.get("pause_collection"):
        sentence = _("Payments are paused. The plan can be changed when they have restarted.")
        return Obstacle("paused", sentence)
    if found["status"] not in ("active", "trialing"):
        return Obstacle("unpaid", _("A plan can be changed once its payments are in order."))
    if found.get("cancel_at") or found.get("cancel_at_period_end"):
        return Obstacle("canceling", _("Your plan is set to end. Keep it first, then change it."))
    if found.get("pending_update"):
        sentence = _(
            "A change of your plan waits for its payment. Confirm that payment first, or wait until it lapses."
        )
        return Obstacle("pending", sentence)
    if plan_change.scheduled(found):
        sentence = _("Your plan is set to change already. Keep your present plan first, then change it.")
        return Obstacle("scheduled", sentence)
    return _by_hand(found)


def _by_hand(found: Object) -> Obstacle | None:
    """What only a person of ours can change: no page could quote it to the unit."""
    items = (found.get("items") or {}).get("data") or []
    if len(items) != 1 or (items[0].get("price") or {}).get("unit_amount") is None:
        return Obstacle(
            "measured", _("Your plan was made to measure. Write to us, and we change it together.")
        )
    if found.get("collection_method") != "charge_automatically":
        return Obstacle("invoiced", _("You pay by invoice. Write to us, and we change your plan together."))
    return None


def of_price(found: Object, currency: str) -> Obstacle | None:
    """Why what has this price can't be had: Stripe bills a customer in one currency."""
    present = (first_item(found).get("price") or {}).get("currency")
    if present == currency:
        return None
    sentence = _(
        "Your account is billed in {currency}, and this plan has no price in {currency}.",
        currency=str(present).upper(),
    )
    return Obstacle("currency", sentence)


def same() -> Obstacle:
    """What is wanted is what there is."""
    return Obstacle("same", _("That is the plan you have."))


def busy() -> Obstacle:
    """Another press, of another tab, is at it."""
    sentence = _("Another change of your plan is being made at this moment. See what becomes of it first.")
    return Obstacle("busy", sentence)
