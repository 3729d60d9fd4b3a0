"""The webhook endpoint at Stripe: is it there, does it send what we act on, does what it sends arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import inbox, stripe_client, stripe_reads
from billing.checks.finding import Finding
from billing.checks.settings import local
from billing.clock import from_stripe, now
from billing.config import Config
from billing.jobs import HANDLERS
from billing.models import StripeEvent
from billing.payloads import Object

ABOUT = "webhook endpoint"
PATH = "/webhooks/stripe"
ALL = "*"
TEST_ONLY = "test_helpers."
A_DAY, A_WHILE = timedelta(days=1), timedelta(minutes=5)


def found(session: Session, config: Config) -> Iterator[Finding]:
    """The endpoint that leads here, and what of yesterday's and today's events has not come by it."""
    url = config.public_url + PATH
    every = stripe_reads.list_webhook_endpoints()
    ours = [one for one in every if one["url"] == url]
    if not ours:
        yield _none(config, url, every)
    if len(ours) > 1:
        says = f"{len(ours)} endpoints lead here, so each event comes as often"
        yield Finding(ABOUT, "warn", says, f"remove all but one: {', '.join(one['id'] for one in ours)}")
    for one in ours:
        yield from _one(one, config)
    yield _undelivered(session)


def _none(config: Config, url: str, every: list[Object]) -> Finding:
    if local(config):
        says = "none can lead to this machine; `stripe listen` must forward events here"
        return Finding(ABOUT, "note", says)
    host = urlsplit(url).hostname
    near = [_shown(one["url"]) for one in every if urlsplit(one["url"]).hostname == host]
    says = f"none leads to {url}" + (f"; there is {' and '.join(near)}" if near else "")
    return Finding(ABOUT, "wrong", says, "make one, or correct its address (docs/deploy.md, step 2)")


def _shown(url: str) -> str:
    """Without what may be somebody's secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _one(one: Object, config: Config) -> Iterator[Finding]:
    if one["status"] != "enabled":
        says = f"{one['id']} is switched off; Stripe sends it nothing"
        yield Finding(ABOUT, "wrong", says, "enable it at Stripe, then run `flask sync all`")
    else:
        yield Finding(ABOUT, "ok", f"{one['id']} leads here and is switched on")
    version = one["api_version"]
    if version != stripe_client.API_VERSION:
        says = f"{one['id']} sends {version or 'the account’s default version'}"
        fix = f"make one with the version {stripe_client.API_VERSION}; events are applied all the same"
        yield Finding("endpoint’s version", "warn", says, fix)
    else:
        yield Finding("endpoint’s version", "ok", version)
    yield _types(one, livemode=config.livemode)


def _types(one: Object, *, livemode: bool) -> Finding:
    sent = set(one["enabled_events"])
    wanted = [name for name in HANDLERS if not inbox.is_ours(name)]
    needed = [name for name in wanted if not (livemode and name.startswith(TEST_ONLY))]
    lacking = [name for name in needed if name not in sent and ALL not in sent]
    if lacking:
        says = f"{one['id']} doesn’t send {', '.join(lacking)}"
        return Finding(
            "event types", "wrong", says, "add them (docs/deploy.md lists all); the reconciler finds the rest"
        )
    more = sorted(sent - {*wanted, ALL})
    if ALL in sent:
        return Finding(
            "event types", "ok", "it sends every type; those that are not acted on are stored as ignored"
        )
    if more:
        return Finding("event types", "ok", f"all that are needed; stored as ignored: {', '.join(more)}")
    return Finding("event types", "ok", f"exactly the {len(needed)} that are acted on")


def _undelivered(session: Session) -> Finding:
    """What some endpoint has not taken and we have not got by webhook: another endpoint's trouble is not ours."""
    since = now() - A_DAY
    events = [one for one in stripe_reads.list_undelivered(int(since.timestamp())) if one["type"] in HANDLERS]
    ids = [one["id"] for one in events]
    got = select(StripeEvent.event_id).where(StripeEvent.event_id.in_(ids), StripeEvent.source == "webhook")
    taken = set(session.execute(got).scalars())
    lost = [one for one in events if one["id"] not in taken]
    if not lost:
        return Finding("deliveries", "ok", "nothing of the last day is left undelivered")
    oldest = min(from_stripe(one["created"]) or since for one in lost)
    late = now() - oldest > A_WHILE
    says = f"{len(lost)} events of the last day were not taken here" + (
        "" if late else ", the oldest just now"
    )
    fix = (
        "see what Stripe was answered (the endpoint’s page there): 400 is a wrong STRIPE_WEBHOOK_SECRET, nothing a "
        "wrong address or a machine that is down; the reconciler fetches them meanwhile"
    )
    return Finding("deliveries", "wrong" if late else "warn", says, fix)
