"""May this person in, and in which words: the whole table, what comes first, and values we don't know."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import became, declines, particulars, sentences, standing, tags, voice
from billing.models import Invoice
from billing.standing import Facts, Policy, Standing

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FAILED = datetime(2026, 11, 20, 8, tzinfo=UTC)
LATER = datetime(2026, 12, 3, 9, tzinfo=UTC)
PRODUCT = voice.Action("Go to Acme", "/app")
CONTACT = "mailto:help@acme.example"

PRO = Facts(
    status="active", plan="pro", plan_title="Pro", price="€29.00", interval="month", card="Visa ending 4242",
    current_period_end=LATER, created=NOW - timedelta(days=21), fetched_at=NOW - timedelta(minutes=2),
)  # fmt: skip
OWING = replace(
    PRO, status="past_due", first_failed_at=FAILED, owed="€29.00", owed_invoice="in_1", owed_number="A1-0002",
    decline_text="The card has expired.", retry_text="We’ll try again on 27 November 2026.",
    will_retry=True, next_attempt=FAILED + timedelta(days=7),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of the table: what is so, and what must be said and granted."""

    code: str
    tag: str
    sentence: str
    action: str
    access: bool
    facts: Facts
    policy: Policy = field(default_factory=Policy)


def paused(reason: str | None) -> Facts:
    return replace(PRO, status="paused", status_reason=reason)


def ended(reason: str | None, **more: Any) -> Facts:
    return replace(PRO, status="canceled", ended_at=LATER, cancellation_reason=reason, **more)


TABLE = [
    Row("comp", "Active", "You have Team until 1 March 2027, free of charge.", "Go to Acme", True,
        Facts(comp_plan="team", comp_title="Team", comp_since=FAILED, comp_until=datetime(2027, 3, 1, tzinfo=UTC))),
    Row("none", "No plan", "You don’t have a plan yet.", "Choose a plan", False, Facts()),
    Row("first_confirming", "Confirming", "We’re confirming your payment.", "Check again", False,
        replace(PRO, status="incomplete")),
    Row("first_action", "Confirm payment", "Your bank wants you to confirm this payment.", "Confirm payment",
        False, replace(PRO, status="incomplete", needs_action=True, owed="€29.00", owed_invoice="in_1")),
    Row("first_failed", "Not paid", "Your payment didn’t go through.", "Try another card", False,
        replace(PRO, status="incomplete", decline_text="The card has expired.")),
    Row("first_lapsed", "Lapsed", "Your order wasn’t completed, so it has lapsed.", "Choose a plan", False,
        replace(PRO, status="incomplete_expired")),
    Row("disputed_hold", "On hold, disputed", "Your plan is on hold while a payment is disputed.",
        "Contact us", False, replace(PRO, disputed="€29.00"), Policy(hold_while_disputed=True)),
    Row("unpaid", "On hold", "Your plan is on hold because €29.00 is unpaid.", "Pay €29.00 now", False,
        replace(OWING, status="unpaid")),
    Row("paused_trial", "Paused", "Your trial has ended and Pro is paused.", "Add a card and resume", False,
        paused("trial_end_without_payment_method")),
    Row("paused_payment", "Paused, unpaid", "Pro is paused because we couldn’t take €29.00.",
        "Pay €29.00 now", False, replace(OWING, status="paused", status_reason="final_payment_failure")),
    Row("paused_asked", "Paused", "Pro is paused, as you asked.", "Resume Pro", False,
        paused("pause_requested")),
    Row("paused_other", "Paused", "Pro is paused.", "Contact us", False, paused("system")),
    Row("action_required", "Confirm payment", "Your bank wants you to confirm your €29.00 payment.",
        "Confirm payment", True, replace(OWING, needs_action=True)),
    Row("past_due", "Payment problem", "We couldn’t take your last payment.", "Update card", True, OWING),
    Row("past_due_hold", "On hold", "Your access is on hold until €29.00 is paid.", "Pay €29.00 now", False,
        replace(OWING, first_failed_at=NOW - timedelta(days=14))),
    Row("trial_ending_off", "Trial, ending",
        "Your trial ends on 3 December 2026 and won’t become a paid plan.", "Keep Pro", True,
        replace(PRO, status="trialing", trial_end=LATER, ends_at=LATER)),
    Row("trialing_no_card", "Trial, no card",
        "Your Pro trial ends on 3 December 2026. Add a card to keep going.", "Add a card", True,
        replace(PRO, status="trialing", trial_end=LATER, card=None)),
    Row("trialing", "Trial", "Your Pro trial runs until 3 December 2026.", "Go to Acme", True,
        replace(PRO, status="trialing", trial_end=LATER)),
    Row("canceling", "Ending", "Pro is set to end on 3 December 2026.", "Keep Pro", True,
        replace(PRO, ends_at=LATER)),
    Row("collection_paused", "Payments paused", "Payments are paused.", "Go to Acme", True,
        replace(PRO, pause_behavior="void")),
    Row("disputed", "Payment disputed", "A payment is being disputed.", "Contact us", True,
        replace(PRO, disputed="€29.00")),
    Row("changing", "Active", "You’re on Pro. On 3 December 2026 you’ll move to Basic.", "Keep Pro", True,
        replace(PRO, change="scheduled", change_to="Basic", change_price="€9.00", change_at=LATER)),
    Row("active", "Active", "You’re on Pro. Next payment: €29.00 on 3 December 2026.", "Go to Acme", True,
        PRO),
    Row("ended", "Ended", "Your Pro plan ended on 3 December 2026.", "Choose a plan", False,
        ended("cancellation_requested")),
    Row("ended_unpaid", "Ended",
        "Your Pro plan ended on 3 December 2026 because we couldn’t take payment.", "Choose a plan", False,
        ended("payment_failed", owed="€29.00", owed_number="A1-0002")),
    Row("ended_disputed", "Ended", "Your Pro plan ended on 3 December 2026 after a payment was disputed.",
        "Contact us", False, ended("payment_disputed")),
    Row("unknown", "Checking", "We’re checking your plan with Stripe.", "Check again", False,
        replace(PRO, status="a_status_of_tomorrow")),
]  # fmt: skip
each_row = pytest.mark.parametrize("row", TABLE, ids=[row.code for row in TABLE])

