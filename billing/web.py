"""What every page shares: security headers, filters, hashed static addresses."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    g,
    get_flashed_messages,
    redirect,
    request,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from billing import deadline, language, locales, logs, trouble, words
from billing.access import refuse_cross_site, require_sign_in
from billing.clock import now
from billing.config import Config
from billing.money import format_money

STRIPE_PAGES = (
    "https://checkout.stripe.com",
    "https://billing.stripe.com",
    "https://invoice.stripe.com",
    "https://pay.stripe.com",  # an invoice's PDF
    "https://hooks.stripe.com",  # a bank that wants to be asked (``next_action.redirect_to_url``)
)
# All talk with Stripe of one request; Heroku's router gives up at 30. What is left open then the clock finishes.
STRIPE_SECONDS = 20.0


def init_app(app: Flask, config: Config) -> None:
    """Bind all of it to the application."""
    every = headers(config)
    app.before_request(_begin)
    app.teardown_request(_end)
    locales.init_app(app)
    if config.secure_cookies:
        app.before_request(lambda: _to_https(config))
    app.before_request(locales.before_the_view)
    app.before_request(refuse_cross_site)
    app.before_request(require_sign_in)
    app.after_request(lambda answer: _headers(answer, every))
    app.add_template_filter(_money, "money")
    app.add_template_filter(_day, "day")
    app.add_template_filter(_moment, "moment")
    app.add_template_filter(_ago, "ago")
    app.add_template_filter(_strong, "strong")
    app.add_template_filter(_mail_link, "mail_link")
    app.context_processor(lambda: _shared(config))
    app.add_template_global(asset)
    app.add_template_global(language._, "_")
    app.add_template_global(language._n, "_n")
    trouble.init_app(app)


def content_security_policy(config: Config) -> str:
    """No inline anything, nothing of others. Forms may lead on to Stripe's pages: Chromium checks redirects too."""
    pages = list(STRIPE_PAGES)
    if config.stripe_api_base:
        base = urlsplit(config.stripe_api_base)
        pages.append(f"{base.scheme}://{base.netloc}")
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {' '.join(pages)}"
    )


def headers(config: Config) -> dict[str, str]:
    """What every answer carries, unless it has its own."""
    found = {
        "Content-Security-Policy": content_security_policy(config),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    }
    if config.secure_cookies:
        found["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return found


def _headers(answer: Response, every: dict[str, str]) -> Response:
    headers = answer.headers
    for name, value in every.items():
        headers.setdefault(name, value)
    if request.endpoint != "static" or answer.status_code >= 400:  # an error page knows who is signed in
        headers["Cache-Control"] = "no-store"
    elif answer.status_code == 200 and "v" in request.args:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    headers["X-Request-Id"] = g.get("request_id", "")
    return answer


def _to_https(config: Config) -> ResponseReturnValue | None:
    """A page asked for by http is asked for again by https. Webhooks and health checks never redirect."""
    if request.is_secure or request.path.startswith(("/webhooks/", "/healthz")):
        return None
    if request.method not in ("GET", "HEAD"):
        abort(403)
    # quoted again: a decoded line break can't be in a header, a decoded ? or # would lead elsewhere
    address = quote(request.path, safe="/:@!$&'()*+,;=~") + f"?{request.query_string.decode('latin-1')}"
    return redirect(config.public_url + address.rstrip("?"), 301)


def _begin() -> None:
    g.request_id = secrets.token_hex(6)
    logs.request_name.set(g.request_id)
    deadline.begin(STRIPE_SECONDS)


def _end(problem: BaseException | None) -> None:
    logs.request_name.set(None)
    deadline.forget()


def _shared(config: Config) -> dict[str, object]:
    messages = [str(message) for message in get_flashed_messages()] if request.method == "GET" else []
    shared: dict[str, object] = {
        "brand": config.brand_name,
        "livemode": config.livemode,
        "support_email": config.support_email,
        "eu_withdrawal": config.eu_withdrawal,
        "request_id": g.get("request_id", ""),
    }
    if messages:
        shared["notice"] = " ".join(messages)
    return shared


def asset(path: str) -> str:
    """The address of a file under ``static/`` with a mark of its content, so that it may be kept for good."""
    return f"/static/{path}?v={_mark(current_app.static_folder or '', path)}"


@cache
def _mark(folder: str, path: str) -> str:
    return hashlib.sha256((Path(folder) / path).read_bytes()).hexdigest()[:10]


def _money(amount: int, currency: str) -> str:
    return format_money(amount, currency)


def _time(moment: datetime | None, text: str | None) -> Markup:
    if moment is None:
        return Markup("")
    at = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}">{}</time>').format(at, escape(text or ""))


def _day(moment: datetime | None) -> Markup:
    return _time(moment, words.day(moment))


def _moment(moment: datetime | None) -> Markup:
    return _time(moment, words.moment_text(moment) if moment else None)


def _ago(moment: datetime | None) -> Markup:
    return _time(moment, words.ago(moment, now()) if moment else None)


def _strong(text: str) -> Markup:
    return Markup("<b>{}</b>").format(text)


def _mail_link(address: str) -> Markup:
    return Markup('<a href="mailto:{0}">{0}</a>').format(address)
