"""A real SMTP server on loopback: behind the mail inbox, and for tests that want it to misbehave."""

from __future__ import annotations

import asyncio
import logging
import threading
from asyncio import WriteTransport
from collections.abc import Callable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from types import TracebackType
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from local.ports import LOOPBACK, free_port

ACCEPTED = "250 2.0.0 Kept"
HANG_UP = "hang up"
LIMIT = 10_000_000  # bytes of one message
# It would tell of every line of every conversation.
logging.getLogger("mail.log").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Received:
    """One message as it came: the envelope, and the bytes of DATA."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = BytesParser(policy=policy.default).parsebytes(self.data)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain part, "" where there is none."""
        part = self.message.get_body(("plain",))
        return str(part.get_content()) if part else ""


class Handler:
    """What aiosmtpd asks about every message: ``keep`` returns the reply, or HANG_UP."""

    def __init__(self, keep: Callable[[Received], str]) -> None:
        self._keep = keep

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd’s
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        data = content.encode() if isinstance(content, str) else content or b""
        reply = self._keep(Received(envelope.mail_from or "", tuple(envelope.rcpt_tos), data))
        if reply == HANG_UP:
            cast("WriteTransport", server.transport).abort()
        return reply


class SmtpServer:
    """The listening port and the event loop behind it, in a thread of their own."""

    def __init__(self, keep: Callable[[Received], str], port: int) -> None:
        """Listens when this returns. Raises OSError where the port is taken."""
        self._handler = Handler(keep)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self._thread.start()
        listen = self._loop.create_server(self._conversation, LOOPBACK, port)
        try:
            self._server = asyncio.run_coroutine_threadsafe(listen, self._loop).result(5)
        except OSError:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Close the port, drop open conversations, end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _conversation(self) -> SMTP:
        return SMTP(
            self._handler, hostname="localhost", ident="Dunlin inbox", data_size_limit=LIMIT,
            enable_SMTPUTF8=True, loop=self._loop,
        )  # fmt: skip

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class MailSink:
    """An SMTP server for tests, on a free port, that keeps what it accepts and answers as it is told.

    >>> with MailSink() as sink:
    ...     sink.replies.append("451 4.3.0 Try again later")
    ...     send(sink.url)

    ``replies`` are used up in order, each for one message: "451 …" and "550 …" refuse it after DATA,
    HANG_UP drops the connection there without an answer. Then every message is accepted.
    """

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.refused: list[Received] = []
        self.replies: list[str] = []
        self._arrived = threading.Condition()

    def __enter__(self) -> MailSink:
        self.port = free_port()
        self._server = SmtpServer(self._keep, self.port)
        return self

    @property
    def url(self) -> str:
        """For SMTP_URL."""
        return f"smtp://{LOOPBACK}:{self.port}"

    def to(self, address: str) -> list[Received]:
        """The messages for one person, oldest first."""
        return [message for message in self.messages if address in message.recipients]

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Received]:
        """Until ``count`` messages are there. Raises AssertionError otherwise."""
        with self._arrived:
            there = self._arrived.wait_for(lambda: len(self.messages) >= count, seconds)
        assert there, f"{len(self.messages)} of {count} messages came within {seconds:.0f} s"
        return list(self.messages)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def _keep(self, received: Received) -> str:
        reply = self.replies.pop(0) if self.replies else ACCEPTED
        with self._arrived:
            (self.messages if reply.startswith("2") else self.refused).append(received)
            self._arrived.notify_all()
        return reply