calm = settings(deadline=None, database=None, max_examples=300)
STATUSES = (
    None, "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid",
    "paused", "a_status_of_tomorrow", "",
)  # fmt: skip
CLOSED = ("incomplete", "incomplete_expired", "canceled", "unpaid", "paused", "a_status_of_tomorrow", "")
moments = st.none() | st.integers(0, 730).map(
    lambda days: datetime(2026, 1, 1, 8, tzinfo=UTC) + timedelta(days)
)
sums = st.sampled_from((None, "€29.00"))
any_facts = st.builds(
    Facts,
    status=st.sampled_from(STATUSES),
    plan=st.sampled_from((None, "pro", "sold_no_more")),
    plan_title=st.sampled_from(("Pro", "your plan")),
    price=sums,
    interval=st.sampled_from((None, "month", "year", "day")),
    status_reason=st.sampled_from(
        (None, "system", "pause_requested", "first_payment_failure", "final_payment_failure",
         "trial_end_without_payment_method", "of_tomorrow")
    ),
    current_period_end=moments,
    trial_end=moments,
    ends_at=moments,
    ended_at=moments,
    created=moments,
    cancellation_reason=st.sampled_from(
        (None, "cancellation_requested", "payment_failed", "payment_disputed", "of_tomorrow")
    ),
    pause_behavior=st.sampled_from((None, "void", "keep_as_draft", "mark_uncollectible", "of_tomorrow")),
    pause_resumes_at=moments,
    trial_end_behavior=st.sampled_from((None, "cancel", "create_invoice", "pause", "of_tomorrow")),
    resumes_at=moments,
    card=st.sampled_from((None, "Visa ending 4242")),
    by_invoice=st.booleans(),
    change=st.sampled_from((None, "scheduled", "pending", "of_tomorrow")),
    change_to=st.sampled_from((None, "Basic")),
    change_price=sums,
    change_at=moments,
    first_failed_at=moments,
    owed=sums,
    owed_invoice=st.sampled_from((None, "in_1")),
    owed_number=st.sampled_from((None, "A1-0002")),
    due_at=moments,
    needs_action=st.booleans(),
    processing=st.booleans(),
    will_retry=st.booleans(),
    decline_text=st.sampled_from((None, declines.GENERIC)),
    retry_text=st.sampled_from((None, "We’ll try again on 27 November 2026.")),
    next_attempt=moments,
    last_paid=sums,
    last_paid_at=moments,
    disputed=sums,
    disputed_at=moments,
    disputed_paid_at=moments,
    known=st.sampled_from((None, "active", "unpaid", "past_due")),
    known_plan=st.sampled_from((None, "pro")),
    known_at=moments,
    fetched_at=moments,
    unreachable=st.booleans(),
)  # fmt: skip
any_policy = st.builds(
    Policy,
    grace_days=st.sampled_from((0, 1, 14, 60)),
    hold_while_disputed=st.booleans(),
    access_while_paused=st.booleans(),
    access_while_processing=st.booleans(),
    access_while_collection_paused=st.booleans(),
    keep_data_days=st.sampled_from((0, 90, 3650)),
)


