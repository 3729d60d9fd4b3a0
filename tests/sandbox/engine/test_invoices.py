"""Invoices made by hand: each way from a draft to its end, with the events of each (facts 1.5, 2.4, 3.6, 3.7)."""

from __future__ import annotations

import pytest
import stripe

from tests.sandbox.engine.billing import draft, item, payer, previous, refused, told
from tests.sandbox.engine.driver import Sandbox, eventually

DAY = 86400
PAID = [
    "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "invoice.updated", "invoice.paid",
    "invoice.payment_succeeded",
]  # fmt: skip


def test_a_draft_by_hand_waits_for_somebody(sandbox: Sandbox) -> None:
    """Facts 1.5: a manual draft has no number, addresses or moment, and does not advance."""
    customer = sandbox.customer().id
    item(sandbox, customer, 1200, description="Setup")
    mark = sandbox.mark()
    invoice = draft(sandbox, customer, description="Thanks", footer="Bye", metadata={"order": "7"})
    assert (invoice.status, invoice.billing_reason, invoice.auto_advance) == ("draft", "manual", False)
    assert (
        invoice.number is invoice.hosted_invoice_url is invoice.effective_at is invoice.ending_balance is None
    )
    assert invoice.automatically_finalizes_at is invoice.next_payment_attempt is invoice.parent is None
    assert (invoice.subtotal, invoice.total, invoice.amount_due, invoice.amount_remaining) == (1200,) * 4
    assert (invoice.description, invoice.footer, invoice.metadata["order"]) == ("Thanks", "Bye", "7")
    (line,) = invoice.lines.data
    assert (line.description, line.amount, line.parent.type) == ("Setup", 1200, "invoice_item_details")
    assert (
        sandbox.api.invoice_items.retrieve(line.parent.invoice_item_details.invoice_item).invoice
        == invoice.id
    )
    assert told(sandbox, customer, mark) == ["invoice.created"]
    assert sandbox.look(f"customers/{customer}/moments")["moments"] == []


def test_the_first_invoice_gives_the_customer_a_currency(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    mark = sandbox.mark()
    draft(sandbox, customer, currency="eur")
    assert told(sandbox, customer, mark) == ["customer.updated", "invoice.created"]
    assert previous(sandbox, customer, mark, "customer.updated") == {"currency": None}
    assert sandbox.api.invoices.create({"customer": customer}).currency == "eur"


def test_created_finalized_paid(sandbox: Sandbox) -> None:
    """Facts 3.6 from step 3 on, without a subscription."""
    customer = payer(sandbox)
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    opened = sandbox.api.invoices.finalize_invoice(invoice.id)
    assert (opened.status, opened.attempted, opened.next_payment_attempt) == ("open", False, None)
    assert opened.number.endswith("-0001")
    assert opened.hosted_invoice_url
    assert opened.effective_at == opened.status_transitions.finalized_at
    assert (opened.starting_balance, opened.ending_balance) == (0, 0)
    assert told(sandbox, customer, mark) == ["invoice.finalized", "payment_intent.created"]
    mark = sandbox.mark()
    paid = sandbox.api.invoices.pay(invoice.id, {"expand": ["payments"]})
    assert (paid.status, paid.attempt_count, paid.attempted) == ("paid", 1, True)
    assert (paid.amount_paid, paid.amount_remaining) == (2000, 0)
    assert told(sandbox, customer, mark) == PAID[1:]
    (payment,) = paid.payments.data
    assert (payment.status, payment.amount_paid, payment.is_default) == ("paid", 2000, True)
    (found,) = sandbox.api.invoice_payments.list({"invoice": invoice.id, "status": "paid"}).data
    assert sandbox.api.invoice_payments.retrieve(found.id).payment.type == "payment_intent"
    intent = sandbox.api.payment_intents.retrieve(str(payment.payment.payment_intent))
    assert (intent.description, intent.setup_future_usage) == ("Payment for Invoice", None)
    eventually(lambda: "invoice_payment.paid" in sandbox.types(mark), "the late event")


def test_payments_and_the_secret_are_shown_only_on_request(sandbox: Sandbox) -> None:
    """Facts 1.5 and checklist 3."""
    customer = payer(sandbox)
    invoice = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000).id)
    plain = invoice.to_dict()
    assert "payments" not in plain
    assert "confirmation_secret" not in plain
    shown = sandbox.api.invoices.retrieve(invoice.id, {"expand": ["payments", "confirmation_secret"]})
    assert shown.confirmation_secret.client_secret.startswith("pi_3")
    assert shown.payments.data[0].status == "open"


