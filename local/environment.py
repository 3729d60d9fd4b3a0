"""Who gave which setting: the operator (environment, then ``.env``), or we ourselves (kept in ``.data/env``).

A name the operator gave is never made up and never written to ``.data/env``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import envfile
from local.errors import CannotStart

SETTINGS = (
    "APP_ENV", "SECRET_KEY", "DATABASE_URL", "REDIS_URL",
    "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE",
    "PUBLIC_URL", "PORT", "SANDBOX_PORT", "INBOX_PORT", "SMTP_URL", "MAIL_FROM", "BRAND_NAME",
)  # fmt: skip

WORDS = (
    "amber", "anchor", "april", "arrow", "basalt", "beacon", "birch", "bramble", "brook", "canvas", "cedar",
    "chalk", "cinder", "clover", "cobalt", "copper", "coral", "cotton", "delta", "dune", "ember", "estuary",
    "fathom", "fennel", "fern", "fjord", "flint", "garnet", "ginger", "granite", "harbor", "hazel", "heron",
    "island", "ivory", "juniper", "kelp", "lagoon", "lantern", "lichen", "linen", "marsh", "meadow", "mellow",
    "north", "ocean", "olive", "otter", "pebble", "pepper", "plover", "quartz", "quill", "reed", "ripple",
    "saffron", "shore", "silver", "slate", "sorrel", "tidal", "velvet", "willow", "winter",
)  # fmt: skip


def readable_password() -> str:
    """A password a person can type: four of 64 words and two digits, 30 bits, for this machine only."""
    words = [secrets.choice(WORDS) for _ in range(4)]
    return "-".join([*words, str(secrets.randbelow(90) + 10)])


class Operator:
    """The settings that the person who starts Dunlin gave."""

    def __init__(self, environ: Mapping[str, str], dotenv: Mapping[str, str] | None = None) -> None:
        self._values = {**(dotenv or {}), **environ}

    @classmethod
    def of_this_process(cls, dotenv: Path | None) -> Operator:
        """The environment, and the file ``.env`` for names absent from it."""
        return cls(os.environ, envfile.read(dotenv) if dotenv else None)

    @classmethod
    def nobody(cls) -> Operator:
        """Gave nothing: the environment without any of our settings. For tests and the demo."""
        ours = {*SETTINGS, *(f"{name}_FILE" for name in SETTINGS)}
        return cls({name: value for name, value in os.environ.items() if name not in ours})

    def gave(self, name: str) -> bool:
        return bool(self._values.get(name) or self._values.get(f"{name}_FILE"))

    def value(self, name: str) -> str:
        """The value of NAME, or what the file NAME_FILE holds, or "". Raises CannotStart."""
        path = self._values.get(f"{name}_FILE")
        if not path:
            return self._values.get(name, "").strip()
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as problem:
            raise CannotStart(f"{name}_FILE can’t be read ({problem.strerror}); check the path.") from problem

    def environ(self) -> dict[str, str]:
        """Everything given, to be passed on to our processes."""
        return dict(self._values)


class Kept:
    """``.data/env``: what we made up, kept for the next run and read by `flask` commands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values = envfile.read(path)

    def get(self, name: str) -> str:
        return self.values.get(name, "")

    def make(self, name: str, maker: Callable[[], str]) -> str:
        """The kept value, made and saved the first time."""
        if not self.values.get(name):
            self.put(name, maker())
        return self.values[name]

    def put(self, name: str, value: str) -> None:
        if self.values.get(name) != value:
            self.values[name] = value
            self.save()

    def drop(self, name: str) -> None:
        if self.values.pop(name, None) is not None:
            self.save()

    def save(self) -> None:
        envfile.write(self.path, self.values)


@dataclass(frozen=True)
class Account:
    """Somebody who can sign in at once."""

    email: str
    password: str
    admin: bool = False


def accounts(kept: Kept) -> tuple[Account, Account]:
    """The admin and the demo user, with passwords made once."""
    return (
        Account("admin@example.com", kept.make("ADMIN_PASSWORD", readable_password), admin=True),
        Account("demo@example.com", kept.make("DEMO_PASSWORD", readable_password)),
    )


def settle(operator: Operator, kept: Kept, wanted: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """The environment of our processes: the operator's settings, and ours for the rest.

    ``wanted`` says how to make each setting; its values are saved in ``.data/env``, and names that the
    operator gave are removed from there, so that a `flask` command sees what the web process sees.
    """
    environ = operator.environ()
    for name in SETTINGS:
        if name in wanted and not operator.gave(name):
            environ[name] = wanted[name]()
            kept.put(name, environ[name])
        else:
            kept.drop(name)
    return environ
