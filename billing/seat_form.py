"""How many seats somebody asks for: one plain number, checked here, on the server."""

from __future__ import annotations

from wtforms import Form, StringField

from billing.language import _
from billing.plans import Seats

LONGEST = 6


class SeatForm(Form):
    seats = StringField(filters=[lambda text: (text or "").strip()])

    def refuse(self, problem: str) -> None:
        """Say beside the field what is wrong with it."""
        self.seats.errors = [problem]


def read(seats: Seats, text: str | None, instead: int) -> tuple[SeatForm, int | None]:
    """The form with what was sent, and the number: ``instead`` where none was; None, and why, where it can't be had."""
    form = SeatForm(data={"seats": str(instead) if text is None else text[:LONGEST]})
    given = form.seats.data or ""
    number = int(given) if given.isascii() and given.isdecimal() else 0
    if seats.least <= number <= seats.most:
        return form, number
    form.refuse(_("Enter a whole number from {least} to {most}.", least=seats.least, most=seats.most))
    return form, None
