"""In whose language a text is written that is for somebody else's eyes: a mail's, never that of who caused it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from billing import language, running
from billing.models import User

P = ParamSpec("P")
R = TypeVar("R")


def locale_of(user: User) -> str:
    """The locale that this person chose, else ``DEFAULT_LOCALE``."""
    return user.locale if user.locale in language.LOCALES else running.config().default_locale


def zone_of(user: User) -> str:
    """The time zone that this person chose, else ``DISPLAY_TZ``."""
    return user.time_zone if user.time_zone in language.zones() else running.config().display_tz


def speaking_to(user: User) -> AbstractContextManager[None]:
    """Speak this person's language, and name their days, inside the block: facts of their mails are put into words
    there, whatever request or worker happens to cause it."""
    return language.speaking(locale_of(user), zone_of(user))


def to_the_reader(
    write: Callable[Concatenate[Session, User, P], R],
) -> Callable[Concatenate[Session, User, P], R]:
    """Make a function that owes a person mails speak their language while it does: ``write(session, user, …)``."""

    @wraps(write)
    def spoken(session: Session, user: User, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with speaking_to(user):
            return write(session, user, *args, **kwargs)

    return spoken


def speaking_to_admins() -> AbstractContextManager[None]:
    """Mails to admins are in English, as the admin pages are."""
    return language.speaking(language.DEFAULT, running.config().display_tz)
