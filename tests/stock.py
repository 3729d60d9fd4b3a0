"""A database to copy for each desk: migrated, and with the prices of ``plans.toml`` as one sandbox has them.

To bring the catalogue there for every test anew would take a tenth of the time of all. Where a test has changed what
is sold at the sandbox, the next desk finds an event of it that is newer, and another stock is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import delete

from billing import catalogue, installation
from billing.extensions import db
from billing.models import Installation
from tests.support import Databases, Sandbox

CHANGES = [f"{kind}.{what}" for kind in ("price", "product") for what in ("created", "updated", "deleted")]
_numbers = itertools.count(1)


@dataclass
class Stock:
    """The name of the database for each sandbox and newest change of its catalogue."""

    databases: Databases
    application: Callable[[str, str], Flask]  # on this database, with Stripe at this address
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, sandbox: Sandbox) -> str:
        newest = self._newest(sandbox)
        if not newest or (sandbox.url, newest) not in self._known:
            name = f"dunlin_stock_{next(_numbers)}"
            with self.databases.copy_of("dunlin_template") as first:
                self._fill(first, sandbox)  # what is made at Stripe is written down here
            self._fill(self.databases.create(name, "dunlin_template"), sandbox)
            newest = self._newest(sandbox)
            self._known[sandbox.url, newest] = name
        return self._known[sandbox.url, newest]

    def _fill(self, database: str, sandbox: Sandbox) -> None:
        application = self.application(database, sandbox.url)
        with application.app_context():
            session = db.session()
            installation.record(session, application.extensions["config"], sandbox.account())
            session.commit()
            catalogue.push(session, application.extensions["catalogue"])
            session.execute(delete(Installation))  # each desk is one of its own
            session.commit()
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()

    def _newest(self, sandbox: Sandbox) -> str:
        page = sandbox.stripe.events.list({"types": CHANGES, "limit": 1})["data"]
        return str(page[0]["id"]) if page else ""
