"""Dunlin's commands as processes of their own, which a test may kill at any instruction."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from billing.config import Config
from billing.signing import Secret

ROOT = Path(__file__).parent.parent


def environ_of(config: Config, **changes: str) -> dict[str, str]:
    """These settings as another process reads them."""
    return {
        **os.environ,
        "APP_ENV": config.app_env,
        "SECRET_KEY": config.secret_key,
        "DATABASE_URL": config.database_url,
        "REDIS_URL": config.redis_url,
        "STRIPE_SECRET_KEY": config.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": ",".join(map(written, config.stripe_webhook_secrets)),
        "STRIPE_API_BASE": config.stripe_api_base or "",
        "PUBLIC_URL": config.public_url,
        "SMTP_URL": config.smtp_url,
        "MAIL_FROM": config.mail_from,
        "EU_WITHDRAWAL": "yes" if config.eu_withdrawal else "no",
        **changes,
    }


def written(secret: Secret) -> str:
    """A signing secret as the setting has it."""
    return f"{secret.value}@{secret.until.isoformat()}" if secret.until else secret.value


@contextmanager
def running(words: list[str], config: Config, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """``python`` with these arguments, killed at the end if it still runs. Its output is one pipe."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environ_of(config, **changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def command(name: str) -> list[str]:
    """The arguments for one of our ``flask`` commands."""
    return ["-m", "flask", "--app", "app", name]
