"""What every page shares: security headers, filters, hashed static addresses, error pages."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from functools import cache
from itertools import islice
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
    render_template,
    request,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from markupsafe import Markup, escape
from sqlalchemy.exc import DataError, SQLAlchemyError
from werkzeug.exceptions import BadRequest, HTTPException

from billing import deadline, language, logs, running, words
from billing.access import refuse_cross_site, require_sign_in
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.money import format_money

STRIPE_PAGES = ("https://checkout.stripe.com", "https://billing.stripe.com", "https://invoice.stripe.com")
MOST_FIELDS = 12  # no form of ours has more; a stranger may send a hundred thousand
# All talk with Stripe of one request; Heroku's router gives up at 30. What is left open then the clock finishes.
STRIPE_SECONDS = 20.0
PAGES = (400, 403, 404, 405, 410, 413, 429, 503)


def init_app(app: Flask, config: Config) -> None:
    """Bind all of it to the application."""
    policy = content_security_policy(config)
    app.before_request(_begin)
    app.teardown_request(_end)
    if config.secure_cookies:
        app.before_request(lambda: _to_https(config))
    app.before_request(refuse_cross_site)
    app.before_request(require_sign_in)
    app.after_request(lambda answer: _headers(answer, policy, config))
    app.add_template_filter(_money, "money")
    app.add_template_filter(_day, "day")
    app.add_template_filter(_moment, "moment")
    app.add_template_filter(_ago, "ago")
    app.context_processor(lambda: _shared(config))
    app.add_template_global(asset)
    app.add_template_global(language._, "_")
    app.add_template_global(language._n, "_n")
    for status in PAGES:
        app.register_error_handler(status, _error_page)
    app.register_error_handler(CSRFError, _stale_form)
    app.register_error_handler(SQLAlchemyError, _no_database)
    app.register_error_handler(500, _our_fault)


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


def _headers(answer: Response, policy: str, config: Config) -> Response:
    headers = answer.headers
    headers.setdefault("Content-Security-Policy", policy)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
    if config.secure_cookies:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
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
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", escape(text or ""))


def _day(moment: datetime | None) -> Markup:
    return _time(moment, words.day(moment))


def _moment(moment: datetime | None) -> Markup:
    return _time(moment, words.moment_text(moment) if moment else None)


def _ago(moment: datetime | None) -> Markup:
    return _time(moment, words.ago(moment, now()) if moment else None)


def _error_page(problem: HTTPException) -> ResponseReturnValue:
    """The page of a status; a webhook or a JSON path gets no HTML."""
    status = problem.code or 500
    headers = {name: value for name, value in problem.get_headers() if name == "Allow"}
    if request.path.startswith(("/webhooks/", "/checkout/state")):
        return {"error": problem.name}, status, headers
    return render_template(f"errors/{status}.html", minutes=15), status, headers


def _stale_form(problem: CSRFError) -> ResponseReturnValue:
    """The form's token is too old: show what was entered, never a password, and let it be sent again."""
    hidden = {"plan", "interval", "once", "again", "username"}
    fields = [
        {
            "name": name,
            "label": name.replace("_", " ").capitalize(),
            "value": "" if "password" in name else value,
            "kind": "hidden" if name in hidden else "password" if "password" in name else "text",
        }
        for name, value in islice(request.form.items(), MOST_FIELDS)
        if name != "csrf_token"
    ]
    return render_template("errors/csrf.html", action=request.full_path.rstrip("?"), fields=fields), 400


def _no_database(problem: SQLAlchemyError) -> ResponseReturnValue:
    current_app.logger.error("database error", extra={"reason": type(problem).__name__, "path": request.path})
    if isinstance(problem, DataError):  # a NUL or a huge number was sent, which PostgreSQL can't keep
        db.session.rollback()
        return _error_page(BadRequest())
    return _alone("503"), 503


def _our_fault(problem: HTTPException) -> ResponseReturnValue:
    cause = getattr(problem, "original_exception", None)
    if isinstance(cause, SQLAlchemyError):  # raised while an error page was made
        return _no_database(cause)
    return _alone("500", retry=request.path if request.method == "GET" else None), 500


def _alone(name: str, **facts: object) -> str:
    """An error page without what every page shares: who is signed in is asked of the database, which may be away."""
    config = running.config()
    page = current_app.jinja_env.get_template(f"errors/{name}.html")
    return page.render(brand=config.brand_name, request_id=g.get("request_id"), **facts)
