"""The programs of one running Dunlin: their commands and the settings they share."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.environment import Kept, Operator
from local.ports import LOOPBACK, Ports

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable, "-m")
FLASK = (*PYTHON, "flask", "--app", "app")
GUNICORN = (
    *PYTHON, "gunicorn", "app:web()", "-k", "billing.server.Worker", "-w", "2", "--threads", "8",
    "--graceful-timeout", "20", "--timeout", "30", "--keep-alive", "5", "--no-control-socket",
)  # fmt: skip
# Stopped stage by stage, each within its seconds; 19 in all.
STAGES = ((("clock", "worker", "web"), 12.0), (("inbox", "sandbox"), 3.0), (("redis", "postgres"), 4.0))


@dataclass(frozen=True)
class Needs:
    """Which parts are ours to start: all that the operator did not bring."""

    postgres: bool
    redis: bool
    sandbox: bool
    inbox: bool

    @classmethod
    def of(cls, operator: Operator) -> Needs:
        return cls(
            postgres=not operator.gave("DATABASE_URL"),
            redis=not operator.gave("REDIS_URL"),
            sandbox=not operator.gave("STRIPE_SECRET_KEY") and not operator.gave("STRIPE_API_BASE"),
            inbox=not operator.gave("SMTP_URL"),
        )


@dataclass(frozen=True)
class Addresses:
    """Where people go. ``sandbox`` and ``inbox`` are "" where the operator brought the real thing."""

    portal: str
    sandbox: str
    inbox: str

    @classmethod
    def of(cls, ports: Ports, needs: Needs) -> Addresses:
        return cls(
            portal=local_url(ports.web),
            sandbox=local_url(ports.sandbox) if needs.sandbox else "",
            inbox=local_url(ports.inbox) if needs.inbox else "",
        )

    @property
    def admin(self) -> str:
        return f"{self.portal}/admin/"

    @property
    def clock(self) -> str:
        return f"{self.sandbox}/clock" if self.sandbox else ""


def local_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def wanted_settings(
    kept: Kept, ports: Ports, needs: Needs, urls: dict[str, str]
) -> dict[str, Callable[[], str]]:
    """How each setting that the operator may leave to us is made.

    ``urls`` holds DATABASE_URL, REDIS_URL, SMTP_URL and STRIPE_WEBHOOK_SECRET of the parts we started.
    """
    fixed = {
        "APP_ENV": "development",
        "PUBLIC_URL": local_url(ports.web),
        "PORT": str(ports.web),
        "SANDBOX_PORT": str(ports.sandbox),
        "INBOX_PORT": str(ports.inbox),
        "MAIL_FROM": "billing@example.com",
        "BRAND_NAME": "Dunlin",
        **urls,
    }
    if needs.sandbox:
        fixed["STRIPE_API_BASE"] = local_url(ports.sandbox)
        fixed["STRIPE_SECRET_KEY"] = sandbox_key(kept)
        fixed["STRIPE_PUBLISHABLE_KEY"] = kept.get("STRIPE_PUBLISHABLE_KEY") or _key("pk_test_")
    wanted: dict[str, Callable[[], str]] = {name: lambda value=value: value for name, value in fixed.items()}  # type: ignore[misc]
    wanted["SECRET_KEY"] = lambda: kept.get("SECRET_KEY") or secrets.token_hex(32)
    return wanted


def sandbox_key(kept: Kept) -> str:
    """The API key that we use at our own sandbox."""
    return kept.make("LOCAL_SANDBOX_KEY", lambda: _key("sk_test_"))


def _key(prefix: str) -> str:
    return prefix + secrets.token_hex(24)
