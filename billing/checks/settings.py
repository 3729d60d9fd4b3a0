"""The settings that let the program start and may be wrong all the same; and what only Stripe's dashboard shows."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from billing import senders
from billing.checks.finding import Finding
from billing.clock import now
from billing.config import Config
from billing.installation import fingerprint
from billing.mailer import LOOPBACK

# How long Stripe's retries may last, in days: 1, 2, 3 weeks, 1, 2 months (Billing → Revenue recovery → Retries).
WINDOWS = (7, 14, 21, 30, 31, 60, 61, 62)
FEWEST_DIFFERENT = 10


def found(config: Config) -> Iterator[Finding]:
    """The surroundings, the keys, the signing secrets. A mistake that stops the program was told at start."""
    yield _surroundings(config)
    yield _session_key(config)
    mode = "live" if config.livemode else "test"
    kind = "restricted" if config.stripe_secret_key.startswith("rk_") else "secret"
    name = f"a {kind} key of {mode} mode, fingerprint {fingerprint(config.stripe_secret_key)}"
    to = f", for the sandbox at {config.stripe_api_base}" if config.stripe_api_base else ""
    yield Finding("API key", "ok", name + to)
    yield from _signing(config)


def mails(config: Config) -> Iterator[Finding]:
    """What no API shows: compare it by hand."""
    yield Finding("who mails", "note", senders.said(config.billing_emails))
    days = config.grace_days
    says = (
        f"GRACE_DAYS={days}: the retries at Stripe should last as long (Billing → Revenue recovery → Retries)"
    )
    odd = (
        ""
        if days in WINDOWS
        else "Stripe offers 1, 2 or 3 weeks and 1 or 2 months; choose one of them here too"
    )
    yield Finding("retries", "note", says, odd)


def local(config: Config) -> bool:
    """Whether nobody but this machine reaches PUBLIC_URL, so that ``stripe listen`` must forward what is delivered."""
    return urlsplit(config.public_url).hostname in LOOPBACK


def _surroundings(config: Config) -> Finding:
    says = f"APP_ENV={config.app_env}, people come to {config.public_url}"
    if config.secure_cookies or local(config):
        return Finding("settings", "ok", says)
    return Finding(
        "settings", "warn", f"{says}, where anybody on the way can read", "use https in PUBLIC_URL"
    )


def _session_key(config: Config) -> Finding:
    if len(set(config.secret_key)) < FEWEST_DIFFERENT:
        says = "SECRET_KEY is long and easily guessed"
        return Finding("session key", "warn", says, "make one with `openssl rand -hex 32`")
    return Finding("session key", "ok", f"{len(config.secret_key)} characters")


def _signing(config: Config) -> Iterator[Finding]:
    current, *older = config.stripe_webhook_secrets
    listens = "it looks like that of `stripe listen`, which signs only what it forwards"
    if current.of_the_cli and not local(config):
        fix = "give STRIPE_WEBHOOK_SECRET the signing secret of the endpoint at Stripe (Reveal)"
        yield Finding("signing secret", "wrong", listens, fix)
    elif current.of_the_cli:
        yield Finding("signing secret", "ok", f"{listens}; that is right on your own machine")
    else:
        yield Finding("signing secret", "ok", "it has the form of an endpoint’s")
    for secret in older:
        if secret.accepted(now()):
            yield Finding("old signing secret", "ok", f"one is taken until {secret.until:%Y-%m-%d %H:%M %Z}")
        else:
            fix = "take it away from STRIPE_WEBHOOK_SECRET"
            yield Finding("old signing secret", "note", f"one ended at {secret.until:%Y-%m-%d %H:%M %Z}", fix)