def given_too(facts: Facts, until: datetime | None) -> Facts:
    """The same with access that an admin gave beside it."""
    return replace(facts, comp_plan="team", comp_title="Team", comp_until=until or LATER)


def said_of(found: Standing) -> voice.Voice:
    return voice.speak(found, product=PRODUCT, contact=CONTACT)


@each_row
def test_each_row_of_the_table_has_its_words_and_its_access(row: Row) -> None:
    found = standing.standing(row.facts, row.policy, NOW)
    said = said_of(found)
    assert (found.code, said.tag, said.sentence, said.primary.label, found.access) == (
        row.code,
        row.tag,
        row.sentence,
        row.action,
        row.access,
    )
    assert said.access is found.access


def test_the_table_names_every_code_that_there_is() -> None:
    codes = {row.code for row in TABLE}
    written = set(re.findall(r'"([a-z_]+)"', "".join(
        inspect.getsource(part)
        for part in (
            standing.standing, standing._first_payment, standing._paused, standing._running, standing._code
        )
    )))  # fmt: skip
    assert codes == set(voice.TAGS) == set(sentences.TEXTS)
    assert set(standing.ACCESS) <= codes <= written


@calm
@given(facts=any_facts | st.builds(given_too, any_facts, moments), policy=any_policy)
def test_any_values_known_or_not_give_a_tag_a_sentence_and_one_reason(facts: Facts, policy: Policy) -> None:
    found = standing.standing(facts, policy, NOW)
    said = said_of(found)
    words = [said.tag, said.sentence, said.body, *(mark.label for mark in said.line)]
    words += [link.label for link in (*said.links, said.primary)]
    words += [text for pair in particulars.details(found) for text in pair]
    assert said.tag
    assert said.sentence.endswith(".")
    assert not re.search(r"None|  | \.|\bon\.|\buntil\.", " ".join(filter(None, words))), words
    assert [rule.deciding for rule in found.why].count(True) == 1
    decided = next(rule for rule in found.why if rule.deciding)
    assert decided.result == ("access" if found.access else "no access")


@calm
@given(facts=any_facts, policy=any_policy, closed=st.sampled_from(CLOSED))
def test_nothing_opens_a_closed_status(facts: Facts, policy: Policy, closed: str) -> None:
    strict = replace(policy, access_while_paused=False, access_while_processing=False)
    assert not standing.standing(replace(facts, status=closed, known=None), strict, NOW).access


