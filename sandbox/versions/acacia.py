"""Acacia and before, as 2025-03-31.basil found it (facts 1.5, 1.13): what belongs to what, and what was paid.

Periods were the subscription's, an invoice named its subscription, payment and tax, a line its price.
"""

from __future__ import annotations

from sandbox.versions.acacia_answers import ANSWERS
from sandbox.versions.acacia_parameters import PARAMETERS
from sandbox.versions.change import Change

CHANGES = (Change("2025-03-31.basil", answers=ANSWERS, parameters=PARAMETERS),)
