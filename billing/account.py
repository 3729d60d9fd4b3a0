"""The person's own account: password, signed-in browsers, and whether their address takes mail again."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from billing import accounts, bounces, forms, passwords, queues, running, throttle
from billing.access import person
from billing.auth import too_many
from billing.extensions import db

bp = Blueprint("account", __name__)


@bp.get("/account")
def index() -> ResponseReturnValue:
    return _page(forms.ChangePassword())


@bp.post("/account/password")
def password() -> ResponseReturnValue:
    user, form = person(), forms.ChangePassword()
    form.for_email = user.email
    if not form.validate():
        return _page(form), 422
    wait = throttle.hit(db.session(), throttle.bucket("password", str(user.id)), 5)
    if wait:
        return too_many(wait)
    db.session.refresh(
        user, with_for_update=True
    )  # of two presses at once the second sees what the first one did
    if not passwords.matches(user.password_hash, form.current_password.data):
        form.current_password.errors = ["This is not your current password."]
        return _page(form), 422
    accounts.set_password(db.session(), user, form.new_password.data, keep_session=current_user.row.id)
    db.session.commit()
    queues.ring()
    flash("Your password was changed. Other browsers were signed out.")
    return redirect("/account", 303)


@bp.post("/account/signout-others")
def sign_out_others() -> ResponseReturnValue:
    accounts.close_sessions(db.session(), person().id, but=current_user.row.id)
    db.session.commit()
    flash("Other browsers were signed out.")
    return redirect("/account", 303)


@bp.post("/account/mail")
def mail() -> ResponseReturnValue:
    """Write again to an address that refused mail; where it still does, the next mail finds out."""
    user, session = person(), db.session()
    if wait := throttle.hit(session, throttle.bucket("mail", str(user.id)), 5):
        return too_many(wait)
    if bounces.try_again(session, user.id, actor="user"):
        session.commit()
        flash(f"We’ll write to {user.email} again, from the next mail on.")
    return redirect("/billing", 303)


def _page(form: forms.ChangePassword) -> str:
    config = running.config()
    sessions = [
        {
            "label": _label(row.user_agent),
            "last_seen": row.last_seen_at,
            "current": row.id == current_user.row.id,
        }
        for row in accounts.open_sessions(db.session(), person().id)
    ]
    return render_template(
        "account/index.html",
        email=person().email,
        sessions=sessions,
        form=form if request.method == "POST" else forms.ChangePassword(formdata=None),
        min_length=config.password_min_length,
    )


def _label(user_agent: str) -> str:
    """“Chrome on Linux”, as far as the browser says."""
    browsers = ("Edg", "Firefox", "Chrome", "Safari")
    systems = ("Android", "iPhone", "Windows", "Mac OS", "Linux")
    browser = next((name for name in browsers if name in user_agent), "A browser").replace("Edg", "Edge")
    system = next((name for name in systems if name in user_agent), "")
    return f"{browser} on {system}" if system else browser
