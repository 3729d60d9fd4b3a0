"""A process whose clock is wrong: ``python -m tests.skewed SECONDS EMAIL…`` does what worker and web do.

It takes an event and leaves it, as if it had died; applies and mails what is due; opens ``/app`` for each of the
people; and prints what they were answered and which lights are red. What is replaced is ``billing.clock.now``, the one
place where this machine's clock is read, before anything else is imported: the clock itself is not ours to set.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

from billing import clock


def main(seconds: float, people: list[str]) -> None:
    right = clock.now
    clock.now = lambda: right() + timedelta(seconds=seconds)

    from app import create_app
    from billing import accounts, claims, jobs
    from billing.extensions import db
    from tests.conftest import Client
    from tests.support import sign_in

    app = create_app()
    app.test_client_class = Client
    with app.app_context():
        claims.claim_one(db.session(), "evt_left")
        jobs.answer_bell()
        pages = {}
        for email in people:
            browser, user = app.test_client(), accounts.by_email(db.session(), email)
            assert user is not None
            sign_in(browser, user)
            pages[email] = browser.get("/app").status_code
        red = app.test_client().get("/healthz/deep").get_json()["red"]
    sys.stdout.write(json.dumps({"pages": pages, "red": red}))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
