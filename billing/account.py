"""The person's own account: password, language, time zone, signed-in browsers, a copy of their data, and whether their
address takes mail."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

from flask import Blueprint, abort, flash, redirect, render_template, send_file
from flask.typing import ResponseReturnValue
from flask_login import current_user

from billing import (
    accounts,
    addresses,
    bounces,
    exports,
    forms,
    language,
    passwords,
    queues,
    running,
    throttle,
)
from billing.access import person
from billing.auth import too_many
from billing.extensions import db
from billing.language import _
from billing.locales import as_the_person_chose
from billing.words import browser

bp = Blueprint("account", __name__)

COPIES, DAY = 5, timedelta(days=1)


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


@bp.post("/account/sessions/<int:session_id>/signout")
def sign_out_one(session_id: int) -> ResponseReturnValue:
    """Sign out one other browser of the person's; the present one has its own way."""
    if session_id != current_user.row.id and accounts.close_one_session(
        db.session(), person().id, session_id
    ):
        flash(_("That browser was signed out."))
    db.session.commit()
    return redirect("/account", 303)


@bp.post("/account/export")
def ask_for_a_copy() -> ResponseReturnValue:
    """Ask for a copy of one's data. It is made in the background, once, and a mail says when it is ready."""
    session, user = db.session(), person()
    if wait := throttle.hit(session, throttle.bucket("export", str(user.id)), COPIES, window=DAY):
        return too_many(wait)
    asked = exports.ask(session, user.id)
    session.commit()
    queues.ring()
    if asked:
        flash(
            _("We’re making a copy of your data. We’ll write to {email} when it is ready.", email=user.email)
        )
    return redirect("/account#data-title", 303)


@bp.get("/account/export/<int:export_id>")
def copy_of_data(export_id: int) -> ResponseReturnValue:
    """The person's own copy, as a file, for a day; 410 once it is over."""
    row, zipped = exports.content(db.session(), person().id, export_id)
    if row is None:
        abort(404)
    if row.state == "asked":
        return redirect("/account#data-title", 303)
    if zipped is None:
        return render_template("account/export_over.html"), 410
    return send_file(
        BytesIO(zipped),
        mimetype="application/zip",
        as_attachment=True,
        download_name=f"data-{row.ready_at:%Y-%m-%d}.zip",
    )


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
            "id": row.id,
            "label": browser(row.user_agent),
            "last_seen": row.last_seen_at,
            "current": row.id == current_user.row.id,
        }
        for row in accounts.open_sessions(db.session(), user.id)
    ]
    return render_template(
        "account/index.html",
        email=user.email,
        asked=addresses.pending(db.session(), user.id),
        copy=exports.newest(db.session(), user.id),
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
