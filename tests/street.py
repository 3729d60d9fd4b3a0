"""A desk with a cable before each of its four doors, and people who go the whole way there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
from flask import Flask
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.test import TestResponse

from billing import inbox, installation, jobs, queues
from billing.extensions import db
from local.mailsink import MailSink
from local.ports import free_port
from tests import draining
from tests.cable import Cable
from tests.conftest import dispose, make_app, make_config, stock_of
from tests.scene import AtDesk
from tests.story import Shopper, card_form, post_page, shopper
from tests.support import Databases, Sandbox, csrf_of
from tests.test_leaving import hidden
from tests.watching import serving

DATABASE, STRIPE, REDIS, SMTP = DOORS = ("database", "Stripe", "Redis", "SMTP")
PRESSES = 4
# What a page may answer when a door is in trouble: not now. Everything else is a fault of ours.
NOT_NOW = 503


@dataclass
class Street:
    """``raw``: a connection to the database that no cable carries."""

    app: Flask
    sandbox: Sandbox
    cables: dict[str, Cable]
    raw: psycopg.Connection[Any]
    scene: AtDesk
    endpoint: str
    people: int = 0

    def newcomer(self) -> Walker:
        self.people += 1
        for cable in self.cables.values():
            cable.struck = False
        person = shopper(self.app, f"walker{self.people}@example.com")
        csrf = csrf_of(person.client)
        db.session.rollback()  # what is to break is what the walker's pages do, not what this test has open
        return Walker(self, person, csrf)

    def passed(self) -> dict[str, dict[str, int]]:
        """How many bytes went through each door so far, each way."""
        return {door: dict(cable.passed) for door, cable in self.cables.items()}

    def trouble_ends(self) -> None:
        """That which has come; what is still to come stays."""
        for cable in self.cables.values():
            if cable.struck:
                cable.mend()

    def ask(self) -> None:
        """Drain, then all oracles but the pass of the reconciler, which reads everything that this street ever saw."""
        draining.drain(self.app)
        self.scene.acked = self.scene.delivered(self.endpoint)
        self.scene.ask()


@dataclass
class Walker:
    """Somebody on the whole way: order, pay, hear of it, leave, hear of that."""

    street: Street
    person: Shopper
    csrf: str

    def goes(self, after_each: Callable[[], object] = lambda: None) -> None:
        steps = (self._orders, self._stripe_tells, self._a_worker_comes)
        for step in (*steps, self._leaves, self._stripe_tells, self._a_worker_comes):
            step()
            after_each()

    def _orders(self) -> None:
        form = {"csrf_token": self.csrf, "plan": "pro", "interval": "month"}
        press = lambda: self.person.client.post("/checkout", data=form)  # noqa: E731
        answer = self._insists(press, lambda answer: "/c/pay/" in answer.headers.get("Location", ""))
        assert post_page(answer.headers["Location"], **card_form()).status == 303

    def _leaves(self) -> None:
        asked = "select count(*) from stripe_writes where user_id = %s and name like 'cancel:%%'"
        self._insists(
            self._press_cancel, lambda _: self.street.raw.execute(asked, [self.person.id]).fetchone() != (0,)
        )

    def _press_cancel(self) -> TestResponse:
        page = self.person.client.get("/billing/cancel")
        form = hidden(page.text)
        if page.status_code != 200 or "how" not in form:
            return page
        return self.person.client.post("/billing/cancel", data={"csrf_token": self.csrf, **form})

    def _insists(self, press: Callable[[], TestResponse], done: Callable[[Any], bool]) -> TestResponse:
        """Press until it is so. Whoever is told to come later comes when the trouble is over."""
        for _ in range(PRESSES):
            answer = press()
            assert answer.status_code in (200, 303, NOT_NOW), answer.text
            if done(answer):
                return answer
            self.street.trouble_ends()
            draining.drain(self.street.app)
        raise AssertionError(f"pressed {PRESSES} times in vain: {answer.status_code} {answer.text}")

    def _stripe_tells(self) -> None:
        self.street.app.extensions["bell_quiet_until"] = float("-inf")
        waiting = self.street.sandbox.control("deliveries/flush")["pending"]
        # Taking an event needs nothing but the database (promise I2).
        assert waiting == 0 or self.street.cables[DATABASE].struck

    def _a_worker_comes(self) -> None:
        """If it hears the bell; what ends its job, as RQ sees it, is no end of anything."""
        bell = self.street.app.extensions["bell"]
        how = {"connection": bell.connection, "job_class": queues.BellJob, "serializer": JSONSerializer}
        with suppress(RedisError):
            heard = Queue.dequeue_any([bell], None, **how)
            if heard is not None:
                with self.street.app.app_context(), suppress(SQLAlchemyError):
                    jobs.answer_bell()
                heard[0].delete()


@contextmanager
def street(databases: Databases, mails: MailSink, sandbox: Sandbox, redis_port: int) -> Iterator[Street]:
    """Real servers, a cable before each, and the web process on a port of its own, to which Stripe delivers when it is
    told to."""
    with ExitStack() as stack:
        address = make_url(stack.enter_context(databases.copy_of(stock_of(databases, sandbox))))
        targets = {
            DATABASE: address.port or 5432,
            STRIPE: urlsplit(sandbox.url).port or 0,
            REDIS: redis_port,
            SMTP: mails.port,
        }
        cables = {door: stack.enter_context(Cable(port)) for door, port in targets.items()}
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        types = [name for name in jobs.HANDLERS if not inbox.is_ours(name)]
        endpoint, secret = sandbox.register_endpoint(f"{url}/webhooks/stripe", types)
        sandbox.control("trouble", delivery="hold")
        far = address.set(host="127.0.0.1", port=cables[DATABASE].port, drivername="postgresql")
        config = make_config(
            far.render_as_string(hide_password=False),
            smtp_port=cables[SMTP].port,
            public_url=url,
            api_base=f"http://127.0.0.1:{cables[STRIPE].port}",
            secret=secret,
            REDIS_URL=f"redis://127.0.0.1:{cables[REDIS].port}/0",
        )
        app = make_app(config)
        near = far.set(port=targets[DATABASE]).render_as_string(hide_password=False)
        raw = stack.enter_context(psycopg.connect(near, autocommit=True))
        stack.enter_context(serving(app, port))
        stack.enter_context(app.app_context())
        installation.record(db.session(), config, sandbox.account())
        db.session.commit()
        app.extensions["sandbox"] = sandbox
        try:
            yield Street(app, sandbox, cables, raw, AtDesk(app, mails), endpoint)
        finally:
            for cable in cables.values():
                cable.mend()
            app.extensions["bell"].connection.connection_pool.disconnect()
            app.extensions["stripe"]._requestor._client.close()
            db.session.remove()
            dispose()