def test_a_draft_that_is_paid_is_finalized_first(sandbox: Sandbox) -> None:
    customer = payer(sandbox)
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    assert sandbox.api.invoices.pay(invoice.id).status == "paid"
    assert told(sandbox, customer, mark) == ["invoice.finalized", *PAID]


def test_an_automatic_draft_is_finalized_and_charged_after_an_hour(sandbox: Sandbox) -> None:
    """Facts 1.5: automatically_finalizes_at and next_payment_attempt are an hour ahead."""
    customer = payer(sandbox)
    invoice = draft(sandbox, customer, 2000, auto_advance=True)
    assert invoice.automatically_finalizes_at == invoice.next_payment_attempt == invoice.created + 3600
    mark = sandbox.mark()
    assert sandbox.advance(customer) == invoice.created + 3600
    paid = sandbox.api.invoices.retrieve(invoice.id)
    assert (paid.status, paid.attempt_count, paid.auto_advance) == ("paid", 1, False)
    assert told(sandbox, customer, mark) == ["invoice.finalized", *PAID]


def test_what_the_api_finalizes_is_charged_an_hour_later(sandbox: Sandbox) -> None:
    customer = payer(sandbox)
    invoice = draft(sandbox, customer, 2000)
    opened = sandbox.api.invoices.finalize_invoice(invoice.id, {"auto_advance": True})
    assert (opened.status, opened.auto_advance) == ("open", True)
    assert opened.next_payment_attempt == opened.status_transitions.finalized_at + 3600
    mark = sandbox.mark()
    sandbox.advance(customer)
    assert told(sandbox, customer, mark) == PAID[1:]
    assert sandbox.api.invoices.retrieve(invoice.id).attempt_count == 1


def test_automatic_collection_retries_and_then_gives_up(sandbox: Sandbox) -> None:
    """Facts 3.7, with no subscription to end: attempts on the account's days, then the invoice stays open."""
    customer = payer(sandbox, "pm_card_chargeCustomerFail")
    invoice = draft(sandbox, customer, 2000, auto_advance=True)
    mark = sandbox.mark()
    for _ in range(4):
        sandbox.advance(customer)
    seen = sandbox.api.invoices.retrieve(invoice.id)
    assert (seen.status, seen.attempt_count, seen.auto_advance, seen.next_payment_attempt) == (
        "open",
        4,
        False,
        None,
    )
    assert sandbox.api.customers.retrieve(customer).delinquent
    assert told(sandbox, customer, mark)[:6] == [
        "invoice.finalized", "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
        "invoice.payment_failed", "invoice.updated",
    ]  # fmt: skip
    assert sandbox.look(f"customers/{customer}/moments")["moments"] == []


def test_stopping_and_starting_collection_of_an_open_invoice(sandbox: Sandbox) -> None:
    customer = payer(sandbox)
    invoice = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000).id)
    going = sandbox.api.invoices.update(invoice.id, {"auto_advance": True})
    assert going.next_payment_attempt >= invoice.created + 3600
    stopped = sandbox.api.invoices.update(invoice.id, {"auto_advance": False})
    assert (stopped.next_payment_attempt, stopped.auto_advance) == (None, False)


def test_a_refused_card(sandbox: Sandbox) -> None:
    """Facts 3.7: the manual attempt counts as the first; nothing is planned."""
    customer = payer(sandbox, "pm_card_chargeCustomerFail")
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError) as caught:
        sandbox.api.invoices.pay(invoice.id)
    assert (caught.value.code, caught.value.http_status) == ("card_declined", 402)
    kept = sandbox.api.invoices.retrieve(invoice.id)
    assert (kept.status, kept.attempt_count, kept.next_payment_attempt) == ("open", 1, None)
    assert told(sandbox, customer, mark) == [
        "invoice.finalized", "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
        "invoice.payment_failed", "invoice.updated", "customer.updated",
    ]  # fmt: skip


