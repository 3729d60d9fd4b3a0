"""Sign up, confirm by code, sign in, sign out, set a new password. No answer tells who has an account."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import UserMixin, current_user, login_user, logout_user
from sqlalchemy import func

from billing import accounts, forms, queues, running, throttle
from billing.access import public, safe_next
from billing.clock import now
from billing.extensions import db, login_manager
from billing.language import _
from billing.models import AuthToken, LoginSession, User

bp = Blueprint("auth", __name__)

SEEN_EVERY_SECONDS = 300


class Browser(UserMixin):
    """What Flask-Login carries: a person in one signed-in browser. Its id is the browser's token.

    ``moment``: the database's clock as its row was read.
    """

    def __init__(self, row: LoginSession, token: str, moment: datetime) -> None:
        self.user: User = row.user
        self.row = row
        self.token = token
        self.moment = moment

    def get_id(self) -> str:
        return self.token

    @property
    def email(self) -> str:
        return self.user.email

    @property
    def is_admin(self) -> bool:
        return self.user.is_admin


@login_manager.user_loader
def load_browser(token: str) -> Browser | None:
    """Find the browser's row; a row that is gone signs it out, whatever its cookie says."""
    found = accounts.find_session(db.session(), token)
    if found is None:
        return None
    row, moment = found
    if (now() - row.last_seen_at).total_seconds() > SEEN_EVERY_SECONDS:
        row.last_seen_at = func.now()
        db.session.commit()
    return Browser(row, token, moment)


@bp.route("/signup", methods=["GET", "POST"])
@public
def signup() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect(url_for("portal.billing"), 303)
    form = forms.SignUp()
    config = running.config()
    if request.method == "GET":
        _keep_referral(request.args.get("ref", "")[:100])
        return render_template("auth/signup.html", form=form, min_length=config.password_min_length)
    if not form.validate():
        return render_template("auth/signup.html", form=form, min_length=config.password_min_length), 422
    wait = _too_many("signup", form.email.data, limits=(5, 20))
    if wait:
        return too_many(wait)
    token = accounts.start_sign_up(
        db.session(), form.email.data, form.password.data, session.get("referral"), config.secret_key
    )
    db.session.commit()
    queues.ring()
    session["signup"] = token.id
    return redirect(url_for("auth.confirm", next=request.args.get("next")), 303)


@bp.route("/signup/confirm", methods=["GET", "POST"])
@public
def confirm() -> ResponseReturnValue:
    token = db.session.get(AuthToken, session.get("signup") or 0)
    if token is None:
        return redirect(url_for("auth.signup", next=request.args.get("next")), 303)
    if request.form.get("again"):
        return _send_again(token)
    form = forms.Confirm()
    if request.method == "GET":
        return render_template("auth/confirm.html", form=form, email=token.email)
    if form.validate():
        user = accounts.finish_sign_up(db.session(), token.id, form.code.data, running.config().secret_key)
        db.session.commit()
        if user is not None:
            queues.ring()
            sign_in(user)
            return redirect(safe_next(request.args.get("next"), url_for("pricing.plans")), 303)
        form.code.errors = [_("This code doesn’t match or has expired. Check it, or send a new code.")]
    return render_template("auth/confirm.html", form=form, email=token.email), 422


@bp.route("/login", methods=["GET", "POST"])
@public
def login() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect(url_for("portal.billing"), 303)
    form = forms.SignIn()
    if request.method == "GET":
        return render_template("auth/login.html", form=form)
    if not form.validate():
        return render_template("auth/login.html", form=form), 422
    wait = _too_many("login", form.email.data, limits=(5, 20))
    if wait:
        return too_many(wait)
    user = accounts.authenticate(db.session(), form.email.data, form.password.data)
    if user is None:
        current_app.logger.warning("sign-in refused", extra={"address": request.remote_addr})
        form.form_errors.append(_("Email or password is incorrect."))
        return render_template("auth/login.html", form=form), 422
    throttle.clear(db.session(), _bucket("login", form.email.data))
    throttle.undo(db.session(), throttle.bucket("login", request.remote_addr or ""))
    sign_in(user)
    return redirect(safe_next(request.args.get("next"), url_for("portal.billing")), 303)


