"""cash_balance and customer_cash_balance_transaction, and where a bank transfer is to be sent."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json, empty_address


def cash_balance(customer: Json) -> Json:
    """What a customer sent and no payment took yet, by currency in minor units."""
    return {
        "object": "cash_balance",
        "available": {currency: left for currency, left in customer.get("_cash", {}).items() if left} or None,
        "customer": customer["id"],
        "customer_account": None,
        "livemode": False,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }


def transaction(created: int, customer: Json, currency: str, amount: int, why: Json) -> Json:
    """`why` is the part named after its type: `funded` or `applied_to_payment`; `amount` is signed."""
    return {
        "id": ids.dated("ccsbtxn"),
        "object": "customer_cash_balance_transaction",
        "created": created,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "ending_balance": customer["_cash"][currency],
        "livemode": False,
        "net_amount": amount,
        **why,
        "type": next(iter(why)),
    }


SENDERS: dict[str, tuple[str, Json]] = {  # by currency: the kind of transfer and who sent it
    "jpy": (
        "jp_bank_transfer",
        {"sender_bank": "STRIPE TEST BANK", "sender_branch": None, "sender_name": "TEST SENDER"},
    ),
    "usd": ("us_bank_transfer", {"network": "ach", "sender_name": "TEST SENDER"}),
}


def funded(currency: str, reference: str | None) -> Json:
    kind, sender = SENDERS[currency]
    return {"funded": {"bank_transfer": {kind: sender, "reference": reference, "type": kind}}}


def instructions(remaining: int, currency: str, base_url: str) -> Json:
    """The next_action of a payment that waits for a transfer."""
    account = {
        "account_holder_address": empty_address(),
        "account_holder_name": "DUNLIN",
        "account_number": "1234567",
        "account_type": "futsu",
        "bank_address": empty_address(),
        "bank_code": "0000",
        "bank_name": "STRIPE TEST BANK",
        "branch_code": "000",
        "branch_name": "TEST",
    }
    address = {"supported_networks": ["zengin"], "type": "zengin", "zengin": account}
    return {
        "display_bank_transfer_instructions": {
            "amount_remaining": remaining,
            "currency": currency,
            "financial_addresses": [address],
            "hosted_instructions_url": f"{base_url}/instructions/{ids.random_text(24)}",
            "reference": ids.random_text(8).upper(),
            "type": "jp_bank_transfer",
        },
        "type": "display_bank_transfer_instructions",
    }
