"""What people would suffer from mails about an unpaid invoice: two for one failure, untrue ones, or none."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import outbox, timetable
from billing.config import Config
from billing.extensions import db
from local.mailsink import MailSink
from tests.histories import History
from tests.story import FAILS_LATER, Shopper, catch_up
from tests.support import make_user, sign_in
from tests.test_banner import line
from tests.test_dunning_whole_life import LINK
from tests.told import DAY, START, a_subscription, an_invoice, owing, tell

FAILED = START + 3600
DOUBTS = ("We tried again", "We have tried several times", "We’ll try again")


def test_nobody_is_dunned_twice_for_one_failure_however_it_is_told(
    newcomer: Callable[[], Shopper], mails: MailSink
) -> None:
    """Pain 26. Stripe tells of one failure by half a dozen events, twice, in any order, and the clock is there too."""
    person = newcomer()
    person.pay(person.order())
    person.use_card(FAILS_LATER)
    catch_up(person.desk)
    before, history = len(mails.to(person.email)), History(person.desk)
    for days in (31, 3):
        now = person.sandbox.look(f"customers/{person.customer}/moments")["now"]
        person.sandbox.control(f"customers/{person.customer}/advance", to=now + days * DAY + 3700)
        news = history.news()
        assert {"invoice.payment_failed"} <= {one["type"] for one in news}
        for order in (news, news[::-1], news):
            history.deliver(order)
            catch_up(person.desk)
            timetable._remind(db.session())
            outbox.send_due(db.session(), person.desk.extensions["config"])
    told = [one.subject for one in mails.to(person.email)[before:]]
    assert told == ["[Test] Your card didn’t go through for Dunlin", "[Test] Update your card to keep Pro"]


def test_nobody_hears_that_a_card_was_tried_which_was_not(
    db_session: Session, config: Config, mails: MailSink
) -> None:
    """Pains 9 and 26. After a stolen card Stripe counts tries that it doesn’t make; and nobody reads of a theft."""
    alice = make_user(db_session, "alice@example.com", customer="cus_alice")
    plan = a_subscription(alice)
    tell(db_session, plan)
    bill = owing(plan, 1, decline="stolen_card")
    for attempts, day in ((1, 0), (2, 3), (3, 6), (4, 8), (5, 12)):
        late = {**plan, "status": "past_due"}
        tell(db_session, late, {**bill, "attempt_count": attempts}, clock=FAILED + day * DAY + 60)
        timetable._remind(db_session)
        outbox.send_due(db_session, config)
    assert len(mails.messages) == 4
    for message in mails.messages:
        text = " ".join(message.text.split())
        assert not [word for word in (*DOUBTS, "stolen", "lost", "fraud") if word in text], message.subject
    first = " ".join(mails.messages[0].text.split())
    assert "Your bank declined the payment and didn’t say why. We can’t try this card again." in first


def test_nobody_whose_bank_asks_at_a_renewal_is_left_to_find_out_by_themselves(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    """Pain 10. At once, by a mail whose link leads there without a sign-in, and above every page; until it is done."""
    alice = make_user(db_session, "alice@example.com", customer="cus_alice")
    plan = a_subscription(alice)
    tell(db_session, plan)
    bill = owing(plan, 0, intent="requires_action", next_payment_attempt=None)
    tell(db_session, {**plan, "status": "past_due"}, bill, clock=FAILED + 60)
    outbox.send_due(db_session, config)
    [asked] = mails.messages
    assert asked.subject == "[Test] Your bank wants you to confirm €29.00"
    [link] = LINK.findall(asked.text)
    path = link.removeprefix(config.public_url)
    assert "<h1>Confirm €29.00 for Pro</h1>" in client.get(path).text
    sign_in(client, alice)
    assert (line(client) or [""])[0] == "Your bank wants you to confirm your €29.00 payment."
    tell(db_session, plan, an_invoice(plan, id=bill["id"]))
    outbox.send_due(db_session, config)
    assert mails.messages[-1].subject.startswith("[Test] Sorted: ")
    assert line(client) is None
    assert "<h1>This is paid.</h1>" in client.get(path).text
