"""Dunlin, put together. ``flask --app app …`` and ``gunicorn "app:web()"`` both start here."""

from __future__ import annotations

import gc

gc.disable()  # What is imported stays: to look for garbage meanwhile takes a seventh of a start.

import os
import sys
from datetime import timedelta
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

import billing.models  # noqa: F401 the tables must be known before the first migration
from billing import (
    account,
    admin,
    arrival,
    auth,
    banner,
    boot,
    canceling,
    cli,
    cli_doctor,
    cli_mails,
    cli_plans,
    cli_sync,
    deleting,
    email_change,
    front,
    health,
    ledger,
    locales,
    logs,
    mail_pages,
    new_card,
    orders,
    packing,
    pausing,
    paying,
    plan_file,
    portal,
    pricing,
    purchases,
    queues,
    receipts,
    seats,
    shop,
    stripe_client,
    switching,
    webhooks,
    withdrawing,
)
from billing import config as settings
from billing import web as pages
from billing.config import Config
from billing.errors import ConfigError
from billing.extensions import csrf, db, engine_options, intake_options, login_manager, migrate

gc.freeze()  # nor is it ever looked through again
gc.enable()

HERE = Path(__file__).parent
OWN_ENV, MADE_ENV = HERE / ".env", HERE / ".data" / "env"
BODY_LIMIT = 1024 * 1024


def create_app(config: Config | None = None) -> Flask:
    """The application. Where the environment (read unless ``config`` is given) or ``plans.toml`` is not safe to
    start with, the program ends with one sentence; so do ``flask`` commands."""
    try:
        config = config or _read_config()
        catalogue = plan_file.load(HERE / "plans.toml")
    except ConfigError as problem:
        sys.exit(f"Dunlin does not start: {problem}")
    logs.configure()
    app = Flask("app", root_path=str(HERE), template_folder="templates", static_folder="static")
    app.config.update(_flask_settings(config))
    app.url_map.merge_slashes = False  # the router's own redirects name the host that the request claims
    app.extensions["config"] = config
    app.extensions["catalogue"] = catalogue
    db.init_app(app)
    migrate.init_app(app, db, directory="migrations")
    login_manager.init_app(app)
    login_manager.session_protection = None
    queues.init_app(app, config.redis_url)
    stripe_client.init_app(app, config)
    packing.init_app(app)
    banner.init_app(app)
    pages.init_app(app, config)  # names the request and refuses other sites before the token is looked at
    csrf.init_app(app)
    for module in (
        webhooks,
        auth,
        pricing,
        portal,
        canceling,
        pausing,
        paying,
        new_card,
        ledger,
        receipts,
        orders,
        shop,
        purchases,
        seats,
        switching,
        withdrawing,
        arrival,
        account,
        email_change,
        deleting,
        locales,
        admin,
        health,
    ):
        app.register_blueprint(module.bp)
    mail_pages.init_app(app)
    cli.init_app(app)
    cli_doctor.init_app(app)
    cli_plans.init_app(app)
    cli_sync.init_app(app)
    cli_mails.init_app(app)
    app.wsgi_app = front.Front(app, config)  # type: ignore[method-assign]
    if config.proxy_hops:
        hops = config.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_port=0)  # type: ignore[method-assign]
    return app


def web() -> Flask:
    """The application behind gunicorn: refuses a database of another mode or account before it serves."""
    app = create_app()
    try:
        with app.app_context():
            boot.refuse_foreign_database()
            boot.tell_of_old_schema()
    except ConfigError as problem:
        sys.exit(f"Dunlin does not start: {problem}")
    return app


def _read_config() -> Config:
    """The environment; names it lacks are looked up in ``.env``, then in ``.data/env`` (what ``make run`` made).

    The latter only in development: a secret that was made up here must not stand in for one that is missing.
    """
    environ = {**_lines(OWN_ENV), **os.environ}
    if environ.get("APP_ENV", "development") == "development":
        environ = {**_lines(MADE_ENV), **environ}
    return settings.load(environ)


def _lines(path: Path) -> dict[str, str]:
    """NAME=value lines of a file, but for empty values; none where there is no file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs if value.strip()}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _flask_settings(config: Config) -> dict[str, object]:
    secure = config.secure_cookies
    return {
        "SECRET_KEY": config.secret_key,
        "SECRET_KEY_FALLBACKS": list(config.secret_key_fallbacks),
        "MAX_CONTENT_LENGTH": BODY_LIMIT,
        "MAX_FORM_MEMORY_SIZE": 64 * 1024,
        "MAX_FORM_PARTS": 50,
        "SESSION_COOKIE_NAME": "__Host-dunlin" if secure else "dunlin",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": timedelta(days=30),
        "SESSION_REFRESH_EACH_REQUEST": False,
        "SQLALCHEMY_DATABASE_URI": config.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(),
        "SQLALCHEMY_BINDS": {"intake": {"url": config.database_url, **intake_options()}},
        "WTF_CSRF_TIME_LIMIT": None,
        "WTF_CSRF_SSL_STRICT": False,
        "HEROKU_REDIS": os.environ.get("HEROKU_REDIS", "") == "1",
        "TRUSTED_HOSTS": None,
    }
