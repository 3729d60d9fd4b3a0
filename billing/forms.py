"""The forms. Everything is checked here, on the server; nothing depends on the browser."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import ValidationError

from billing import language, passwords, running
from billing.language import _, later


def _tidy(value: str | None) -> str:
    return (value or "").strip()


def normal_email(text: str) -> str | None:
    """An address in its normal form, in which it is kept and looked up; None for what is none."""
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        return None
    return found.ascii_email or found.normalized  # SMTP takes ASCII


def _email(form: FlaskForm, field: StringField) -> None:
    """Replace the address by its normal form. Only the shape is checked; the code proves the rest."""
    found = normal_email(field.data or "")
    if found is None:
        raise ValidationError(_("Enter an email address like name@example.com."))
    field.data = found


def _as_kept(form: FlaskForm, field: StringField) -> None:
    """The form in which the address is kept. What is no address stays as it is, and is nobody's."""
    field.data = normal_email(field.data) or field.data


def _new_password(form: Any, field: PasswordField) -> None:
    config = running.config()
    email = form.email.data if "email" in form else getattr(form, "for_email", "")
    text = passwords.problem(
        field.data or "", minimum=config.password_min_length, email=email or "", brand=config.brand_name
    )
    if text:
        raise ValidationError(text)


def _given(ask: str) -> Any:
    def check(form: FlaskForm, field: Any) -> None:
        if not field.data:
            raise ValidationError(_(ask))

    return check


class SignUp(FlaskForm):
    email = StringField(later("Email"), filters=[_tidy], validators=[_email])
    password = PasswordField(later("Password"), validators=[_new_password])


class Confirm(FlaskForm):
    code = StringField(
        later("Code"),
        filters=[lambda value: "".join((value or "").split())],
        validators=[_given(later("Enter the 6-digit code."))],
    )


class SignIn(FlaskForm):
    email = StringField(
        later("Email"), filters=[_tidy], validators=[_given(later("Enter your email address.")), _as_kept]
    )
    password = PasswordField(later("Password"), validators=[_given(later("Enter your password."))])


class Reset(FlaskForm):
    email = StringField(later("Email"), filters=[_tidy], validators=[_email])


class NewPassword(FlaskForm):
    for_email = ""
    new_password = PasswordField(later("New password"), validators=[_new_password])


class ChangePassword(FlaskForm):
    for_email = ""
    # in the order of the page: problems are listed so
    current_password = PasswordField(
        later("Current password"), validators=[_given(later("Enter your current password."))]
    )
    new_password = PasswordField(later("New password"), validators=[_new_password])


class ChangeEmail(FlaskForm):
    email = StringField(later("New email"), filters=[_tidy], validators=[_email])
    current_password = PasswordField(
        later("Current password"), validators=[_given(later("Enter your current password."))]
    )


def _listed(values: Callable[[], Collection[str]], ask: str) -> Any:
    def check(form: FlaskForm, field: Any) -> None:
        if field.data and field.data not in values():
            raise ValidationError(_(ask))

    return check


class Preferences(FlaskForm):
    """Language and time zone, each one of a list that the page offers; an empty one is none."""

    locale = StringField(
        later("Language"),
        validators=[_listed(lambda: language.LOCALES, later("Choose a language from the list."))],
    )
    time_zone = StringField(
        later("Time zone"), validators=[_listed(language.zones, later("Choose a time zone from the list."))]
    )


def _the_word(form: FlaskForm, field: StringField) -> None:
    """In capitals or not: it is typed to be sure, not to be tested."""
    if (field.data or "").casefold() != _("DELETE").casefold():
        raise ValidationError(_("Type the word {word}.", word=_("DELETE")))


class DeleteAccount(FlaskForm):
    current_password = PasswordField(later("Password"), validators=[_given(later("Enter your password."))])
    word = StringField(later("Word"), filters=[_tidy], validators=[_the_word])
