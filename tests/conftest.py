"""Real parts for every test: PostgreSQL, Redis, SMTP, the sandbox over HTTP, and three named people.

Each test has a database of its own, copied from one that was migrated once. ``TEST_DATABASE_URL`` may name a
server that is already there (its user must be allowed to make databases).
"""

from __future__ import annotations

import gc
import itertools
import os
import re
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

import app as dunlin
from billing import config as settings
from billing import installation, pace, queues, webhooks
from billing.config import Config
from billing.extensions import db
from billing.models import User
from local.mailsink import MailSink
from local.ports import free_port
from sandbox import serving
from tests import kept, scratch, watching
from tests.histories import sandbox_in
from tests.sandbox import traffic as left_the_sandbox
from tests.snapshots import Moments
from tests.stock import Stock
from tests.story import Shopper, shopper
from tests.support import Databases, Sandbox, make_user
from tests.support import sign_in as sign_in_as
from tests.watching import Underway

gc.disable()  # until all tests are collected
scratch.in_memory()
kept.for_all()
ROOT = Path(__file__).parent.parent
WEBHOOK_SECRET = "whsec_tests_0123456789abcdef"
# The sandbox does not mind how often it is asked in a second; tests/test_pace.py has the pace that is shipped.
SHIPPED_PACE, pace.A_SECOND = pace.A_SECOND, 10_000
# Each bell is rung where it is asked for; tests/test_queues.py has the gap between two of them.
queues.GAP = 0.0
LONGEST = {
    "test_crash_points",
    "test_random_orders",
    "test_forged",
    "test_presses",
    "test_quotes",
    "test_doors",
}
WAITING = {"e2e", "local", "pages"}
_people = itertools.count(1)
_stocks: dict[Databases, Stock] = {}


@dataclass
class Sandboxes:
    """One for all modules, since to start it and to bring the catalogue there takes seconds. Each module finds it as
    it was at first: a pass of the reconciler looks through all that others have left there."""

    open_: ExitStack
    running: Sandbox | None = None

    def next(self, folders: pytest.TempPathFactory, databases: Databases) -> Sandbox:
        if self.running is None:
            self.running = self.open_.enter_context(sandbox_in(folders.mktemp("sandbox")))
            stock_of(databases, self.running)
            self.running.control("state/save", name="at-first")
        self.running.control("state/load", name="at-first")
        return self.running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that none of them is what all wait for at the end. Those that mostly wait (for a
    browser, for a house that starts) come between the others, so that a processor has work meanwhile."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [path for path in files if path.parent.name in WAITING]
    rest = sorted(files.keys() - set(waiting), key=lambda path: (path.stem not in LONGEST, path))
    # the place of each among all, as if they were spread evenly
    places = [(number / len(kind), path) for kind in (waiting, rest) for number, path in enumerate(kind)]
    items[:] = [item for _, path in sorted(places) for item in files[path]]


def pytest_collection_finish() -> None:
    """Thousands of tests are in memory, and stay: to look through them for garbage took a fifth of the time of all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Nobody reads what was logged where nothing failed, and it travels between processes. Some tests log what is no
    text, half a letter for one, which could not."""
    report = yield
    said = [] if report.passed else report.sections
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in said]
    return report


