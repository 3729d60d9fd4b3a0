"""Hosted Checkout: nothing but the session exists until the payment has succeeded.

Reading order: sums (what is due), basket (quantities and promotion codes), typed (what a person fills in),
attempts (asking the bank), finish (what a completed session makes), ending (expiry, recovery).
"""

from sandbox.engine.checkout.attempts import answer, confirm, submit
from sandbox.engine.checkout.basket import add_code, change_quantities, remove_discounts
from sandbox.engine.checkout.ending import expire, recover
from sandbox.engine.checkout.sums import find, needs_method, payable_by, reckon, trial_end
from sandbox.engine.checkout.typed import known_email, problems

__all__ = [
    "add_code",
    "answer",
    "change_quantities",
    "confirm",
    "expire",
    "find",
    "known_email",
    "needs_method",
    "payable_by",
    "problems",
    "reckon",
    "recover",
    "remove_discounts",
    "submit",
    "trial_end",
]
