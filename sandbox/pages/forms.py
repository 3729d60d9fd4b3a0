"""What was typed into a form beside the card, kept to be shown again, and read into what the engine takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.outcomes import Typed

ADDRESS = (
    ("line1", "Street and number"),
    ("line2", "Flat, floor (optional)"),
    ("postal_code", "Postal code"),
    ("city", "City"),
    ("state", "State or region (optional)"),
    ("country", "Country (two letters, like DE)"),
)


def read_typed(sent: Mapping[str, str], session: Mapping[str, Any]) -> Typed:
    """The fields of Checkout that are no payment method's."""
    text = {name: sent.get(name, "").strip() for name in ("email", "name", "phone", "consent", "save")}
    address = {name: sent.get(name, "").strip() for name, _ in ADDRESS}
    address["country"] = address["country"].upper()
    keys = [field["key"] for field in session["custom_fields"]]
    return Typed(
        email=text["email"],
        name=text["name"],
        phone=text["phone"],
        address=address,
        fields={key: sent.get(f"field-{key}", "").strip() for key in keys},
        consent=text["consent"] == "1",
        save=text["save"] == "1",
    )
