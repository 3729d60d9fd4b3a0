"""The admin pages: one small module for each noun. Everybody else gets 403."""

from __future__ import annotations

from flask import Blueprint

from billing import language
from billing.access import require_admin

bp = Blueprint("admin", __name__, url_prefix="/admin")
bp.before_request(require_admin)


@bp.before_request
def _in_english() -> None:
    """Admin pages are in English, whatever the admin's own pages speak."""
    language.speak(language.DEFAULT)


from billing.admin import (  # noqa: E402, F401 they add their views to the blueprint
    comps,
    disputes,
    event,
    events,
    ready,
    refund,
    rehearse,
    runs,
    subscribers,
    subscription,
)
