"""The person's own account: password, language and time zone, signed-in browsers, whether their address takes mail."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user

from billing import accounts, bounces, forms, language, passwords, queues, running, throttle
from billing.access import person
from billing.auth import too_many
from billing.extensions import db
from billing.language import _
from billing.locales import as_the_person_chose

bp = Blueprint("account", __name__)


@bp.get("/account")
def index() -> ResponseReturnValue:
    return _page(forms.ChangePassword(formdata=None))


@bp.post("/account/password")
def password() -> ResponseReturnValue:
    user, form = person(), forms.ChangePassword()
    form.for_email = user.email
    if not form.validate():
        return _page(form), 422
    wait = throttle.hit(db.session(), throttle.bucket("password", str(user.id)), 5)
    if wait:
        return too_many(wait)
    # of two presses at once the second sees what the first one did
    db.session.refresh(user, with_for_update=True)
    if not passwords.matches(user.password_hash, form.current_password.data):
        form.current_password.errors = [_("This is not your current password.")]
        return _page(form), 422
    accounts.set_password(db.session(), user, form.new_password.data, keep_session=current_user.row.id)
    db.session.commit()
    queues.ring()
    flash(_("Your password was changed. Other browsers were signed out."))
    return redirect("/account", 303)


@bp.post("/account/signout-others")
def sign_out_others() -> ResponseReturnValue:
    accounts.close_sessions(db.session(), person().id, but=current_user.row.id)
    db.session.commit()
    flash(_("Other browsers were signed out."))
    return redirect("/account", 303)


@bp.post("/account/language")
def language_and_days() -> ResponseReturnValue:
    """Choose the language of pages and mails, and whose days they name."""
    user, form = person(), forms.Preferences()
    if not form.validate():
        return _page(forms.ChangePassword(formdata=None), form), 422
    user.locale, user.time_zone = form.locale.data or None, form.time_zone.data or None
    db.session.commit()
    as_the_person_chose()  # the answer is in the new language already
    flash(_("Your language and time zone were saved."))
    return redirect("/account", 303)


@bp.post("/account/mail")
def mail() -> ResponseReturnValue:
    """Write again to an address that refused mail; where it still does, the next mail finds out."""
    user, session = person(), db.session()
    if wait := throttle.hit(session, throttle.bucket("mail", str(user.id)), 5):
        return too_many(wait)
    if bounces.try_again(session, user.id, actor="user"):
        session.commit()
        flash(_("We’ll write to {email} again, from the next mail on.", email=user.email))
    return redirect("/billing", 303)


def _page(form: forms.ChangePassword, preferences: forms.Preferences | None = None) -> str:
    config, user = running.config(), person()
    zones = language.zones()
    kept = {"locale": user.locale or "", "time_zone": user.time_zone or ""}
    sessions = [
        {
            "label": _label(row.user_agent),
            "last_seen": row.last_seen_at,
            "current": row.id == current_user.row.id,
        }
        for row in accounts.open_sessions(db.session(), user.id)
    ]
    return render_template(
        "account/index.html",
        email=user.email,
        sessions=sessions,
        # the form that was sent comes first: its problems are the page's
        form=preferences or form,
        password=form,
        preferences=preferences or forms.Preferences(formdata=None, data=kept),
        languages=[("", _("What the browser asks for")), *_languages()],
        zones=[
            ("", _("What is usual here: {zone}", zone=config.display_tz)),
            *zip(zones, zones, strict=True),
        ],
        min_length=config.password_min_length,
    )


def _languages() -> list[tuple[str, str, str]]:
    """Each language's locale, its name in itself, and the tag that says so."""
    return [(name, title, language.as_tag(name)) for name, title in language.LOCALES.items()]


def _label(user_agent: str) -> str:
    """“Chrome on Linux”, as far as the browser says."""
    browsers = ("Edg", "Firefox", "Chrome", "Safari")
    systems = ("Android", "iPhone", "Windows", "Mac OS", "Linux")
    browser = next((name for name in browsers if name in user_agent), _("A browser")).replace("Edg", "Edge")
    system = next((name for name in systems if name in user_agent), "")
    return _("{browser} on {system}", browser=browser, system=system) if system else browser
