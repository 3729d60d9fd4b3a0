"""What stops the local runtime: each is one sentence that says what to do."""

from __future__ import annotations


class CannotStart(Exception):
    """A part of the product can't run here; the message is shown as it is."""


class ChildDied(CannotStart):
    """A process that should go on has ended; the message carries its last lines."""
