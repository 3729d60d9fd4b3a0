"""Step 5 of 5: three templates become one message, and SMTP takes it or says why not."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from functools import cache
from urllib.parse import unquote, urlsplit

from flask import current_app

from billing import bounces, language, pay_links
from billing.clock import now
from billing.config import Config
from billing.errors import MailFailed
from billing.language import _
from billing.models import Notice

CONNECT_SECONDS = 10
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What may come out of ``send`` beside MailFailed: the connection was lost while the message was handed over.
LOST = (OSError, smtplib.SMTPException)
FIRST_DOT = re.compile(rb"^\.", re.MULTILINE)  # of a line; it would end the message (RFC 5321, 4.5.2)

# Where the one link of a mail leads.
LINKS = {
    "code": "/signup/confirm",
    "exists": "/login",
    "email_code": "/account/email",
    "email_taken": "/login",
    "email_changed": "/account",
    "email_undone": "/reset",
    "welcome": "/plans",
    "pw_changed": "/reset",
    "receipt": "/invoices",
    "recovered": "/invoices",
    "refund": "/invoices",
    "refund_failed": "/invoices",
    "one_off_receipt": "/invoices",
    "one_off_failed": "/shop",
    "admin_dispute": "/admin/disputes",
    "admin_fraud_warning": "/admin/disputes",
    "delete_asked": "/account/keep",
    "delete_undone": "/account",
    "delete_stuck": "/account/keep",
    "deleted": "/",
    "admin_alert": "/admin/events",
}


@dataclass(frozen=True)
class Server:
    """Where ``SMTP_URL`` leads: ``smtp://user:password@host:port`` (STARTTLS where offered) or ``smtps://``."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None

    @classmethod
    def of(cls, url: str) -> Server:
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or (465 if tls else 587),
            tls=tls,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


def compose(
    notice: Notice,
    to: str,
    config: Config,
    stands: Callable[[], str | None] = lambda: None,
    zone: str | None = None,
) -> EmailMessage:
    """The message of a notice: subject, text and HTML from ``templates/mail/<kind>/``, in the locale that its words are
    in and with the days of the reader's ``zone``, whatever the worker spoke before.

    ``stands``: where the person stands now, in the words of their billing page, where the mail is about their plan.
    """
    with language.speaking(notice.locale, zone or config.display_tz):
        return _compose(notice, to, config, stands)


def _compose(notice: Notice, to: str, config: Config, stands: Callable[[], str | None]) -> EmailMessage:
    path = LINKS.get(notice.kind, "/billing")
    if notice.kind == "reset":
        path = f"/reset/{notice.secret}"
    if notice.facts.get("pays"):
        path = pay_links.path(notice.facts["invoice"], notice.created_at)
    if notice.kind == "admin_dispute" and "dispute" in notice.facts:
        path = f"/admin/disputes/{notice.facts['dispute']}"
    if notice.kind == "email_changed" and notice.facts["old"]:
        path = f"/account/email/undo/{notice.secret}"
    if notice.kind == "export_ready":
        path = f"/account/export/{notice.facts['export']}"
    if notice.kind == "withdraw_link":
        path = f"/billing/withdraw?link={notice.secret}"
    context = {
        **notice.facts,
        "brand": config.brand_name,
        "to": to,
        "secret": notice.secret,
        "url": config.public_url + path,
        "stands": stands(),
        "livemode": config.livemode,
        "support_email": parseaddr(config.support_email)[1] or config.support_email,
    }
    name, address = parseaddr(config.mail_from)
    message = EmailMessage()
    subject = _render(f"mail/{notice.kind}/subject.txt", **context).strip()
    message["Subject"] = subject if config.livemode else f"[Test] {subject}"
    message["From"] = Address(name or _("{brand} billing", brand=config.brand_name), addr_spec=address)
    message["To"] = to
    message["Reply-To"] = context["support_email"]
    message["Message-ID"] = notice.message_id
    message["Date"] = format_datetime(now())
    message["Auto-Submitted"] = "auto-generated"
    text = _render(f"mail/{notice.kind}/body.txt", **context)
    if context["stands"] and " ".join(text.split()).startswith(" ".join(str(context["stands"]).split())):
        context["stands"] = None  # its first line has said it
    page = _render(f"mail/{notice.kind}/body.html", **context)
    message.set_content(text, cte="quoted-printable")  # 8 bits would need a server that offers 8BITMIME
    message.add_alternative(page, subtype="html", cte="quoted-printable")
    # of the whole: what is set before the parts goes to the first of them
    message["Content-Language"] = language.tag()
    return message


