"""The words of each standing: tag, sentence, body, the one action, links and the Line.

``standing`` decides; this module only says it, with ``sentences``, ``actions`` and ``line``. The sentence is the
page's h1, and stands in mails, on the admin's page and in ``flask why``, so nobody is told two things.
"""

from __future__ import annotations

from dataclasses import dataclass

from billing import actions, sentences
from billing.actions import CHOOSE, Action
from billing.language import _, later
from billing.line import Mark, line
from billing.standing import Standing

__all__ = ["CHOOSE", "TAGS", "Action", "Mark", "Voice", "sentence", "speak"]


@dataclass(frozen=True)
class Voice:
    """What a page shows of a standing."""

    code: str
    tag: str
    glyph: str
    tone: str
    sentence: str
    body: str
    primary: Action
    links: tuple[Action, ...]
    line: tuple[Mark, ...]
    access: bool


# Of each code: the word, the glyph and the tone.
TAGS = {
    "comp": (later("Active"), "●", "good"),
    "none": (later("No plan"), "○", "rest"),
    "first_confirming": (later("Confirming"), "◌", "wait"),
    "first_action": (later("Confirm payment"), "▲", "look"),
    "first_failed": (later("Not paid"), "▲", "look"),
    "first_lapsed": (later("Lapsed"), "○", "rest"),
    "disputed_hold": (later("On hold, disputed"), "■", "stop"),
    "unpaid": (later("On hold"), "■", "stop"),
    "paused_trial": (later("Paused"), "‖", "wait"),
    "paused_payment": (later("Paused, unpaid"), "‖", "stop"),
    "paused_asked": (later("Paused"), "‖", "wait"),
    "paused_other": (later("Paused"), "‖", "wait"),
    "action_required": (later("Confirm payment"), "▲", "look"),
    "past_due": (later("Payment problem"), "▲", "look"),
    "past_due_hold": (later("On hold"), "■", "stop"),
    "trial_ending_off": (later("Trial, ending"), "◐", "rest"),
    "trialing_no_card": (later("Trial, no card"), "◐", "look"),
    "trialing": (later("Trial"), "◐", "good"),
    "canceling": (later("Ending"), "◐", "rest"),
    "collection_paused": (later("Payments paused"), "‖", "wait"),
    "disputed": (later("Payment disputed"), "▲", "look"),
    "changing": (later("Active"), "●", "good"),
    "active": (later("Active"), "●", "good"),
    "ended": (later("Ended"), "○", "rest"),
    "ended_unpaid": (later("Ended"), "■", "rest"),
    "ended_disputed": (later("Ended"), "■", "rest"),
    "unknown": (later("Checking"), "◌", "wait"),
}


def speak(s: Standing, *, product: Action, contact: str) -> Voice:
    """The voice of a standing. ``product``: where the thing that was bought is; ``contact``: a mailto."""
    tag, glyph, tone = TAGS.get(s.code, TAGS["unknown"])
    first, body = sentences.of(s)
    button = actions.primary(s, product, Action(_("Contact us"), contact))
    return Voice(s.code, _(tag), glyph, tone, first, body, button, actions.links(s), line(s), s.access)


def sentence(s: Standing) -> str:
    """The sentence alone, as everybody reads it."""
    return sentences.of(s)[0]