@bp.post("/logout")
@public
def logout() -> ResponseReturnValue:
    if current_user.is_authenticated:
        row = db.session.get(LoginSession, current_user.row.id)
        if row is not None:
            db.session.delete(row)
        db.session.commit()
    logout_user()
    session.clear()
    answer = current_app.make_response(redirect(url_for("auth.login"), 303))
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@bp.route("/reset", methods=["GET", "POST"])
@public
def reset() -> ResponseReturnValue:
    form = forms.Reset()
    if request.method == "GET":
        return render_template("auth/reset.html", form=form)
    if not form.validate():
        return render_template("auth/reset.html", form=form), 422
    wait = _too_many("reset", form.email.data, limits=(5, 20))
    if wait:
        return too_many(wait)
    accounts.start_reset(db.session(), form.email.data)
    db.session.commit()
    queues.ring()
    return render_template("auth/reset.html", form=form, sent_to=form.email.data)


@bp.route("/reset/<secret>", methods=["GET", "POST"])
@public
def reset_new(secret: str) -> ResponseReturnValue:
    token = accounts.open_link(db.session(), "reset", secret)
    user = db.session.get(User, token.user_id) if token and token.user_id else None
    if token is None or user is None:
        notice = _("This link has expired or was used. Ask for a new one.")
        return render_template("auth/reset.html", form=forms.Reset(formdata=None), notice=notice), 410
    form = forms.NewPassword()
    form.for_email = user.email
    minimum = running.config().password_min_length
    if request.method == "POST" and form.validate():
        token.used_at = func.now()
        accounts.set_password(db.session(), user, form.new_password.data)
        db.session.commit()
        queues.ring()
        flash(_("Your password was changed. Sign in with the new one."))
        return redirect(url_for("auth.login"), 303)
    db.session.rollback()
    status = 422 if request.method == "POST" else 200
    page = render_template("auth/reset_new.html", form=form, email=token.email, min_length=minimum)
    return page, status


def sign_in(user: User) -> None:
    """A fresh browser row and a fresh cookie: nothing of the visit before stays."""
    token = accounts.open_session(db.session(), user, request.user_agent.string)
    db.session.commit()
    session.clear()
    session.permanent = True
    found = accounts.find_session(db.session(), token)
    if found is not None:
        row, moment = found
        login_user(Browser(row, token, moment))


def too_many(minutes: int) -> ResponseReturnValue:
    """The page for too many tries, with the wait in its text and in ``Retry-After``."""
    page = render_template("errors/429.html", minutes=minutes)
    return page, 429, {"Retry-After": str(minutes * 60)}


def _send_again(token: AuthToken) -> ResponseReturnValue:
    wait = _too_many("signup", token.email, limits=(5, 20))
    if wait:
        return too_many(wait)
    session["signup"] = accounts.new_code(db.session(), token, running.config().secret_key).id
    db.session.commit()
    queues.ring()
    flash(_("We sent a new code."))
    return redirect(url_for("auth.confirm", next=request.args.get("next")), 303)


def _keep_referral(code: str) -> None:
    """The first one counts. One that PostgreSQL can't keep would stand in the way of the sign-up."""
    if code and code.isprintable():
        session.setdefault("referral", code)


def _too_many(what: str, email: str, *, limits: tuple[int, int]) -> int:
    """Count this try for the pair of address and machine, and for the machine. Minutes to wait, or 0."""
    pair = throttle.hit(db.session(), _bucket(what, email), limits[0])
    machine = throttle.hit(db.session(), throttle.bucket(what, request.remote_addr or ""), limits[1])
    return max(pair, machine)


def _bucket(what: str, email: str) -> str:
    return throttle.bucket(what, email.lower(), request.remote_addr or "")
