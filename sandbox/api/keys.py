"""Which API keys are let in, and what they may do. Keys are kept as digests; no message shows a whole one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from sandbox.api.operation import Operation
from sandbox.errors import ApiError, doc_url
from sandbox.house import db, house

Json = dict[str, Any]

TEST_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]{8,}\Z")
STATES = ("active", "expired", "revoked")
PERMISSION = re.compile(r"rak_[a-z_]+_(read|write)\Z")
KEPT = "keys"


def check(authorization: str) -> str:
    """The key of an `Authorization` header, Bearer or Basic (as its user name); 401 unless it is let in."""
    key = _sent(authorization)
    if not key:
        raise _refused(
            "You did not provide an API key. You need to provide your API key in the Authorization header,"
            " using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if key.startswith("pk_"):
        raise _refused(
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            "secret_key_required",
        )
    state = _known(key).get("state", "active")
    if state == "expired":
        raise _refused(f"Expired API Key provided: {shown(key)}", "api_key_expired")
    if state == "revoked" or not TEST_KEY.match(key) or len(key) < 16:
        raise _refused(f"Invalid API Key provided: {shown(key)}")
    return key


def _sent(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    key = credentials.strip()
    if scheme.lower() != "basic":
        return key
    try:
        return base64.b64decode(key).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def permit(key: str, operation: Operation) -> None:
    """403 for a restricted key that lacks the permission of this operation; `write` includes `read`."""
    permissions = _known(key).get("permissions")
    if permissions is None or not key.startswith("rk_"):
        return
    needed = permission(operation)
    if needed in permissions or needed.removesuffix("_read") + "_write" in permissions:
        return
    message = (
        f"The provided key '{shown(key)}' does not have the required permissions for this endpoint on account"
        f" '{house().account_id()}'. Having the '{needed}' permission would allow this request to continue."
    )
    raise ApiError(403, {"message": message, "type": "invalid_request_error"})


def permission(operation: Operation) -> str:
    """Such as `rak_customer_read` and `rak_checkout_session_write`."""
    noun = operation.path.removeprefix("/v1/").partition("/<id>")[0].replace("/", "_").removesuffix("s")
    return f"rak_{noun}_{'read' if operation.method == 'GET' else 'write'}"


def set_state(key: str, state: str = "active", permissions: list[str] | None = None) -> None:
    """Expire or revoke a key, or limit a restricted one (None: all permissions). ValueError for nonsense."""
    if not TEST_KEY.match(key):
        raise ValueError("A key begins with sk_test_ or rk_test_ and has eight or more characters after it.")
    if state not in STATES:
        raise ValueError(f"A key's state is one of {', '.join(STATES)}.")
    wrong = [each for each in permissions or [] if not PERMISSION.match(str(each))]
    if wrong:
        raise ValueError("A permission looks like rak_customer_read or rak_customer_write.")
    with db().transaction():
        known = db().fact(KEPT, {})
        known[_digest(key)] = {"key": shown(key), "state": state, "permissions": permissions}
        db().set_fact(KEPT, known)


def listed() -> list[Json]:
    """The keys that something was said of: key (its ends), state, permissions."""
    return list(db().fact(KEPT, {}).values())


def shown(key: str) -> str:
    """The key's kind and last four characters."""
    return f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) >= 16 else f"{key[:3]}{'*' * 8}"


def _known(key: str) -> Json:
    known: Json = db().fact(KEPT, {}).get(_digest(key), {})
    return known


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _refused(message: str, code: str | None = None) -> ApiError:
    error: Json = {"message": message, "type": "invalid_request_error"}
    if code is not None:
        error |= {"code": code, "doc_url": doc_url(code)}
    return ApiError(401, error)
