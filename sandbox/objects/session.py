"""checkout.session and its line items."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def session(created: int, given: Json, line_items: list[Json], customer: Json | None) -> Json:
    """An open hosted Checkout Session, its sums still to be written. `given` is the API request, already read."""
    mode = given["mode"]
    id_ = ids.session()
    return {
        "id": id_,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": True},
        "after_expiration": _after_expiration(given),
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": given.get("billing_address_collection"),
        "branding_settings": _branding(given["business_name"]),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": {"business_name": None, "individual_name": None, "shipping_details": None},
        "consent": None,
        "consent_collection": given.get("consent_collection"),
        "created": created,
        "currency": given["currency"],
        "currency_conversion": None,
        "custom_fields": given["custom_fields"],
        "custom_text": _custom_text(given),
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "customer_creation": _customer_creation(given, customer),
        "customer_details": customer_details(customer, given.get("customer_email")),
        "customer_email": given.get("customer_email"),
        "discounts": None if mode == "setup" else [],
        "excluded_payment_method_types": given.get("excluded_payment_method_types"),
        "expires_at": given["expires_at"],
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": _invoice_creation(given["invoice_creation"]) if mode == "payment" else None,
        "livemode": False,
        "locale": given.get("locale"),
        "managed_payments": None,
        "metadata": given.get("metadata", {}),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": _collection(given),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": given["payment_method_types"],
        "payment_status": "unpaid" if mode != "setup" else "no_payment_required",
        "permissions": None,
        "phone_number_collection": {"enabled": given["phone_number_collection"]},
        "recovered_from": given.get("recovered_from"),
        "saved_payment_method_options": given["saved_payment_method_options"] if customer else None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "total_details": None
        if mode == "setup"
        else {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{given['base_url']}/c/pay/{id_}",
        "wallet_options": None,
        "_line_items": line_items,
        "_given": given,
        "_typed": {},
        "_payment_intent": None,
        "_setup_intent": None,
    }


def line_item(price: Json, description: str, quantity: int, currency: str, unit_amount: int) -> Json:
    return {
        "id": ids.dated("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": unit_amount * quantity,
        "amount_tax": 0,
        "amount_total": unit_amount * quantity,
        "currency": currency,
        "description": description,
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def customer_details(
    customer: Json | None, email: str | None, name: str | None = None, typed: Json | None = None
) -> Json | None:
    """Who pays, as far as it is known; None when nothing is. `typed` may hold the address and phone given there."""
    if customer is None and email is None:
        return None
    typed, known = typed or {}, customer or {}
    return {
        "address": typed.get("address") or known.get("address"),
        "business_name": None,
        "email": known.get("email") or email,
        "individual_name": None,
        "name": name or known.get("name"),
        "phone": typed.get("phone") or known.get("phone"),
        "tax_exempt": known.get("tax_exempt", "none"),
        "tax_ids": None,
    }


def _customer_creation(given: Json, customer: Json | None) -> str | None:
    if customer:
        return None
    if given["mode"] == "subscription":
        return "always"
    if given["mode"] == "payment" and given["invoice_creation"]["enabled"]:
        return "always"
    return str(given["customer_creation"] or "if_required")


def _collection(given: Json) -> str:
    if given["mode"] == "payment":
        return "if_required"
    return str(given["payment_method_collection"] or "always")


def _after_expiration(given: Json) -> Json | None:
    recovery = (given.get("after_expiration") or {}).get("recovery")
    if not recovery:
        return None
    return {
        "recovery": {
            "allow_promotion_codes": recovery.get("allow_promotion_codes", False),
            "enabled": recovery.get("enabled", False),
            "expires_at": None,
            "url": None,
        }
    }


def _branding(name: str) -> Json:
    return {
        "background_color": "#ffffff",
        "border_style": "rounded",
        "button_color": "#0074d4",
        "display_name": name,
        "font_family": "default",
        "icon": None,
        "logo": None,
    }


def _custom_text(given: Json) -> Json:
    asked = given.get("custom_text") or {}
    names = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    return {name: asked.get(name) or None for name in names}


def _invoice_creation(given: Json) -> Json:
    data = given["invoice_data"]
    return {
        "enabled": given["enabled"],
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": data.get("custom_fields"),
            "description": data.get("description"),
            "footer": data.get("footer"),
            "issuer": None,
            "metadata": data["metadata"],
            "rendering_options": None,
        },
    }