@calm
@given(facts=any_facts, policy=any_policy)
def test_a_price_that_is_not_in_the_catalogue_opens_nothing(facts: Facts, policy: Policy) -> None:
    found = standing.standing(
        replace(facts, plan=None, known=None), replace(policy, access_while_processing=False), NOW
    )
    assert not found.access
    assert said_of(found).tag


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("status", ["trialing", "active"])
def test_a_subscription_that_runs_and_is_paid_gives_access(status: str, hold: bool) -> None:
    facts = replace(PRO, status=status, trial_end=LATER)
    assert standing.standing(facts, Policy(hold_while_disputed=hold), NOW).access


def test_grace_is_counted_from_the_first_failure_and_ends_to_the_second() -> None:
    end = FAILED + timedelta(days=14)
    for moment, code in ((end - timedelta(seconds=1), "past_due"), (end, "past_due_hold")):
        found = standing.standing(OWING, Policy(), moment)
        assert (found.code, found.grace_end, found.access) == (code, end, code == "past_due")


@calm
@given(attempt=moments)
def test_a_later_attempt_never_moves_the_end_of_grace(attempt: datetime | None) -> None:
    found = standing.standing(replace(OWING, next_attempt=attempt), Policy(), NOW)
    assert found.grace_end == FAILED + timedelta(days=14)


def test_waiting_for_the_bank_keeps_access_only_as_long_as_grace() -> None:
    waiting = replace(OWING, needs_action=True)
    assert standing.standing(waiting, Policy(), FAILED + timedelta(days=13)).access
    assert not standing.standing(waiting, Policy(), FAILED + timedelta(days=14)).access


PRECEDENCE = [
    # (all of this is true at once, this is what is said)
    (replace(OWING, needs_action=True, ends_at=LATER, disputed="€29.00"), Policy(), "action_required"),
    (replace(OWING, ends_at=LATER, disputed="€29.00", pause_behavior="void"), Policy(), "past_due"),
    (replace(OWING, disputed="€29.00"), Policy(hold_while_disputed=True), "disputed_hold"),
    (replace(PRO, status="unpaid", disputed="€29.00"), Policy(hold_while_disputed=True), "disputed_hold"),
    (replace(PRO, status="unpaid", needs_action=True), Policy(), "unpaid"),
    (replace(paused("pause_requested"), ends_at=LATER, needs_action=True), Policy(), "paused_asked"),
    (ended("payment_failed", disputed="€29.00"), Policy(hold_while_disputed=True), "ended_unpaid"),
    (replace(PRO, status="trialing", ends_at=LATER, card=None), Policy(), "trial_ending_off"),
    (replace(PRO, ends_at=LATER, pause_behavior="void", change="scheduled"), Policy(), "canceling"),
    (replace(PRO, pause_behavior="void", disputed="€29.00", change="scheduled"), Policy(), "collection_paused"),
    (replace(PRO, disputed="€29.00", change="scheduled"), Policy(), "disputed"),
    (replace(PRO, status="incomplete", needs_action=True, decline_text="x."), Policy(), "first_action"),
    (replace(PRO, plan=None, disputed="€29.00"), Policy(hold_while_disputed=True), "unknown"),
    (ended("of_tomorrow", plan=None), Policy(), "ended"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "policy", "code"), PRECEDENCE)
def test_the_first_true_row_of_the_table_speaks(facts: Facts, policy: Policy, code: str) -> None:
    assert standing.standing(facts, policy, NOW).code == code


def test_a_person_may_leave_from_every_standing_that_still_costs_money() -> None:
    costly = {
        row.code
        for row in TABLE
        if row.facts.status in ("trialing", "active", "past_due", "unpaid", "paused")
    }
    ending = {"canceling", "trial_ending_off"}
    for row in TABLE:
        labels = {link.label for link in said_of(standing.standing(row.facts, row.policy, NOW)).links}
        assert ("Cancel plan" in labels) == (row.code in costly - ending), row.code


