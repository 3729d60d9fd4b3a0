"""What an answer stands on: the facts that our rows say, and the policy that the operator chose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.config import Config


@dataclass(frozen=True)
class Facts:
    """What our rows say, with nothing of the database in it. Times are aware UTC.

    Amounts, plans, cards and texts are written for people, in the locale that was spoken when they were gathered.
    ``status`` None: no subscription ever. Where Stripe uses a word that we don't know, ``known`` and ``known_plan``
    are the last status and plan that we knew, until ``known_at``. ``comp_until``: an admin gave access until then,
    and by the database's clock it is not over. ``seats``: the plan is sold by the seat,
    and there are ``quantity`` of them. ``change``: another plan is coming, ``scheduled`` for ``change_at``,
    or ``pending`` until its payment is made. ``processing``: the first payment is a bank debit that is under way;
    ``never_paid``: it is not there, be it on its way or failed, though Stripe has begun the subscription.
    ``resumes_at``: when a pause that was asked for ends by itself. ``fetched_at``: when Stripe was last asked.
    """

    status: str | None = None
    plan: str | None = None
    plan_title: str = "your plan"
    price: str | None = None
    interval: str | None = None
    quantity: int = 1
    seats: bool = False
    status_reason: str | None = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    trial_end_behavior: str | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    created: datetime | None = None
    cancellation_reason: str | None = None
    pause_behavior: str | None = None
    pause_resumes_at: datetime | None = None
    resumes_at: datetime | None = None
    card: str | None = None
    by_invoice: bool = False
    change: str | None = None
    change_to: str | None = None
    change_price: str | None = None
    change_quantity: int | None = None
    change_at: datetime | None = None
    first_failed_at: datetime | None = None
    owed: str | None = None
    owed_invoice: str | None = None
    owed_number: str | None = None
    due_at: datetime | None = None
    needs_action: bool = False
    processing: bool = False
    never_paid: bool = False
    decline_text: str | None = None
    retry_text: str | None = None
    will_retry: bool = False
    next_attempt: datetime | None = None
    last_paid: str | None = None
    last_paid_at: datetime | None = None
    disputed: str | None = None
    disputed_at: datetime | None = None
    disputed_paid_at: datetime | None = None
    comp_plan: str | None = None
    comp_title: str | None = None
    comp_since: datetime | None = None
    comp_until: datetime | None = None
    known: str | None = None
    known_plan: str | None = None
    known_at: datetime | None = None
    fetched_at: datetime | None = None
    unreachable: bool = False


@dataclass(frozen=True)
class Policy:
    """What the operator decides. Days are whole days; ``keep_data_days`` 0: nothing is said of it."""

    grace_days: int = 14
    hold_while_disputed: bool = False
    access_while_paused: bool = False
    access_while_processing: bool = False
    access_while_collection_paused: bool = True
    keep_data_days: int = 90
    may_pause: bool = True
    fail_open: timedelta = timedelta(hours=72)

    @classmethod
    def of(cls, config: Config) -> Policy:
        """As the settings have it (``docs/settings.md``)."""
        return cls(
            grace_days=config.grace_days,
            hold_while_disputed=not config.access_while_disputed,
            access_while_paused=config.access_while_paused,
            access_while_processing=config.access_while_processing,
            access_while_collection_paused=config.access_while_collection_paused,
            keep_data_days=config.keep_data_days,
            may_pause=config.pause_months > 0,
            fail_open=timedelta(hours=config.fail_open_hours),
        )


@dataclass(frozen=True)
class Rule:
    """One line of the reasoning: what was asked, what was found, and whether it decided."""

    rule: str
    value: str
    result: str
    deciding: bool = False
