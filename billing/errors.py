"""Every exception that Dunlin raises on purpose.

DunlinError
├── ConfigError            the settings are missing, weak or mixed; the program does not start
├── StripeError            Stripe did not do what was asked
│   ├── StripeUnavailable  no answer, a 5xx or throttling: trying again later may help
│   ├── StripeRefused      a definitive no (400, 404): trying again changes nothing
│   ├── StripeDeclined     the card was declined (402)
│   └── StripeKeyRefused   the API key was refused (401, 403): nothing works until an operator acts
├── WriteUnknown           a write was sent and its outcome is not known yet
├── WriteConflict          one write name was used with two different sets of parameters
├── PushUnderWay           another process is bringing the catalogue to Stripe
├── StaleLease             another worker took over; nothing was written
├── AddressTaken           another account has the e-mail address by now; it stays as it was
├── ExportTooLarge         a copy of somebody's data would be larger than we keep
├── NotDeleted             an account is not deleted yet: something at Stripe stands in the way
├── CompChanged            another admin gave or took back access meanwhile; nothing was changed
├── PassStopped            the process was told to end in the middle of a pass of the reconciler
├── BadEvent               a request to the webhook endpoint that is not a Stripe event for us
│   ├── BadSignature       nobody who knows a signing secret sent it, or not lately
│   └── ForeignEvent       rightly signed, and of the other mode or of an account that is not ours
└── MailFailed             SMTP refused; ``permanent`` says whether to try again
"""

from __future__ import annotations


class DunlinError(Exception):
    """The root of the tree above."""


class ConfigError(DunlinError):
    """One sentence that names the setting and how to fix it."""


class StripeError(DunlinError):
    """``retry`` says whether the same call may succeed later; ``code`` is Stripe's error code."""

    retry = False

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class StripeUnavailable(StripeError):
    """No answer, a 5xx, a 409 in flight or a 429."""

    retry = True


class StripeRefused(StripeError):
    """Stripe read the request and said no."""


class StripeDeclined(StripeError):
    """The payment method was declined; the person must act."""


class StripeKeyRefused(StripeError):
    """The secret key is wrong, revoked or lacks a permission. Calls wait until it is replaced."""

    retry = True


class WriteUnknown(DunlinError):
    """The write left this process and no answer is known. Never show it as failed."""


class WriteConflict(DunlinError):
    """A write's name was used before with other parameters."""


class StaleLease(DunlinError):
    """The lease ran out or was taken over before the write; the write changed nothing."""


class AddressTaken(DunlinError):
    """The person's address was not changed. A code that was given for it is used up."""


class ExportTooLarge(DunlinError):
    """Nothing is left out of a copy silently: it is not made, and an admin is told."""


class NotDeleted(DunlinError):
    """What stands in the way of deleting an account, in words for an admin. It is tried again."""


class CompChanged(DunlinError):
    """What an admin agreed to give or to take back is not what is so any more; nothing was changed."""


class PushUnderWay(DunlinError):
    """Two pushes at once would each compare with what the other one is about to change."""


class PassStopped(DunlinError):
    """The process was told to end. What was begun is left as a kill would leave it, and the next pass goes on."""


class BadEvent(DunlinError):
    """Not a genuine event for this installation. ``reason`` is a code for the log, never the body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadSignature(BadEvent):
    """The signature or its time is not right: a stranger, a wrong secret, or a clock that is off."""


class ForeignEvent(BadEvent):
    """Stripe's own event, for somebody else: an endpoint or a secret was set up in the wrong place."""


class MailFailed(DunlinError):
    """The SMTP server said no before it took the message. ``mailbox``: for good, and because of the address."""

    def __init__(self, message: str, *, permanent: bool, mailbox: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.mailbox = mailbox
