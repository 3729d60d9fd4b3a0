"""Who sends which mail: each kind has one sender, by ``BILLING_EMAILS``, so that nobody gets a mail twice.

``portal``: Dunlin sends all. ``stripe``: what Stripe can send itself is Stripe's. ``off``: nobody is written to about
billing. Mails about an account, those to admins and the receipt of a withdrawal leave whatever is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

# The switches of Stripe's dashboard, and which kinds of ours say the same (docs/decisions/0029).
STRIPE: dict[str, str] = {
    "Successful payments": "receipt recovered one_off_receipt",
    "Refunds": "refund",
    "Failed payments": "dun1 dun2 dun3 dun4",
    "Payments to confirm": "action_required",
    "Trials that end": "trial_end",
    "Upcoming renewals": "renewal",
    "Expiring cards": "card_expiring",
}
WHERE = {"Successful payments": "Settings → Customer emails", "Refunds": "Settings → Customer emails"}
ELSEWHERE = "Settings → Billing → Subscriptions and emails"
# About billing, and no switch of Stripe's sends them.
ONLY_WE = (
    "dun5 cancel_set kept paused resuming resumed ended second_ended trial_start changed one_off_failed refund_failed"
).split()
# About the account, asked for by the person, or owed to them by law.
ALWAYS = (
    "code exists welcome reset pw_changed email_code email_taken email_changed email_undone export_ready"
    " withdraw_link withdrawn delete_asked delete_undone delete_stuck deleted"
).split()
ADMINS = "admin_alert admin_dispute admin_fraud_warning".split()

STRIPES = {kind: switch for switch, kinds in STRIPE.items() for kind in kinds.split()}
KINDS = frozenset({*STRIPES, *ONLY_WE, *ALWAYS, *ADMINS})


@dataclass(frozen=True)
class Switch:
    """One of Stripe's. ``turn``: “on”, “off”, or None where it is the operator's to choose."""

    name: str
    where: str
    kinds: tuple[str, ...]
    turn: str | None


def withheld(kind: str, chosen: str) -> str | None:
    """Why a mail of this kind is not ours to send, in the words of its row; None where it is."""
    if chosen == "stripe" and kind in STRIPES:
        return "Stripe sends this one (BILLING_EMAILS=stripe)"
    if chosen == "off" and (kind in STRIPES or kind in ONLY_WE):
        return "nobody is mailed about billing (BILLING_EMAILS=off)"
    return None


def switches(chosen: str) -> list[Switch]:
    """What to do with each of Stripe's switches, so that each mail has one sender. No API reads or sets them."""
    turn = {"portal": "off", "stripe": "on", "off": "off"}[chosen]
    return [
        Switch(
            name,
            WHERE.get(name, ELSEWHERE),
            tuple(kinds.split()),
            None if chosen == "portal" and not kinds else turn,
        )
        for name, kinds in STRIPE.items()
    ]


def said(chosen: str) -> str:
    """The sentence that tells an operator what to do at Stripe."""
    names = ", ".join(one.name.lower() for one in switches(chosen) if one.turn)
    if chosen == "stripe":
        return (
            f"BILLING_EMAILS=stripe: switch Stripe’s own mails on: {names}. In test mode Stripe sends none."
        )
    who = "Dunlin mails people" if chosen == "portal" else "nobody is mailed about billing"
    return f"BILLING_EMAILS={chosen}: {who}; switch Stripe’s own mails off: {names}."
