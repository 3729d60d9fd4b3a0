"""The work of a job, done once for practice before the worker forks: what each child would build is there already.

RQ answers each bell in a child, and what a child builds ends with it: above all the statements, which SQLAlchemy
compiles when they are first sent. So the parent writes a made-up subscription with its invoice, twice, in a transaction
that is rolled back. Its connections are closed afterwards (``cli.work``), since a child must never share one.

No promise rests on it: where it fails, children begin with nothing prepared.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta

from sqlalchemy import func
from sqlalchemy.orm import Session

from billing import (
    claims,
    inbox,
    invoices,
    language,
    outbox,
    registry,
    running,
    stripe_client,
    subscriptions,
)
from billing.clock import now
from billing.installation import public_id
from billing.models import User
from billing.payloads import Object
from billing.syncing import Cause, Outcome

log = logging.getLogger(__name__)
MONTH = 30 * 86400  # seconds
TYPE = "customer.subscription.updated"


def prepare(session: Session) -> None:
    """Build what a job needs. What goes wrong is told to the log, and nothing else comes of it."""
    stripe_client.load_parts()
    language.load()
    try:
        claims.claim_due(session, ())  # the same statement, for no event
        registry.never_sent(session, None)
        outbox.send_due(session, running.config(), limit=0)
        _write(session, secrets.token_hex(8))
    except Exception as problem:  # a worker that is not prepared works all the same
        log.warning("nothing prepared for the first event", exc_info=problem)
    finally:
        session.rollback()


def _write(session: Session, name: str) -> None:
    """Make somebody with a paid subscription, as an event would, and look at it once more. Never commits."""
    at, event_id = now(), f"evt_{name}"
    user = User(
        email=f"{name}@practice.invalid",
        password_hash="",
        email_confirmed_at=func.now(),
        stripe_customer_id=f"cus_{name}",
    )
    session.add(user)
    plan, bill = _subscription(name, int(at.timestamp())), _invoice(name, int(at.timestamp()))
    event = {"id": event_id, "type": TYPE, "created": plan["created"], "livemode": plan["livemode"]}
    inbox.store(session, event, "{}", source="practice", handled=True)
    for fence in (1, 2):
        invoices.open_ids(session, plan["id"])
        cause = Cause(event_id, fence, public_id(session), at + timedelta(seconds=fence), frozenset({TYPE}))
        subscriptions.write(session, subscriptions.Fetched(plan, [bill], None), cause)
    claims.mark(session, [event_id], Outcome(user.id), 0)


def _subscription(name: str, at: int) -> Object:
    """What of Stripe's object is read without asking whether it is there. ``at``: Unix seconds."""
    plan = running.catalogue().plans[0].name
    price = {
        "id": f"price_{name}",
        "unit_amount": 2900,
        "recurring": {"interval": "month"},
        "metadata": {"plan": plan},
    }
    item = {"price": price, "quantity": 1, "current_period_start": at, "current_period_end": at + MONTH}
    return {
        "id": f"sub_{name}",
        "customer": {"id": f"cus_{name}"},
        "status": "active",
        "items": {"data": [item]},
        "currency": "eur",
        "created": at,
        "collection_method": "charge_automatically",
        "latest_invoice": f"in_{name}",
        "livemode": running.config().livemode,
    }


def _invoice(name: str, at: int) -> Object:
    """The same, of an invoice that is paid, so that a receipt is owed."""
    line = {"description": "1 × Practice", "amount": 2900, "period": {"start": at, "end": at + MONTH}}
    return {
        "id": f"in_{name}",
        "customer": f"cus_{name}",
        "parent": {"subscription_details": {"subscription": f"sub_{name}"}},
        "status": "paid",
        "lines": {"data": [line]},
        "currency": "eur",
        "total": 2900,
        "amount_due": 2900,
        "amount_paid": 2900,
        "amount_remaining": 0,
        "created": at,
        "status_transitions": {"finalized_at": at, "paid_at": at},
    }
