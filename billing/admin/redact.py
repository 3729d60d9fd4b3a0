"""A stored payload, fit for a screen: ids and states stay, what tells who somebody is goes."""

from __future__ import annotations

import json
import re
from typing import Any

HIDDEN = "[hidden]"
# By the last word of a key: customer_email, shipping_address, display_name. A null says nothing and stays.
_PERSONAL = re.compile(
    r"(?:^|_)(?:email|emails|name|phone|address|postal_code|fingerprint|iin|dob|ip|tax_ids?)$|^address_"
    # Whoever has one of these may act for the person, or see the page that only they should see.
    r"|(?:^|_)(?:secret|password|token|url|pdf)$|^shipping$|^billing_details$"
)
_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"']+")


def pretty(payload: str) -> str:
    """The payload as indented JSON without personal data, card fingerprints or links that open something."""
    try:
        return json.dumps(_clean(json.loads(payload)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "This payload can’t be shown: it is not JSON that can be read here."


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: HIDDEN if _hides(key, one) else _clean(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return _ADDRESS.sub(HIDDEN, value) if isinstance(value, str) else value


def _hides(key: str, value: Any) -> bool:
    # The list object's own address (/v1/…) opens nothing without a key, and tells which list it is.
    harmless = key == "url" and isinstance(value, str) and value.startswith("/v1/")
    return value not in (None, "", [], {}) and not harmless and _PERSONAL.search(key) is not None
