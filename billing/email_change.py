"""Changing one's e-mail address: ask with the password, confirm by the code, and the way back by mail to the old one.

No answer tells whether an address has an account, until its mailbox has proved to be the person's.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from billing import accounts, addresses, forms, passwords, queues, registry, running, throttle
from billing.access import person, public
from billing.auth import too_many
from billing.errors import AddressTaken
from billing.extensions import db
from billing.language import _

bp = Blueprint("email_change", __name__)

CODES, HOUR = 5, timedelta(hours=1)  # of one person, and to one address


@bp.get("/account/email")
def page() -> ResponseReturnValue:
    """The form for a new address; or for the code, while one waits for it."""
    return _page()


@bp.post("/account/email")
def ask() -> ResponseReturnValue:
    """Mail a code to the new address, for somebody who knows the password."""
    user, form = person(), forms.ChangeEmail()
    if not form.validate():
        return _page(form), 422
    if form.email.data.lower() == user.email.lower():
        form.email.errors = [_("This is your email address already.")]
        return _page(form), 422
    # guesses here and on the account page are counted together
    wait = throttle.hit(db.session(), throttle.bucket("password", str(user.id)), 5)
    if wait:
        return too_many(wait)
    if not passwords.matches(user.password_hash, form.current_password.data):
        form.current_password.errors = [_("This is not your current password.")]
        return _page(form), 422
    return _send(form.email.data)


@bp.post("/account/email/again")
def again() -> ResponseReturnValue:
    """Send another code to the address that waits for one."""
    waiting = addresses.pending(db.session(), person().id)
    return redirect("/account/email", 303) if waiting is None else _send(waiting.email, again=True)


@bp.post("/account/email/keep")
def keep() -> ResponseReturnValue:
    """Stay at the present address."""
    addresses.keep(db.session(), person())
    db.session.commit()
    flash(_("Your email stays {email}.", email=person().email))
    return redirect("/account", 303)


@bp.post("/account/email/code")
def confirm() -> ResponseReturnValue:
    """Enter the code: the address changes, and Stripe is told in the background, however long that takes."""
    session, user, form = db.session(), person(), forms.Confirm()
    if addresses.pending(session, user.id) is None:  # a second press, when the first one has done it
        return redirect("/account", 303)
    if not form.validate():
        return _page(form), 422
    try:
        moved = addresses.confirm(
            session,
            user,
            form.code.data,
            running.config().secret_key,
            keep_session=current_user.row.id,
            user_agent=request.user_agent.string,
        )
    except AddressTaken:
        session.commit()  # the code is used up
        fresh = forms.ChangeEmail(formdata=None)
        fresh.form_errors.append(_("That address has an account of its own by now. Choose another one."))
        return _page(fresh), 409
    if moved is None:
        session.commit()  # the miss counts
        if addresses.pending(session, user.id) is None:
            return redirect("/account", 303)
        form.code.errors = [_("This code doesn’t match or has expired. Check it, or send a new code.")]
        return _page(form), 422
    _keep(moved)
    flash(_("Your email is now {email}. Other browsers were signed out.", email=user.email))
    return redirect("/account", 303)


@bp.route("/account/email/undo/<way_back>", methods=["GET", "POST"])
@public
def undo(way_back: str) -> ResponseReturnValue:
    """By the link in the mail to the old address: put it back, sign everybody out, and choose a new password."""
    session = db.session()
    token = accounts.open_link(session, "undo", way_back)
    if token is None:
        session.rollback()
        return render_template("account/email_undo.html", email=None), 410
    email = token.email
    if request.method != "POST":  # a HEAD is a look too, and carries no token
        session.rollback()
        return render_template("account/email_undo.html", email=email)
    try:
        moved = addresses.undo(session, token)
    except AddressTaken:
        session.rollback()
        return render_template("account/email_undo.html", email=email, taken=True), 409
    _keep(moved)
    flash(_("Your email is {email} again, and everybody was signed out. Choose a new password.", email=email))
    return redirect(f"/reset/{moved.secret}", 303)


def _send(email: str, *, again: bool = False) -> ResponseReturnValue:
    session, user = db.session(), person()
    for name in (throttle.bucket("email", str(user.id)), throttle.bucket("email to", email.lower())):
        if wait := throttle.hit(session, name, CODES, window=HOUR):
            return too_many(wait)
    addresses.ask(session, user, email, running.config().secret_key)
    session.commit()
    queues.ring()
    if again:
        flash(_("We sent a new code."))
    return redirect("/account/email", 303)


def _keep(moved: addresses.Moved) -> None:
    """What Stripe is to be told is kept in the transaction that changed the address; the worker sends it."""
    if moved.write is not None:
        registry.record(db.session(), moved.write)
    db.session.commit()
    if not queues.ring():
        current_app.logger.info("address changed, Stripe is told by the clock")


def _page(form: forms.ChangeEmail | forms.Confirm | None = None) -> str:
    """Whichever form fits: ``form``, or a fresh one."""
    user = person()
    waiting = addresses.pending(db.session(), user.id)
    if form is None:
        form = forms.Confirm(formdata=None) if waiting else forms.ChangeEmail(formdata=None)
    asked = waiting.email if waiting and isinstance(form, forms.Confirm) else None
    return render_template("account/email.html", form=form, email=user.email, asked=asked)
