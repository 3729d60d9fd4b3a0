"""The messages of the inbox: one .eml file each, so that they survive a restart."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from local.mailsink import ACCEPTED, Received

# Milliseconds since 1970, so that names sort by time, and a few random digits.
NAME = re.compile(r"^\d{13}-[0-9a-f]{6}$")


@dataclass(frozen=True)
class Letter:
    """One kept message. ``html`` and ``text`` are "" where it has no such part."""

    id: str
    recipients: tuple[str, ...]
    received: datetime
    message: EmailMessage
    raw: bytes

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "(no subject)")

    @property
    def sender(self) -> str:
        return str(self.message["From"] or "")

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, str(value)) for name, value in self.message.items()]

    def as_json(self) -> dict[str, object]:
        """What `/messages.json` says of it."""
        return {
            "id": self.id,
            "to": ", ".join(self.recipients),
            "subject": self.subject,
            "date": self.received.isoformat(timespec="milliseconds"),
            "text": self.text.replace("\r\n", "\n"),
        }

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        if part is None:
            return ""
        try:
            return str(part.get_content())
        except (LookupError, MessageError, KeyError):
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


class Mailbox:
    """A folder of letters. Safe for several threads: files appear whole and never change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, received: Received) -> str:
        """Store a message; the SMTP reply."""
        name = f"{time.time_ns() // 1_000_000:013d}-{secrets.token_hex(3)}"
        envelope = "".join(f"X-Envelope-To: {address}\r\n" for address in received.recipients)
        temporary = self._folder / f".{name}"
        temporary.write_bytes(envelope.encode() + received.data)
        temporary.rename(self._folder / f"{name}.eml")
        return ACCEPTED

    def letters(self, to: str = "") -> list[Letter]:
        """Newest first; only those for one address where ``to`` is given."""
        found = [self._read(path) for path in sorted(self._folder.glob("*.eml"), reverse=True)]
        wanted = to.strip().lower()
        return [
            letter
            for letter in found
            if letter and (not wanted or wanted in (address.lower() for address in letter.recipients))
        ]

    def letter(self, name: str) -> Letter | None:
        return self._read(self._folder / f"{name}.eml") if NAME.match(name) else None

    def _read(self, path: Path) -> Letter | None:
        if not NAME.match(path.stem):
            return None
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        message = BytesParser(policy=policy.default).parsebytes(raw)
        assert isinstance(message, EmailMessage)
        recipients = tuple(str(value) for value in message.get_all("X-Envelope-To", []))
        received = datetime.fromtimestamp(int(path.stem[:13]) / 1000, UTC)
        return Letter(path.stem, recipients, received, message, raw)