def test_a_card_that_needs_its_owner(sandbox: Sandbox) -> None:
    """Facts 3.2 and 3.8: attempt_count 0, attempted, nothing planned."""
    customer = payer(sandbox, "pm_card_threeDSecure2Required")
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError) as caught:
        sandbox.api.invoices.pay(invoice.id)
    assert caught.value.code == "invoice_payment_intent_requires_action"
    kept = sandbox.api.invoices.retrieve(invoice.id)
    assert (kept.attempt_count, kept.attempted, kept.next_payment_attempt) == (0, True, None)
    assert told(sandbox, customer, mark) == [
        "invoice.finalized", "payment_intent.created", "payment_intent.requires_action",
        "invoice.payment_action_required", "invoice.updated", "customer.updated",
    ]  # fmt: skip


def test_nothing_to_charge_is_an_answer_that_was_executed(sandbox: Sandbox) -> None:
    invoice = draft(sandbox, sandbox.customer().id, 2000)
    answer = sandbox.raw("POST", f"/v1/invoices/{invoice.id}/pay")
    assert (answer.status, answer.error["code"]) == (400, "resource_missing")
    assert answer.headers["Stripe-Should-Retry"] == "false"


def test_the_invoices_own_card_comes_first(sandbox: Sandbox) -> None:
    customer = payer(sandbox, "pm_card_chargeCustomerFail")
    good = sandbox.api.payment_methods.attach("pm_card_visa", {"customer": customer})
    invoice = draft(sandbox, customer, 2000, default_payment_method=good.id)
    assert sandbox.api.invoices.pay(invoice.id).status == "paid"
    with refused("resource_missing", "default_payment_method"):
        sandbox.api.invoices.update(
            draft(sandbox, sandbox.customer().id, 1).id, {"default_payment_method": good.id}
        )


def test_voided(sandbox: Sandbox) -> None:
    """Facts 3.15: the intent is canceled as void_invoice."""
    customer = sandbox.customer().id
    invoice = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000).id)
    mark = sandbox.mark()
    void = sandbox.api.invoices.void_invoice(invoice.id, {"expand": ["payments"]})
    assert (void.status, void.amount_remaining, void.payments.data[0].status) == ("void", 2000, "canceled")
    assert told(sandbox, customer, mark) == ["payment_intent.canceled", "invoice.updated", "invoice.voided"]
    (canceled,) = [each for each in sandbox.events(mark) if each["type"] == "payment_intent.canceled"]
    assert canceled["data"]["object"]["cancellation_reason"] == "void_invoice"
    with refused("invoice_not_editable"):
        sandbox.api.invoices.pay(invoice.id)


def test_marked_uncollectible_and_paid_after_all(sandbox: Sandbox) -> None:
    customer = payer(sandbox)
    invoice = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000).id)
    mark = sandbox.mark()
    lost = sandbox.api.invoices.mark_uncollectible(invoice.id)
    assert (lost.status, lost.status_details.uncollectible.reason) == ("uncollectible", "user_forgiven")
    assert told(sandbox, customer, mark) == ["invoice.updated", "invoice.marked_uncollectible"]
    assert sandbox.api.invoices.pay(invoice.id).status == "paid"


def test_paid_outside_of_stripe(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    paid = sandbox.api.invoices.pay(invoice.id, {"paid_out_of_band": True, "expand": ["payments"]})
    assert (paid.status, paid.amount_paid, paid.amount_paid_off_stripe) == ("paid", 2000, 2000)
    assert [each.status for each in paid.payments.data] == ["canceled"]
    assert sandbox.charges(customer) == []
    assert told(sandbox, customer, mark) == [
        "invoice.finalized", "payment_intent.created", "payment_intent.canceled", "invoice.updated", "invoice.paid",
        "invoice.payment_succeeded",
    ]  # fmt: skip


def test_a_draft_is_deleted_and_its_items_wait_again(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    assert sandbox.api.invoices.delete(invoice.id).deleted
    assert told(sandbox, customer, mark) == ["invoice.deleted"]
    assert [
        each.amount for each in sandbox.api.invoice_items.list({"customer": customer, "pending": True}).data
    ] == [2000]
    with refused("resource_missing"):
        sandbox.api.invoices.retrieve(invoice.id)
    opened = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer).id)
    with refused("invoice_not_editable"):
        sandbox.api.invoices.delete(opened.id)