def test_a_row_too_old_to_stand_on_closes_and_says_so() -> None:
    facts = replace(PRO, unreachable=True, fetched_at=NOW - timedelta(hours=73))
    found = standing.standing(facts, Policy(), NOW)
    assert not found.access
    assert [rule.rule for rule in found.why if rule.deciding] == ["Stripe was asked lately enough"]
    assert standing.standing(replace(facts, fetched_at=NOW - timedelta(hours=71)), Policy(), NOW).access
    assert standing.standing(replace(facts, unreachable=False), Policy(), NOW).access


def test_whose_bank_has_not_paid_the_first_time_has_no_access_and_no_days_of_grace() -> None:
    debit = replace(PRO, never_paid=True, processing=True)
    for status in ("active", "past_due"):
        found = standing.standing(replace(debit, status=status), Policy(), NOW)
        assert (found.code, found.access) == ("first_confirming", False)
        assert said_of(found).sentence == "Your bank payment is on its way."
    failed = replace(OWING, status="past_due", never_paid=True)
    found = standing.standing(failed, Policy(), NOW)
    assert (found.code, found.access) == ("past_due_hold", False)


def test_one_word_never_has_two_tones() -> None:
    tones: dict[str, set[str]] = {}
    for tag, _, tone in voice.TAGS.values():
        tones.setdefault(tag, set()).add(tone)
    for tag, tone, _ in (*tags.INVOICES.values(), *tags.PAYMENTS.values()):
        tones.setdefault(tag, set()).add(tone)
    said = inspect.getsource(became)
    for tag, tone in re.findall(r'_\("([A-Z][^"]*)"\), "[○●▲◌■]", "(\w+)"', said):
        tones.setdefault(tag, set()).add(tone)
    assert {"Confirming", "Processing", "Expired", "Paid"} <= set(tones)
    assert {tag: found for tag, found in tones.items() if len(found) > 1} == {}


# Stripe's list (docs.stripe.com/declines/codes), which the SDK gives no type for.
DECLINE_CODES = re.findall(
    r"\w+",
    """
    authentication_required approve_with_id call_issuer card_not_supported card_velocity_exceeded
    currency_not_supported do_not_honor do_not_try_again duplicate_transaction expired_card
    fraudulent generic_decline incorrect_address incorrect_cvc incorrect_number incorrect_pin
    incorrect_zip insufficient_funds invalid_account invalid_amount invalid_cvc invalid_expiry_month
    invalid_expiry_year invalid_number invalid_pin issuer_not_available lost_card merchant_blacklist
    new_account_information_available no_action_taken not_permitted offline_pin_required
    online_or_offline_pin_required pickup_card pin_try_exceeded processing_error reenter_transaction
    restricted_card revocation_of_all_authorizations revocation_of_authorization security_violation
    service_not_allowed stolen_card stop_payment_order testmode_decline test_mode_live_card
    transaction_not_allowed try_again_later withdrawal_count_limit_exceeded highest_risk_level
    elevated_risk_level
    """,
)
HARD = re.findall(
    r"\w+",
    """
    incorrect_number lost_card pickup_card stolen_card revocation_of_authorization
    revocation_of_all_authorizations authentication_required highest_risk_level
    transaction_not_allowed expired_card
    """,
)


def error_codes() -> list[str]:
    """Every code that the SDK knows of a failed payment."""
    source = inspect.getsource(stripe.PaymentIntent.LastPaymentError)
    codes = re.search(r"\n\s+code: Optional\[(.*?)\n\s+decline_code", source, re.DOTALL)
    assert codes is not None
    return re.findall(r'"([a-z_0-9]+)"', codes[1].partition('"""')[0])


def test_no_decline_says_lost_stolen_or_fraud() -> None:
    known = error_codes()
    assert len(known) > 150
    for code in [*known, *DECLINE_CODES, "a_code_of_tomorrow", None]:
        text = declines.reason(code)
        assert not re.search(r"lost|stolen|fraud|pick ?up|blacklist|risk|security", text, re.IGNORECASE), code
        assert text.endswith(".")
    hushed = ("lost_card", "stolen_card", "fraudulent", "pickup_card", "merchant_blacklist", "do_not_honor")
    assert {declines.reason(code) for code in hushed} == {declines.GENERIC}


