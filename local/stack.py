"""The whole product: its parts in their order, started, waited for, and stopped.

`make run` is one Stack on the wanted ports with its data in ``.data``. The demo and the browser tests
take another on free ports with data of its own, through the same code:

>>> with Stack() as stack:
...     browser.goto(stack.addresses.portal)
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import redis

from billing import config
from billing.errors import ConfigError
from local.datafolder import Lock, open_folder
from local.environment import Account, Kept, Operator, accounts, settle
from local.errors import CannotStart
from local.ground import Ground
from local.parts import (
    FLASK,
    GUNICORN,
    PYTHON,
    REPOSITORY,
    STAGES,
    Addresses,
    Needs,
    local_url,
    sandbox_key,
    wanted_settings,
)
from local.ports import LOOPBACK, Ports
from local.processes import Children, clean_leftovers
from local.stripe_sandbox import webhook_secret
from local.waiting import says_ok, until


class Stack:
    """One running Dunlin. ``env`` holds the settings of its processes."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ports: Ports | None = None,
        operator: Operator | None = None,
        keep: bool = False,
    ) -> None:
        """``keep`` makes the data durable and leaves them; else they are gone after ``stop``."""
        self.folder = folder or Path(tempfile.mkdtemp(prefix="dunlin-"))
        self.ports = ports or Ports.free()
        self.operator = operator or Operator.nobody()
        self.needs = Needs.of(self.operator)
        self.addresses = Addresses.of(self.ports, self.needs)
        self.env: dict[str, str] = {}
        self._keep = keep
        self._lock: Lock | None = None
        self._ground: Ground | None = None
        self._children: Children | None = None

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything in order and wait until it answers. Raises CannotStart."""
        self._refuse_unfit()
        self._lock = open_folder(self.folder)
        clean_leftovers(self.folder)
        self.ports.check()
        self._kept = Kept(self.folder / "env")
        self.admin, self.demo = accounts(self._kept)
        self._children = Children(self.folder)
        self._ground = Ground(
            self.folder, self._kept, self._children, self.ports, self.needs, durable=self._keep
        )
        self._ground.start()
        self._settle(self._ground.urls)
        self._prepare()
        for name in ("web", "worker", "clock"):
            self._start_part(name)
        self.wait()

    def wait(self) -> None:
        """Until the portal answers and the worker listens. Raises CannotStart."""
        until("The portal", lambda: says_ok(f"{local_url(self.ports.web)}/healthz"), self.check)
        until("The worker", self._worker_listens, self.check)

    def stop(self) -> None:
        """End every process within 20 s, in reverse order; give back the folder, or delete it."""
        if self._children is not None:
            for names, seconds in STAGES:
                chosen = [child for child in self._children.running if child.name in names]
                self._children.stop(chosen, seconds)
            self._children.end()
            self._children = None
        if self._ground is not None:
            self._ground.released()
            self._ground = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            if not self._keep:
                shutil.rmtree(self.folder)

    def check(self) -> None:
        """Raises ChildDied where a part has ended by itself."""
        self._ours.check()

    def _start_part(self, name: str) -> None:
        commands = {
            "web": (*GUNICORN, "--bind", f"{LOOPBACK}:{self.ports.web}"),
            "worker": (*FLASK, "work"),
            "clock": (*FLASK, "clock"),
        }
        self._ours.start(name, commands[name], env=self.env, cwd=REPOSITORY)

    @property
    def _ours(self) -> Children:
        if self._children is None:
            raise RuntimeError("the stack is not running")
        return self._children

    @property
    def _webhook_url(self) -> str:
        return f"{local_url(self.ports.web)}/webhooks/stripe"

    def _refuse_unfit(self) -> None:
        """What need not be started to be refused."""
        app_env = self.operator.value("APP_ENV") or "development"
        if app_env != "development":
            raise CannotStart(
                f"APP_ENV is {app_env}, and this is for development, with accounts whose passwords are "
                "printed; remove APP_ENV and run again."
            )
        if not self.needs.sandbox and not self.operator.gave("STRIPE_WEBHOOK_SECRET"):
            raise CannotStart(
                "STRIPE_SECRET_KEY is set, and STRIPE_WEBHOOK_SECRET isn’t; run `stripe listen "
                f"--forward-to {self._webhook_url}` and put the whsec_… that it prints into .env."
            )

    def _settle(self, urls: dict[str, str]) -> None:
        """Every setting is known now; refuse here what the app would refuse."""
        if self.needs.sandbox and not self.operator.gave("STRIPE_WEBHOOK_SECRET"):
            urls["STRIPE_WEBHOOK_SECRET"] = self._webhook_secret()
        wanted = wanted_settings(self._kept, self.ports, self.needs, urls)
        self.env = settle(self.operator, self._kept, wanted)
        try:
            config.load(self.env)
        except ConfigError as problem:
            raise CannotStart(str(problem)) from problem

    def _webhook_secret(self) -> str:
        return webhook_secret(self.addresses.sandbox, sandbox_key(self._kept), self._webhook_url, self._kept)

    def _prepare(self) -> None:
        """Migrations, the catalogue and the two accounts."""
        commands = [(["db", "upgrade"], ""), (["setup", "--yes"], "")]
        commands += [_create(account) for account in (self.admin, self.demo)]
        words = [*PYTHON, "local.prepare"]
        told = json.dumps(commands).encode()
        self._ours.finish(self._ours.start("setup", words, env=self.env, cwd=REPOSITORY, stdin=told), 120)

    def _worker_listens(self) -> bool:
        try:
            with redis.Redis.from_url(self.env["REDIS_URL"], socket_timeout=2) as client:
                return bool(client.scard("rq:workers"))
        except redis.RedisError:
            return False


def _create(account: Account) -> tuple[list[str], str]:
    words = ["users", "create", account.email, "--password-stdin", "--confirmed"]
    return ([*words, "--admin"] if account.admin else words), f"{account.password}\n"
