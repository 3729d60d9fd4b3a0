"""The admin pages: one small module for each noun. Everybody else gets 403."""

from __future__ import annotations

from flask import Blueprint

from billing.access import require_admin

bp = Blueprint("admin", __name__, url_prefix="/admin")
bp.before_request(require_admin)

from billing.admin import event, events, rehearse, runs, subscribers, subscription  # noqa: E402, F401 they add their views to the blueprint
