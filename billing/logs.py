"""One JSON line for each thing that happened: ids only, no secrets, no personal data."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from typing import Any

from billing.errors import DunlinError

# What a record has by itself; everything else was given as ``extra``.
_OWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
SECRETS = re.compile(
    r"(?:[sr]k_(?:live|test)_|whsec_|cs_(?:live|test)_|(?:pi|seti)_[A-Za-z0-9]+_secret_|Bearer\s+|\$argon2)[\w$=,+/.-]*"
    r"|(?<=/reset/)[\w-]+|(?<=/undo/)[\w-]+|(?<=/pay/)[\w.-]+|(?<=://)[^\s/@]+(?=@)"
    # an address: whatever mail allows before the @, tried only where a word begins
    r"|(?<![^\s\"<>()\[\],;:@])[^\s\"<>()\[\],;:@]++@[\w\\-]+\.[\w\\.-]+"
    # a card number, also behind a line end that was written as \n
    r"|(?:\b|(?<=\\[nrt]))\d(?:[ -]?\d){12,18}\b"
)

# The request that is being answered, by the name that its error page shows: whoever quotes it can be helped.
request_name: ContextVar[str | None] = ContextVar("request_name", default=None)


class Lines(logging.Formatter):
    """JSON lines; whatever looks like a secret, an address or a card number is blotted out."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "from": record.name,
            "what": record.getMessage(),
        }
        if name := request_name.get():
            line["request"] = name
        line |= {key: value for key, value in record.__dict__.items() if key not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = _trace(record.exc_info[1])
        return json.dumps(_blot(line))


def _trace(problem: BaseException) -> list[str]:
    """The kind of each exception and where it was raised, the last one first. Only our own say why: the
    texts of others may quote what somebody entered, or a whole row."""
    lines: list[str] = []
    chain: list[BaseException] = []
    link: BaseException | None = problem
    while link is not None and link not in chain:
        chain.append(link)
        lines.append(type(link).__qualname__ + (f": {link}" if isinstance(link, DunlinError) else ""))
        frames = traceback.extract_tb(link.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return lines


def _blot(value: Any) -> Any:
    """The value with every secret in it blotted out, before JSON writes escapes between its letters."""
    if isinstance(value, dict):
        return {SECRETS.sub("[hidden]", str(key)): _blot(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_blot(part) for part in value]
    text = SECRETS.sub("[hidden]", str(value))
    return value if isinstance(value, bool | int | float | None) and text == str(value) else text


def configure(level: int = logging.INFO) -> None:
    """Send everything to standard error as JSON lines; libraries only speak when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("stripe", "rq", "rq.worker", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