def test_nothing_due_is_paid_at_once(sandbox: Sandbox) -> None:
    """Facts 1.5: no intent, no payment, attempt_count 0."""
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer)
    mark = sandbox.mark()
    paid = sandbox.api.invoices.finalize_invoice(invoice.id, {"expand": ["payments", "confirmation_secret"]})
    assert (paid.status, paid.total, paid.attempt_count, paid.attempted) == ("paid", 0, 0, True)
    assert (paid.payments.data, paid.confirmation_secret) == ([], None)
    assert told(sandbox, customer, mark) == [
        "invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded"
    ]  # fmt: skip


def test_a_sent_invoice_and_the_day_it_is_due(sandbox: Sandbox) -> None:
    """Facts 1.5 and 1.1: no payment attempt is planned; past its day the customer is delinquent."""
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer, 2000, collection_method="send_invoice", days_until_due=7)
    assert (invoice.due_date, invoice.next_payment_attempt) == (invoice.created + 7 * DAY, None)
    mark = sandbox.mark()
    sent = sandbox.api.invoices.send_invoice(invoice.id)
    assert (sent.status, sent.next_payment_attempt) == ("open", None)
    assert told(sandbox, customer, mark) == ["invoice.finalized", "payment_intent.created", "invoice.sent"]
    mark = sandbox.mark()
    assert sandbox.advance(customer) == invoice.due_date - 3 * DAY
    assert sandbox.advance(customer) == invoice.due_date
    assert told(sandbox, customer, mark) == ["invoice.will_be_due", "invoice.overdue", "customer.updated"]
    assert previous(sandbox, customer, mark, "customer.updated") == {"delinquent": False}
    sandbox.api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert not sandbox.api.customers.retrieve(customer).delinquent


