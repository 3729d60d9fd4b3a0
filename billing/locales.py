"""The language of each request, and choosing another one.

The person's own choice stands first, then what this browser chose (a cookie), then what it asks for
(``Accept-Language``), then ``DEFAULT_LOCALE``. Days are those of the person's time zone, else of ``DISPLAY_TZ``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, redirect, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import HTTPException

from billing import language, readers, running
from billing.access import public, safe_next
from billing.config import Config

bp = Blueprint("locales", __name__)

KEPT_SECONDS = 365 * 86400
# Nobody reads these: no person is looked up for them, and nothing of them is in a language.
FOR_MACHINES = ("/webhooks/", "/healthz")


def init_app(app: Flask) -> None:
    """Begin and end each request in its own language. Registered before all that may answer with a page."""
    app.before_request(as_the_browser_asks)
    app.teardown_request(_forget)
    app.after_request(_name_it)
    app.add_template_global(_others, "other_languages")
    app.add_template_global(language.tag, "language_tag")


def as_the_browser_asks() -> None:
    """What is known without the database; it may be away, and that page is read too."""
    config = running.config()
    language.speak(_chosen() or _asked_for() or config.default_locale, config.display_tz)


def before_the_view() -> None:
    """Look up whose page it is before any word of it is chosen."""
    if request.endpoint != "static" and not request.path.startswith(FOR_MACHINES):
        as_the_person_chose()


def as_the_person_chose() -> None:
    """Whoever is signed in reads their own language. Admin pages are in English."""
    if not current_user.is_authenticated:
        return
    user = current_user.user
    chosen = user.locale if user.locale in language.LOCALES else language.locale()
    english = user.is_admin and request.blueprint == "admin"
    language.speak(language.DEFAULT if english else chosen, readers.zone_of(user))


@bp.post("/language")
@public
def choose() -> ResponseReturnValue:
    """Speak this language to this browser from now on, and go back to the page that it was on."""
    wanted = request.form.get("locale", "")
    if wanted not in language.LOCALES:
        abort(400)
    answer = current_app.make_response(redirect(_where_from(), 303))
    config = running.config()
    answer.set_cookie(
        _cookie(config),
        wanted,
        max_age=KEPT_SECONDS,
        secure=config.secure_cookies,
        httponly=True,
        samesite="Lax",
    )
    return answer


def _where_from() -> str:
    """The page that the form was on, as the browser says; only a page of ours that can be opened."""
    parts = urlsplit(request.referrer or "")
    target = safe_next(parts._replace(scheme="", netloc="").geturl(), "/")
    try:
        current_app.create_url_adapter(request).match(urlsplit(target).path, method="GET")  # type: ignore[union-attr]
    except HTTPException:
        return "/"
    return target


def _chosen() -> str | None:
    kept = request.cookies.get(_cookie(running.config()))
    return kept if kept in language.LOCALES else None


def _asked_for() -> str | None:
    return language.negotiate(tag for tag, quality in request.accept_languages if quality > 0)


def _cookie(config: Config) -> str:
    return "__Host-dunlin-language" if config.secure_cookies else "dunlin-language"


def _others() -> list[tuple[str, str, str]]:
    """What is not spoken now: each locale, its tag in HTML, and its name in its own language."""
    others = ((name, title) for name, title in language.LOCALES.items() if name != language.locale())
    return [(name, language.as_tag(name), title) for name, title in others]


def _name_it(answer: Response) -> Response:
    """Say which language it is, and on what that depends. A redirect has no language of its own."""
    if request.path.startswith(FOR_MACHINES) or (request.endpoint == "static" and answer.status_code < 400):
        return answer
    answer.vary.update(("Accept-Language", "Cookie"))
    if not 300 <= answer.status_code < 400:
        answer.headers.setdefault("Content-Language", language.tag())
    return answer


def _forget(problem: BaseException | None) -> None:
    language.forget()
