"""What a person fills in beside the payment: who they are, where they live, what the shop asks for."""

from __future__ import annotations

from typing import Any

from sandbox.house import db
from sandbox.outcomes import Typed

Json = dict[str, Any]

ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")
NEEDED = {"line1": "Enter the street and number", "city": "Enter the city", "country": "Enter the country"}


def known_email(session: Json) -> str:
    """The address that Checkout already has and does not let the person change."""
    customer = db().find("customer", session["customer"])
    return str((customer or {}).get("email") or session["customer_email"] or "")


def asks_address(session: Json) -> bool:
    return bool(session["billing_address_collection"] == "required")


def asks_consent(session: Json) -> bool:
    return (session["consent_collection"] or {}).get("terms_of_service") == "required"


def problems(session: Json, typed: Typed) -> dict[str, str]:
    """What is wrong with it, by the name of the field."""
    wrong = {}
    if "@" not in (known_email(session) or typed.email):
        wrong["email"] = "Enter an email address, like name@example.com"
    if asks_address(session):
        wrong |= {name: words for name, words in NEEDED.items() if not typed.address.get(name)}
        country = typed.address.get("country", "")
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            wrong["country"] = "Enter the two letters of a country, like DE"
    digits = sum(sign.isdigit() for sign in typed.phone)
    if session["phone_number_collection"]["enabled"] and not 5 <= digits <= 15:
        wrong["phone"] = "Enter a phone number, like +49 30 1234567"
    for field in session["custom_fields"]:
        problem = _field_problem(field, typed.fields.get(field["key"], ""))
        if problem:
            wrong[f"field-{field['key']}"] = problem
    if asks_consent(session) and not typed.consent:
        wrong["consent"] = "Agree to the terms of service to go on"
    return wrong


def _field_problem(field: Json, value: str) -> str:
    label, kind = field["label"]["custom"], field["type"]
    if not value:
        return "" if field["optional"] else f"Fill in {label}"
    if kind == "dropdown":
        known = {option["value"] for option in field["dropdown"]["options"]}
        return "" if value in known else f"Choose one of the options of {label}"
    if kind == "numeric" and not (value.isascii() and value.isdigit()):
        return f"{label} has digits only"
    least, most = field[kind]["minimum_length"] or 0, field[kind]["maximum_length"] or 255
    return "" if least <= len(value) <= most else f"{label} has {least} to {most} characters"


def keep(session: Json, typed: Typed) -> None:
    """Remember with the session what was filled in; the customer learns of it when the session completes."""
    address = {name: typed.address.get(name) or None for name in ADDRESS} if asks_address(session) else None
    session["_typed"] = {
        "email": known_email(session) or typed.email.strip(),
        "name": typed.name or None,
        "phone": typed.phone if session["phone_number_collection"]["enabled"] else None,
        "address": address,
        "save": typed.save,
    }
    for field in session["custom_fields"]:
        field[field["type"]]["value"] = typed.fields.get(field["key"]) or None
    if asks_consent(session):
        session["consent"] = {"promotions": None, "terms_of_service": "accepted"}
    db().put(session)
