"""One RQ job for each event, as most do it: the baseline of `benchmarks/applying.py`. It asks Stripe for nothing.

``python -m benchmarks.per_event forking|simple`` is a worker: RQ's own, which forks for each job, or one
that does not.
The application is loaded before the first job; RQ's default settings are kept.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from redis import Redis
from rq import Queue, SimpleWorker, Worker

from app import create_app
from billing.extensions import db
from billing.models import StripeEvent

QUEUE = "each"


def apply(event_id: str) -> None:
    """What is least: read the event, note that it was applied, commit."""
    event = db.session.get_one(StripeEvent, event_id)
    event.state, event.applied_at = StripeEvent.APPLIED, datetime.now(UTC)
    db.session.commit()
    db.session.remove()


def enqueue(redis_url: str, ids: list[str]) -> None:
    with Redis.from_url(redis_url) as connection:
        queue = Queue(QUEUE, connection=connection)
        queue.enqueue_many([Queue.prepare_data(f"{__name__}.apply", (one,)) for one in ids])


def main() -> int:
    application = create_app()
    kind = {"forking": Worker, "simple": SimpleWorker}[sys.argv[1]]
    with application.app_context():
        connection = Redis.from_url(application.extensions["config"].redis_url)
        kind([Queue(QUEUE, connection=connection)], connection=connection).work(logging_level="WARNING")
    return 0


if __name__ == "__main__":
    sys.exit(main())
