"""What a person sees of it all: the page, the door, the mails, the money; and Stripe's deliveries one at a time."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from flask import Flask

from billing.extensions import db
from billing.models import Notice
from billing.payloads import Object
from tests.story import Shopper, apply_all, config_of
from tests.support import Sandbox


def endpoint_of(desk: Flask) -> str:
    """The webhook endpoint by which Stripe reaches this application."""
    url = f"{config_of(desk).public_url}/webhooks/stripe"
    sandbox: Sandbox = desk.extensions["sandbox"]
    found = sandbox.stripe.webhook_endpoints.list({"limit": 100})["data"]
    [mine] = [one["id"] for one in found if (one["url"], one["status"]) == (url, "enabled")]
    return str(mine)


def delivered(desk: Flask, events: Iterable[Object], *, apply: bool = True) -> list[int]:
    """Stripe delivers these in this order, signed and over HTTP, and each is applied before the next one comes;
    what each was answered."""
    endpoint, sandbox = endpoint_of(desk), desk.extensions["sandbox"]
    answers = []
    for event in events:
        answers.append(sandbox.control(f"events/{event['id']}/resend", endpoint=endpoint)["http_status"])
        if apply:
            apply_all()
    return answers


def may_enter(person: Shopper) -> bool:
    """Whether the product's own page opens; whom it does not is sent to billing."""
    answer = person.get("/app")
    assert (answer.status_code, answer.location) in ((200, None), (303, "/billing"))
    return answer.status_code == 200


def reads(person: Shopper, path: str = "/billing") -> str:
    answer = person.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return html.unescape(answer.text)


def charges(person: Shopper) -> list[int]:
    """What was taken from the person's card at Stripe, oldest first."""
    found = person.sandbox.look("ledger")["charges"]
    mine = [one for one in found if (one["customer"], one["status"]) == (person.customer, "succeeded")]
    return [one["amount"] - one["amount_refunded"] for one in mine]


def running(person: Shopper) -> list[str]:
    """The plans that Stripe charges the person for."""
    return [
        one["id"] for one in person.sandbox.stripe.subscriptions.list({"customer": person.customer})["data"]
    ]


def mailed_to(email: str) -> list[tuple[str, dict[str, Any]]]:
    """Every mail to this address with what it says, sent or owed."""
    db.session.rollback()
    found = db.session.query(Notice).filter_by(to=email).order_by(Notice.id)
    return [(one.kind, one.facts) for one in found]
