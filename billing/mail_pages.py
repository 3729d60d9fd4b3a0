"""Every mail as it looks and as it reads, for whoever works on them. These pages are there in development only."""

from __future__ import annotations

from collections import Counter

from flask import Blueprint, Flask, Response, abort, render_template
from flask.typing import ResponseReturnValue

from billing import running, samples, specimens
from billing.access import public
from billing.config import Config
from billing.web import content_security_policy

bp = Blueprint("mail_pages", __name__, url_prefix="/dev/mails")
# A mail has its styles inline and nothing else: no script, no picture, no form, and links open elsewhere.
OF_A_MAIL = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def init_app(app: Flask) -> None:
    """Add the pages where this is development; anywhere else their addresses lead nowhere."""
    config: Config = app.extensions["config"]
    if config.app_env == "development":
        app.register_blueprint(bp)


@bp.get("")
@public
def index() -> str:
    """Each kind, and how many samples there are of it."""
    rows = Counter(one.kind for one in samples.every())
    return render_template("dev/mails.html", rows=rows.items())


@bp.get("/<kind>")
@public
def of_kind(kind: str) -> ResponseReturnValue:
    """Every sample of one kind, as it looks and as text."""
    found = list(specimens.every(running.config(), kind)) or abort(404)
    page = Response(render_template("dev/mail.html", kind=kind, found=found))
    policy = content_security_policy(running.config())
    page.headers["Content-Security-Policy"] = f"{policy}; frame-src 'self'"
    return page


@bp.get("/<kind>/<specimen>")
@public
def looks(kind: str, specimen: str) -> ResponseReturnValue:
    """The HTML of one mail by itself, as it stands in the frame of that page."""
    found = next((one for one in specimens.every(running.config(), kind) if one.name == specimen), None)
    if found is None:
        abort(404)
    return Response(found.html, headers={"Content-Security-Policy": OF_A_MAIL})