@pytest.fixture(scope="session", autouse=True)
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every sandbox of this run writes down what leaves it; at the end all of that fits the SDK's types."""
    record = tmp_path_factory.mktemp("traffic") / "record.jsonl"
    os.environ["SANDBOX_RECORD"] = str(record)
    yield
    del os.environ["SANDBOX_RECORD"]
    wrong = left_the_sandbox.wrong(record)
    assert wrong == [], "what left the sandbox is not what Stripe's SDK knows"


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A server, and a template that carries the migrated schema."""
    with Databases.open(os.environ.get("TEST_DATABASE_URL")) as server:
        config = make_config(server.create("dunlin_template"))
        application = dunlin.create_app(config)
        with application.app_context():
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            dispose()
        yield server


@pytest.fixture(scope="session")
def mail_sink() -> Iterator[MailSink]:
    with MailSink() as sink:
        yield sink


@pytest.fixture
def mails(mail_sink: MailSink) -> MailSink:
    """What an SMTP server was given during this test."""
    for those in (mail_sink.messages, mail_sink.refused, mail_sink.replies):
        those.clear()
    return mail_sink


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[Sandboxes]:
    with ExitStack() as open_:
        yield Sandboxes(open_)


@pytest.fixture(scope="module")
def sandbox_process(
    sandboxes: Sandboxes, tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> Sandbox:
    """The sandbox as its own process, as people run it; nobody but this module has objects there."""
    return sandboxes.next(tmp_path_factory, databases)


@pytest.fixture
def config(request: pytest.FixtureRequest, databases: Databases, mail_sink: MailSink) -> Iterator[Config]:
    """The settings of ``app``; without it, with a database of this test alone. No Redis unless a test asks: nothing
    may need it."""
    if "app" in request.fixturenames:
        yield request.getfixturevalue("app").extensions["config"]
    else:
        with databases.copy_of("dunlin_template") as url:
            yield make_config(url, smtp_port=mail_sink.port)


@pytest.fixture(scope="session")
def bare(databases: Databases, mail_sink: MailSink) -> Iterator[Moments]:
    """The application with an installation recorded, and no Stripe behind it."""
    with databases.copy_of("dunlin_template") as url:
        with alone(make_config(url, smtp_port=mail_sink.port)) as application:
            moments = Moments(application)
        yield moments  # in no context: it would lie between those of others
        with application.app_context():
            dispose()


@pytest.fixture
def app(
    request: pytest.FixtureRequest, bare: Moments, databases: Databases, mail_sink: MailSink
) -> Iterator[Flask]:
    """``bare`` as it was made, for each test anew: to make an application and a database takes ten times as long.

    Some tests change what is not brought back, such as the schema: they are marked ``alone``. With a sandbox behind it
    each is an installation of its own, as what others have left there must not be taken for its own. And a mutant may
    be in what makes an application.
    """
    mutants = request.config.getoption("without_bugs", None) is not None
    if not (mutants or request.node.get_closest_marker("alone") or "sandbox_process" in request.fixturenames):
        with bare.app.app_context(), bare.beginning() as application:
            yield application
            watching.rested(webhooks._hands)
            db.session.remove()
        return
    with (
        databases.copy_of("dunlin_template") as url,
        alone(make_config(url, smtp_port=mail_sink.port)) as application,
    ):
        yield application


@contextmanager
def alone(config: Config) -> Iterator[Flask]:
    """An application with an installation recorded."""
    application = make_app(config)
    with application.app_context():
        installation.record(db.session(), config, "acct_tests")
        db.session.commit()
        yield application
        db.session.remove()
        dispose()


@pytest.fixture
def db_session(app: Flask) -> Session:
    return db.session()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com")


@pytest.fixture
def bob(db_session: Session) -> User:
    return make_user(db_session, "bob@example.com")


@pytest.fixture
def charlie(db_session: Session) -> User:
    return make_user(db_session, "charlie@example.com")


@pytest.fixture
def admin(db_session: Session) -> User:
    return make_user(db_session, "admin@example.com", is_admin=True)


@pytest.fixture
def sign_in() -> Callable[[FlaskClient, User], None]:
    """``sign_in(client, alice)``: a signed-in browser, by the same row and cookie that the sign-in page makes."""
    return sign_in_as


@pytest.fixture
def desk(databases: Databases, mails: MailSink, sandbox_process: Sandbox) -> Iterator[Flask]:
    """The application on a real port with the sandbox as its Stripe, which delivers signed events to it."""
    with desk_of(databases, mails, sandbox_process) as application:
        yield application


@pytest.fixture(scope="module")
def office(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Flask]:
    """A desk that the tests of a module share; each of them has people of its own (``newcomer``)."""
    with desk_of(databases, mail_sink, sandbox_process) as application:
        yield application


@pytest.fixture(scope="module")
def moments(office: Flask) -> Moments:
    return Moments(office)


@pytest.fixture
def desk_again(moments: Moments, mails: MailSink) -> Iterator[Flask]:
    """``office`` as it was opened, for each test anew: a fourth of the cost of ``desk``. A module whose tests share
    nothing else at the sandbox names it ``desk``."""
    with moments.beginning() as application:
        yield application


@pytest.fixture
def newcomer(office: Flask) -> Iterator[Callable[..., Shopper]]:
    """``newcomer()``: somebody whom no other test knows, at the shared desk, which is as before afterwards."""
    before = office.extensions["config"]
    yield lambda **more: shopper(office, f"person{next(_people)}@example.com", **more)
    office.extensions["config"] = before
    office.extensions["sandbox"].calm()
    db.session.rollback()


@contextmanager
def desk_of(databases: Databases, mails: MailSink, sandbox_process: Sandbox) -> Iterator[Flask]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    endpoint, secret = sandbox_process.register_endpoint(f"{url}/webhooks/stripe")
    with databases.copy_of(stock_of(databases, sandbox_process)) as database:
        config = make_config(
            database, smtp_port=mails.port, public_url=url, api_base=sandbox_process.url, secret=secret
        )
        application = make_app(config)
        underway, server = Underway(application), serving.server(application, port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with application.app_context():
            installation.record(db.session(), config, sandbox_process.account())
            db.session.commit()
            application.extensions["sandbox"] = sandbox_process
            try:
                yield application
            finally:
                sandbox_process.calm()
                sandbox_process.remove_endpoint(endpoint)
                server.shutdown()
                thread.join()
                server.server_close()
                underway.ended()
                db.session.remove()
                dispose()


def stock_of(databases: Databases, sandbox: Sandbox) -> str:
    """The database to copy for a desk whose Stripe is this sandbox."""
    stock = _stocks.setdefault(
        databases, Stock(databases, lambda url, base: make_app(make_config(url, api_base=base)))
    )
    return stock.of(sandbox)


def make_config(
    database: str,
    *,
    smtp_port: int = 1,
    public_url: str = "http://127.0.0.1:1",
    api_base: str = "http://127.0.0.1:1",
    secret: str = WEBHOOK_SECRET,
    **more: str,
) -> Config:
    """Settings as the environment would give them. Port 1 answers nobody."""
    environ = {
        "APP_ENV": "development",
        "SECRET_KEY": "0123456789abcdef" * 4,
        "DATABASE_URL": database,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "STRIPE_SECRET_KEY": "sk_test_0123456789abcdefghij",
        "STRIPE_WEBHOOK_SECRET": secret,
        "STRIPE_API_BASE": api_base,
        "PUBLIC_URL": public_url,
        "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "MAIL_FROM": "Dunlin billing <billing@dunlin.example.com>",
        **more,
    }
    return settings.load(environ)


# No page that any test is given may have these: the strict policy would break it in a browser.
INLINE = re.compile(
    r"<style|<script(?![^>]*\ssrc=)|<[^>]*\s(?:style|on\w+)\s*=|http-equiv=.?refresh", re.IGNORECASE
)


class Client(FlaskClient):
    """A browser whose requests each have an application context of their own, as behind gunicorn."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        with self.application.app_context():
            answer = super().open(*args, **kwargs)
        framed = answer.headers.get("Content-Security-Policy", "").startswith(
            "sandbox"
        )  # a mail, in development
        if answer.mimetype == "text/html" and not answer.is_streamed and not framed:
            found = INLINE.search(answer.text)
            assert found is None, f"{answer.request.path} has something inline: {found[0] if found else ''}"
        assert "Refresh" not in answer.headers
        return answer


def make_app(config: Config) -> Flask:
    application = dunlin.create_app(config)
    application.test_client_class = Client
    return application


def dispose() -> None:
    """Close every pooled connection of the current application, those too that somebody gave up waiting for."""
    watching.rested(webhooks._hands)
    for engine in db.engines.values():
        engine.dispose()
