"""Everything that is drawn by lot comes from one seed: secrets, names, ids, waits."""

from __future__ import annotations

import random
import secrets
import sys
import uuid
from types import SimpleNamespace
from typing import Any

READERS = ("billing.", "sandbox.", "stripe.")
# What the programs draw, apart from what the world draws: so a fault more or less does not rename everything.
drawn = random.Random(0)


def begin(seed: int | str) -> None:
    drawn.seed(f"programs {seed}")


def _hex(count: int = 32) -> str:
    return f"{drawn.getrandbits(8 * count):0{2 * count}x}"


def take_over() -> None:
    """Give the modules that draw by lot our dice; once for a process, after everything was imported."""
    fakes: dict[Any, Any] = {
        secrets: SimpleNamespace(
            token_hex=_hex,
            token_urlsafe=_hex,
            token_bytes=drawn.randbytes,
            choice=drawn.choice,
            randbelow=drawn.randrange,
            compare_digest=secrets.compare_digest,
        ),
        random: drawn,
        uuid: SimpleNamespace(uuid4=lambda: uuid.UUID(int=drawn.getrandbits(128), version=4)),
    }
    for name, module in list(sys.modules.items()):
        if name.startswith(READERS):
            for attribute, value in list(vars(module).items()):
                if isinstance(value, type(secrets)) and value in fakes:
                    setattr(module, attribute, fakes[value])
