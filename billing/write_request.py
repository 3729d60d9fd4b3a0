"""What the domain wants written to Stripe. It only describes; ``writes.perform`` keeps and sends it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WriteRequest:
    """``name`` is unique for what is meant: the same name is the same write, with the same parameters.

    ``operation`` is a key of ``stripe_client.OPERATIONS``; ``target`` the id in the path, where it has one.
    """

    operation: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)
    target: str | None = None
    user_id: int | None = None

    @property
    def canonical(self) -> str:
        """The parameters as the exact text that is stored, hashed and sent at every try."""
        return json.dumps(self.params, sort_keys=True, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        text = f"{self.operation}\n{self.target or ''}\n{self.canonical}"
        return hashlib.sha256(text.encode()).hexdigest()
