"""The bank's 3D Secure page: passed, failed, left."""

from __future__ import annotations

from tests.sandbox.pages.shop import CANCEL, RETURN, Shop
from tests.sandbox.pages.visitor import ASKS_3DS, Answer, card


def test_the_bank_says_who_asks_for_how_much(shop: Shop) -> None:
    session = shop.session()
    answer = shop.pay(session, ASKS_3DS)
    assert answer.status == 303
    assert answer.location.removeprefix(shop.base).startswith("/3ds/")
    page = _challenge(shop, answer)
    for words in ("€29.00", "•••• 3155", "Complete authentication", "Fail authentication"):
        assert words in page.text
    assert shop.again(session).status == "open"


def test_a_passed_challenge_pays_and_returns_to_the_shop(shop: Shop) -> None:
    session = shop.session()
    done = shop.visitor.post(shop.pay(session, ASKS_3DS).location, {"answer": "pass"})
    assert (done.status, done.location) == (303, RETURN.replace("{CHECKOUT_SESSION_ID}", session.id))
    assert shop.again(session).status == "complete"


def test_a_failed_challenge_returns_to_checkout_and_says_why_once(shop: Shop) -> None:
    session = shop.session()
    failed = shop.visitor.post(shop.pay(session, ASKS_3DS).location, {"answer": "fail"})
    assert failed.status == 303
    assert failed.location.removeprefix(shop.base) == f"/c/pay/{session.id}"
    first, second = shop.visitor.get(failed.location), shop.visitor.get(failed.location)
    assert "There is a problem" in first.text
    assert "The bank did not confirm this payment." in first.text
    assert "There is a problem" not in second.text
    assert shop.subscriptions(str(session.customer)) == []
    assert shop.pay(session).status == 303


def test_a_challenge_that_is_left_leads_to_the_shop_and_pays_nothing(shop: Shop) -> None:
    session = shop.session()
    page = _challenge(shop, shop.pay(session, ASKS_3DS))
    assert CANCEL in page.document.links
    assert shop.again(session).status == "open"
    assert shop.subscriptions(str(session.customer)) == []


def test_a_challenge_is_answered_once(shop: Shop) -> None:
    session = shop.session()
    address = shop.pay(session, ASKS_3DS).location
    shop.visitor.post(address, {"answer": "pass"})
    again = shop.visitor.post(address, {"answer": "pass"})
    assert again.status in (303, 404)
    assert len(shop.subscriptions(str(session.customer))) == 1


def test_an_answer_is_pass_or_fail(shop: Shop) -> None:
    session = shop.session()
    address = shop.pay(session, ASKS_3DS).location
    assert shop.visitor.post(address, {"answer": "perhaps"}).status == 400
    assert shop.visitor.post("/3ds/unknown", {"answer": "pass"}).status == 404
    assert shop.again(session).status == "open"


def _challenge(shop: Shop, answer: Answer) -> Answer:
    page = shop.visitor.get(answer.location)
    assert page.status == 200
    return page


def test_a_card_that_is_only_saved_is_confirmed_without_an_amount(shop: Shop) -> None:
    subscription = shop.subscriber()
    portal = shop.portal(subscription.customer)
    asked = shop.visitor.post(f"{portal}/card", card(ASKS_3DS))
    page = shop.visitor.get(asked.location)
    assert "Confirm this card" in page.text
    assert "Amount" not in page.text
    assert portal in page.document.links
