"""One JSON line for each thing that happened: ids only, no secrets, no personal data."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

# What a record has by itself; everything else was given as ``extra``.
_OWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
SECRETS = re.compile(
    r"(?:[sr]k_(?:live|test)_|whsec_|cs_(?:live|test)_|pi_\w+_secret_|Bearer\s+|\$argon2)[\w$=,+/.-]*"
    r"|(?<=://)[^\s/@]+(?=@)|[\w.+-]+@[\w-]+\.[\w.-]+|\b\d(?:[ -]?\d){12,18}\b"
)


class Lines(logging.Formatter):
    """JSON lines; whatever looks like a secret, an address or a card number is blotted out."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "from": record.name,
            "what": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(_blot(line))


def _blot(value: Any) -> Any:
    """The value with every secret in it blotted out, before JSON writes escapes between its letters."""
    if isinstance(value, dict):
        return {str(key): _blot(part) for key, part in value.items()}
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