@pytest.mark.parametrize("code", [*DECLINE_CODES, "a_code_of_tomorrow", None])
@pytest.mark.parametrize("next_attempt", [LATER, None], ids=["planned", "none planned"])
def test_a_retry_is_promised_only_where_stripe_makes_one(
    code: str | None, next_attempt: datetime | None
) -> None:
    text = declines.retry_text(Invoice(decline_code=code, next_payment_attempt=next_attempt))
    honest = next_attempt is not None and code not in HARD
    assert declines.will_retry(code, next_attempt) is honest
    assert ("try again on 3 December 2026" in text) is honest
    facts = replace(OWING, next_attempt=next_attempt, retry_text=text, will_retry=honest)
    line = said_of(standing.standing(facts, Policy(), NOW)).line
    assert any(mark.label == "We try again" for mark in line) is honest


TRIAL = replace(PRO, status="trialing", trial_end=LATER)
VARIANTS = [
    # (what differs, what is said of it, word for word)
    (replace(TRIAL, card=None, trial_end_behavior="pause"),
     "Without a card, Pro pauses that day. You won’t be charged before then."),
    (replace(TRIAL, card=None, trial_end_behavior="cancel"),
     "Without a card, Pro ends that day. You won’t be charged before then."),
    (replace(TRIAL, card=None, trial_end_behavior="create_invoice"),
     "Without a card, Pro sends you an invoice that day. You won’t be charged before then."),
    (replace(TRIAL, card=None, trial_end_behavior="of_tomorrow"), "You won’t be charged before then."),
    (replace(TRIAL, card=None, by_invoice=True),
     "We’ll send you the first invoice that day. Cancel before then and you pay nothing."),
    (replace(PRO, pause_behavior="keep_as_draft"),
     "You have access. Invoices are being held and will be due when payments restart."),
    (replace(PRO, pause_behavior="void"), "You have access and won’t be charged."),
    (replace(PRO, pause_behavior="mark_uncollectible", pause_resumes_at=LATER),
     "You have access and won’t be charged until 3 December 2026, when payments restart at €29.00."),
    (replace(PRO, pause_behavior="of_tomorrow", pause_resumes_at=LATER),
     "You have access. Payments restart on 3 December 2026."),
    (replace(paused("pause_requested"), resumes_at=LATER),
     "You won’t be charged while it’s paused. It resumes on 3 December 2026 at €29.00."),
    (ended("payment_failed"), "You won’t be charged again. Nothing is owed."),
    (ended("payment_failed", owed="€29.00", owed_number="A1-0002"),
     "You won’t be charged again. Invoice A1-0002 for €29.00 is still open."),
    (replace(OWING, needs_action=True, first_failed_at=NOW - timedelta(days=14), due_at=FAILED),
     "We can’t take the payment due on 20 November 2026 until you do. It takes a minute. "
     "Your access returns as soon as the payment goes through."),
    (replace(OWING, retry_text=declines.retry_text(Invoice(decline_code="lost_card", next_payment_attempt=LATER))),
     "€29.00 was due on 20 November 2026. The card has expired. We can’t try this card again. Add another card and "
     "we’ll take the payment straight away. You keep full access until 4 December 2026."),
    (replace(PRO, disputed="€29.00"),
     "Your bank told us the €29.00 payment was disputed. If that’s a mistake, tell your bank or write to us. "
     "Your access continues while the bank decides."),
    (replace(PRO, by_invoice=True), "We’ll send you an invoice."),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "body"), VARIANTS)
def test_each_variant_of_a_body_says_what_is_so(facts: Facts, body: str) -> None:
    assert said_of(standing.standing(facts, Policy(), NOW)).body == body


def test_what_a_stale_row_refuses_is_checked_again_with_one_press() -> None:
    facts = replace(PRO, unreachable=True, fetched_at=NOW - timedelta(hours=73))
    found = standing.standing(facts, Policy(), NOW)
    assert (found.stale, said_of(found).primary.href) == (True, "/billing/check")
