"""Who may see what: sign-in is required unless a view is public, and ``access_required`` asks ``standing``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import abort, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from billing import facts, grants, refresh, running
from billing.clock import database_now
from billing.config import Config
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _
from billing.models import StripeEvent, User
from billing.standing import Standing

View = TypeVar("View", bound=Callable[..., Any])
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def public(view: View) -> View:
    """Mark a view that needs no sign-in."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def require_sign_in() -> ResponseReturnValue | None:
    """Before each request: everything is closed to strangers but what is marked public."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.endpoint == "static" or getattr(view, "is_public", False):
        return None
    if current_user.is_authenticated:
        return None
    wanted = request.full_path.rstrip("?") if request.method in SAFE_METHODS else None
    return redirect(url_for("auth.login", next=wanted), 303)


def refuse_cross_site() -> None:
    """A second lock beside the CSRF token: browsers say where a request came from. Older ones send ``Origin`` only."""
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    config = running.config()
    ours = {None, config.public_url, f"{request.scheme}://{request.host}"}
    if site not in ("same-origin", "none") if site is not None else origin not in ours:
        abort(403)


def require_admin() -> ResponseReturnValue | None:
    """For the admin blueprint: 403 for everybody else who is signed in."""
    if current_user.is_authenticated and not current_user.is_admin:
        abort(403)
    return None


def safe_next(target: str | None, default: str) -> str:
    """A path on this site, or the default: never an address that leads away."""
    if not target or not target.startswith("/") or target[1:2] in ("/", "\\"):
        return default
    if any(ord(char) < 33 or char == "\\" for char in target):
        return default
    parts = urlsplit(target)
    return default if parts.scheme or parts.netloc else target


def person() -> User:
    """The signed-in user, with its type."""
    return cast(User, current_user._get_current_object().user)


def moment() -> datetime:
    """The database's clock as this request found out who is signed in. What Stripe was asked since is younger."""
    return cast(datetime, current_user._get_current_object().moment)


def my_standing(*, fresh: bool = False) -> Standing:
    """The signed-in person's standing. ``fresh``: ask Stripe first where the row is too old to decide on."""
    config = running.config()
    user = person()
    unreachable = fresh and not _refreshed(user, config)
    session = db.session()
    now = database_now(session) if fresh else moment()
    return facts.standing_of(session, user.id, config, now, unreachable=unreachable)


def access_required(view: View) -> View:
    """Let in whom ``standing`` lets in; everybody else is told why on the billing page."""
    return _guarded(view, lambda standing: standing.access)


def feature_required(feature: str) -> Callable[[View], View]:
    """The same for one feature: open by a plan that lets in and gives it, or for life (``grants.features_of``)."""
    return lambda view: _guarded(
        view, lambda standing: feature in grants.features_of(db.session(), person().id, standing)
    )


def _guarded(view: View, lets_in: Callable[[Standing], bool]) -> View:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        standing = my_standing(fresh=True)
        if lets_in(standing):
            return view(*args, **kwargs)
        if standing.stale:
            flash(_("We couldn’t ask Stripe about your plan for too long. Try again in a few minutes."))
        else:
            flash(_("You need a plan with access to open that page."))
        return redirect(url_for("portal.billing"), 303)

    return cast(View, guarded)


def _refreshed(user: User, config: Config) -> bool:
    """Whether the row is young enough, if need be after asking Stripe; False where Stripe can't be asked."""
    row = facts.subscription_of(db.session(), user.id)
    if row is None or row.final or row.fetched_at > database_now(db.session()) - refresh.fresh(config):
        return True
    try:
        event = refresh.subscription(db.session(), row.stripe_id, user.stripe_customer_id, config, "access")
    except StripeError:
        return False
    return event.state != StripeEvent.PENDING
