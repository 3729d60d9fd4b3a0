"""The pages of what goes wrong: what it means for the person, one way on, and never how it is built."""

from __future__ import annotations

from itertools import islice
from math import ceil

from flask import Flask, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, SQLAlchemyError
from werkzeug.exceptions import BadRequest, HTTPException

from billing import locales, running, throttle
from billing.auth import too_many
from billing.extensions import db
from billing.language import _, later

MOST_FIELDS = 12  # no form of ours has more; a stranger may send a hundred thousand
PAGES = (400, 403, 404, 405, 410, 413, 429, 503)
# The fields of a form that came too late, as people read them; every other one is kept unseen.
LABELS = {
    "email": later("Email"),
    "code": later("Code"),
    "password": later("Password"),
    "current_password": later("Current password"),
    "new_password": later("New password"),
}


def init_app(app: Flask) -> None:
    """Have each kind of trouble told by its page."""
    for status in PAGES:
        app.register_error_handler(status, _error_page)
    app.register_error_handler(CSRFError, _stale_form)
    app.register_error_handler(SQLAlchemyError, _no_database)
    app.register_error_handler(500, _our_fault)


def _error_page(problem: HTTPException) -> ResponseReturnValue:
    """The page of a status; a webhook or a JSON path gets no HTML."""
    status = problem.code or 500
    headers = {name: value for name, value in problem.get_headers() if name == "Allow"}
    if request.path.startswith(("/webhooks/", "/checkout/state")):
        return {"error": problem.name}, status, headers
    locales.as_the_person_chose()  # the address of a file that isn't there looked nobody up
    if status == 429:
        return too_many(_minutes(getattr(problem, "retry_after", None)))
    return render_template(f"errors/{status}.html"), status, headers


def _minutes(retry_after: object) -> int:
    """Whole minutes to wait; where nobody said how many seconds, as long as tries are counted."""
    seconds = retry_after if isinstance(retry_after, int) else throttle.WINDOW.total_seconds()
    return max(1, ceil(seconds / 60))


def _stale_form(problem: CSRFError) -> ResponseReturnValue:
    """The form's token is too old: show what was entered, never a password, and let it be sent again."""
    fields = [
        {
            "name": name,
            "label": _(LABELS[name]) if name in LABELS else "",
            "value": "" if "password" in name else value,
            "kind": "hidden" if name not in LABELS else "password" if "password" in name else "text",
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
