"""What to do first where a plan can't be changed: the one action that the person's standing offers for it."""

from __future__ import annotations

from billing import voice
from billing.config import Config
from billing.language import _
from billing.obstacles import Obstacle
from billing.standing import Standing
from billing.voice import Action

# Where the step of each kind of obstacle leads; the words are those of the billing page.
STEPS = {"paused": "/billing/unpause", "canceling": "/billing/resume", "scheduled": "/billing/stay"}
BY_HAND = ("measured", "invoiced")


def after(why: Obstacle, standing: Standing, config: Config) -> Action:
    """The next step: what the billing page offers and leads on, else a way to us, else the billing page itself."""
    contact = Action(_("Contact us"), f"mailto:{config.support_email}")
    if why.kind in BY_HAND:
        return contact
    if why.kind == "currency":
        return Action(_("See all plans"), "/plans")
    if why.kind == "no_seats":
        return Action(_("Change plan"), "/plans")
    wanted = STEPS.get(why.kind)
    if why.kind in ("unpaid", "pending") and standing.facts.owed_invoice:
        wanted = f"/invoices/{standing.facts.owed_invoice}/open"
    said = voice.speak(standing, product=Action(config.brand_name, "/app"), contact=contact.href)
    offered = [one for one in (said.primary, *said.links) if one.href == wanted]
    return offered[0] if offered else Action(_("Go to billing"), "/billing")