def _render(template: str, **context: object) -> str:
    """Without the pages' context: a mail knows no request and nobody who is signed in."""
    return current_app.jinja_env.get_template(template).render(**context)


def send(message: EmailMessage, config: Config) -> None:
    """Hand the message to the SMTP server.

    Raises MailFailed when the server did not take it, so that it may be tried again (``permanent`` False)
    or never (True). One of ``LOST`` came while the message was handed over: whether it was taken is unknown.
    """
    sender, to = parseaddr(config.mail_from)[1], str(message["To"])
    try:
        smtp = _connect(Server.of(config.smtp_url))
    except LOST as problem:
        raise MailFailed(type(problem).__name__, permanent=False) from problem
    try:
        _introduce(smtp, sender, to)
        code, said = _hand_over(smtp, message.as_bytes(policy=message.policy.clone(linesep="\r\n")))
        if code != 250:
            raise _refusal("data", code, said, to)
    finally:
        smtp.close()


def reach(config: Config) -> None:
    """Greet the SMTP server and sign in, as before every mail, and leave. Nothing is sent. Raises MailFailed."""
    try:
        smtp = _connect(Server.of(config.smtp_url))
    except LOST as problem:
        raise MailFailed(type(problem).__name__, permanent=False) from problem
    with suppress(*LOST):
        smtp.quit()
    smtp.close()


def _introduce(smtp: smtplib.SMTP, sender: str, to: str) -> None:
    """MAIL, RCPT and DATA: nothing was handed over yet, so every trouble here may be tried again."""
    try:
        code, _ = smtp.mail(sender)
        if code != 250:
            raise MailFailed(f"mail from answered {code}", permanent=False)
        code, said = smtp.rcpt(to)
        if code not in (250, 251):
            raise _refusal("rcpt to", code, said, to)
        code, said = smtp.docmd("data")
        if code != 354:
            raise _refusal("data", code, said, to)
    except UnicodeError as problem:
        raise MailFailed("the address is not ASCII", permanent=True) from problem
    except LOST as problem:
        raise MailFailed(type(problem).__name__, permanent=False) from problem


def _hand_over(smtp: smtplib.SMTP, data: bytes) -> tuple[int, bytes]:
    """The message, then the dot that ends it: before the dot has left, no server can have taken the message.

    smtplib sends both at once and says the same of either failure.
    """
    body = FIRST_DOT.sub(b"..", data)
    try:
        smtp.send(body if body.endswith(b"\r\n") else body + b"\r\n")
    except LOST as problem:
        raise MailFailed(type(problem).__name__, permanent=False) from problem
    smtp.send(b".\r\n")
    return smtp.getreply()


def _refusal(step: str, code: int, said: bytes | str, to: str) -> MailFailed:
    """What a reply other than yes means. Its words are not kept: they may hold an address."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    mailbox = bounces.names_the_mailbox(code, words, to, answers_rcpt=step == "rcpt to")
    return MailFailed(f"{step} answered {code}", permanent=500 <= code < 600, mailbox=mailbox)


def _connect(server: Server) -> smtplib.SMTP:
    """A conversation that has begun. Certificates are checked."""
    smtp: smtplib.SMTP
    if server.tls:
        smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=CONNECT_SECONDS, context=_trust())
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=CONNECT_SECONDS)
    try:
        # Else the dot would wait until the server has said that it got the message: 40 ms for each mail.
        smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[union-attr]
        _greet(smtp, server)
    except BaseException:
        smtp.close()  # smtplib leaves the socket open where TLS or the sign-in fails
        raise
    return smtp


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that this machine trusts: reading them takes longer than a mail does."""
    return ssl.create_default_context()


def _greet(smtp: smtplib.SMTP, server: Server) -> None:
    """EHLO, TLS where it is offered, and the sign-in; a password is never sent in the clear to another machine."""
    smtp.ehlo()
    hidden = server.tls
    if not server.tls and smtp.has_extn("starttls"):
        smtp.starttls(context=_trust())
        smtp.ehlo()
        hidden = True
    if server.user:
        if not hidden and server.host not in LOOPBACK:
            raise smtplib.SMTPNotSupportedError("the SMTP server offers no TLS, so the password was not sent")
        smtp.login(server.user, server.password or "")
