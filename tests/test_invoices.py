"""What our row of an invoice says of it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.models import Invoice
from tests.support import make_user
from tests.told import START, a_subscription, an_invoice, tell


def test_an_invoice_is_called_after_what_costs_most_not_after_what_comes_back(db_session: Session) -> None:
    """Of a change of plans Stripe lists the unused time first."""
    period = {"start": START, "end": START + 86400}
    lines = [
        {"description": "Unused time on Pro", "amount": -2900, "period": period},
        {"description": "Remaining time on Team", "amount": 7900, "period": period},
        {"description": "Remaining time on a smaller thing", "amount": 100, "period": period},
    ]
    plan = a_subscription(make_user(db_session, "alice@example.com", customer="cus_alice"))
    tell(db_session, plan, an_invoice(plan, lines={"data": lines}))
    assert db_session.execute(select(Invoice.description)).scalar_one() == "Remaining time on Team"