def test_an_automatic_sent_invoice_goes_out_after_an_hour(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    draft(sandbox, customer, 2000, collection_method="send_invoice", days_until_due=1, auto_advance=True)
    mark = sandbox.mark()
    sandbox.advance(customer)
    assert told(sandbox, customer, mark) == ["invoice.finalized", "payment_intent.created", "invoice.sent"]


def test_due_dates_belong_to_sent_invoices(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    with refused(None, "due_date"):
        draft(sandbox, customer, days_until_due=7)
    with refused("parameter_missing", "days_until_due"):
        draft(sandbox, customer, collection_method="send_invoice")
    with refused("parameters_exclusive"):
        draft(sandbox, customer, collection_method="send_invoice", days_until_due=7, due_date=2_000_000_000)
    with refused(None, "collection_method"):
        sandbox.api.invoices.send_invoice(draft(sandbox, customer).id)


def test_a_draft_can_be_changed_and_a_final_invoice_hardly(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer, 2000)
    mark = sandbox.mark()
    changed = sandbox.api.invoices.update(
        invoice.id,
        {
            "description": "Hello",
            "metadata": {"a": "1"},
            "number": "X-1",
            "custom_fields": [{"name": "PO", "value": "77"}],
        },
    )
    assert (changed.number, changed.custom_fields[0].value) == ("X-1", "77")
    assert previous(sandbox, customer, mark, "invoice.updated") == {
        "custom_fields": None,
        "description": None,
        "metadata": {"a": None},
        "number": None,
    }
    opened = sandbox.api.invoices.finalize_invoice(invoice.id)
    assert opened.number == "X-1"
    assert sandbox.api.invoices.update(invoice.id, {"metadata": {"b": "2"}}).metadata["b"] == "2"
    with refused("invoice_not_editable", "description"):
        sandbox.api.invoices.update(invoice.id, {"description": "No"})
    with refused("invoice_not_editable"):
        sandbox.api.invoices.finalize_invoice(invoice.id)


def test_lines_are_added_changed_and_removed(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    waits = item(sandbox, customer, 300)
    invoice = draft(sandbox, customer, pending_invoice_items_behavior="exclude")
    product = sandbox.api.products.create({"name": "Badge"}).id
    added = sandbox.api.invoices.add_lines(
        invoice.id,
        {
            "lines": [
                {"amount": 1000, "description": "Work"},
                {"quantity": 3, "price_data": {"currency": "usd", "product": product, "unit_amount": 200}},
                {"invoice_item": waits.id},
            ]
        },
    )
    assert [each.amount for each in added.lines.data] == [1000, 600, 300]
    assert (added.total, added.lines.data[1].description, added.lines.data[1].quantity) == (1900, "Badge", 3)
    first, second, third = (each.id for each in added.lines.data)
    line = sandbox.api.invoices.line_items.update(invoice.id, first, {"amount": 900})
    assert (line.id, line.amount) == (first, 900)
    changed = sandbox.api.invoices.update_lines(invoice.id, {"lines": [{"id": second, "quantity": 2}]})
    assert (changed.total, changed.lines.data[1].pricing.unit_amount_decimal) == (900 + 400 + 300, 200)
    left = sandbox.api.invoices.remove_lines(
        invoice.id,
        {"lines": [{"id": third, "behavior": "unassign"}, {"id": second, "behavior": "delete"}]},
    )
    assert ([each.id for each in left.lines.data], left.total) == ([first], 900)
    assert [
        each.id for each in sandbox.api.invoice_items.list({"customer": customer, "pending": True}).data
    ] == [waits.id]
    sandbox.api.invoices.finalize_invoice(invoice.id)
    with refused("invoice_not_editable"):
        sandbox.api.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]})


def test_lines_have_cursors_both_ways(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer, *range(100, 112))
    amounts = [
        each.amount
        for each in sandbox.api.invoices.line_items.list(invoice.id, {"limit": 5}).auto_paging_iter()
    ]
    assert sorted(amounts) == list(range(100, 112))
    assert (len(invoice.lines.data), invoice.lines.has_more) == (10, True)  # facts 8
    every = sandbox.api.invoices.line_items.list(invoice.id, {"limit": 100}).data
    page = sandbox.api.invoices.line_items.list(invoice.id, {"limit": 2, "ending_before": every[5].id})
    assert ([each.id for each in page.data], page.has_more) == ([every[3].id, every[4].id], True)


def test_invoices_are_found_by_what_they_are(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    sent = draft(sandbox, customer, 100, collection_method="send_invoice", days_until_due=7)
    plain = draft(sandbox, customer, 100)
    find = sandbox.api.invoices.list
    assert [each.id for each in find({"customer": customer}).data] == [plain.id, sent.id]
    by_way = find({"customer": customer, "collection_method": "send_invoice"})
    assert [each.id for each in by_way.data] == [sent.id]
    assert [each.id for each in find({"customer": customer, "due_date": {"lte": sent.due_date}}).data] == [
        sent.id
    ]
    assert find({"customer": customer, "due_date": {"gt": sent.due_date}}).data == []
    assert find({"customer": customer, "status": "open"}).data == []


def test_an_invoice_between_two_of_a_subscription(sandbox: Sandbox) -> None:
    """A manual invoice with `subscription` bills what waits for that subscription alone."""
    sub = sandbox.subscriber()
    item(sandbox, sub.customer, 700, subscription=sub.id)
    item(sandbox, sub.customer, 100)
    invoice = draft(sandbox, sub.customer, subscription=sub.id)
    assert ([each.amount for each in invoice.lines.data], invoice.billing_reason) == ([700], "manual")
    assert invoice.parent.subscription_details.subscription == sub.id
    assert sandbox.api.invoices.list({"subscription": sub.id}).data[0].id == invoice.id
    with refused("invoice_not_editable"):
        sandbox.api.invoices.delete(invoice.id)
