"""The two forms of a withdrawal, checked on the server."""

from __future__ import annotations

from typing import Any

from wtforms import Form, StringField
from wtforms.validators import ValidationError

from billing.forms import normal_email
from billing.language import _, later

LONGEST = 100


def _tidy(text: str | None) -> str:
    return (text or "").replace("\0", "").strip()


def _given(words: str) -> Any:
    def check(form: Form, field: StringField) -> None:
        if not field.data:
            raise ValidationError(_(words))
        if len(field.data) > LONGEST:
            raise ValidationError(_("Use at most {count} characters.", count=LONGEST))

    return check


def _email(form: Form, field: StringField) -> None:
    found = normal_email(field.data or "")
    if found is None:
        raise ValidationError(_("Enter an email address like name@example.com."))
    field.data = found


class Confirm(Form):
    """Who withdraws, and where the receipt goes."""

    name = StringField(filters=[_tidy], validators=[_given(later("Enter your name."))])
    email = StringField(filters=[_tidy], validators=[_email])


class Find(Form):
    """Which order a stranger speaks of."""

    reference = StringField(
        filters=[_tidy], validators=[_given(later("Enter the number of your invoice, like A1B2C3D4-0001."))]
    )
    email = StringField(filters=[_tidy], validators=[_email])
