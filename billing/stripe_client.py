"""The only ``import stripe``: verify a delivery, ask Stripe, write with a key.

Answers come back as plain dictionaries, errors as the exceptions of ``errors.py``. Reads (``stripe_reads``) and writes
run outside any database transaction: the caller sees to that.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, cast
from urllib.request import getproxies

import stripe
from flask import Flask, current_app

from billing import deadline, pace
from billing.config import Config
from billing.errors import (
    BadSignature,
    StripeDeclined,
    StripeError,
    StripeKeyRefused,
    StripeRefused,
    StripeUnavailable,
)

API_VERSION = "2026-10-28.endive"
TOLERANCE_SECONDS = 300
CONNECT_READ_TIMEOUT = (3, 8)
LONGEST_HEADER = 4096
# A web process has 8 threads. At most half of them wait for Stripe, so that its own webhooks, which need
# no answer of Stripe, are taken however slow it is.
CALLS_AT_ONCE = 4
WAIT_FOR_A_PLACE = 1.0
# Where Stripe says "not so fast" the same call is made again after these seconds, or some more.
PAUSES = (0.5, 1.0)
# ``raw_request`` takes these for its own.
NO_PARAMETERS = {"base", "usage"}
# What of the SDK the handlers of events ask.
PARTS = attrgetter(
    "subscriptions",
    "invoices",
    "invoice_payments",
    "checkout.sessions",
    "payment_intents",
    "customers",
    "charges",
    "refunds",
    "disputes",
    "subscription_schedules",
)
_places = threading.BoundedSemaphore(CALLS_AT_ONCE)

Object = dict[str, Any]
# The type of Stripe's refusal of a key that was used with other parameters: it has no code of its own.
KEY_MISUSED = "idempotency_error"
# How Stripe calls a permission that a restricted key lacks; the rest of its sentence quotes the key.
PERMISSION = re.compile(r"\brak_[a-z_]{1,60}\b")

# What each operation of the write registry calls: (client, target id, params, options).
OPERATIONS: dict[str, Callable[[Any, str, Object, Object], Any]] = {
    "customer.create": lambda v1, _, p, o: v1.customers.create(p, o),
    "customer.update": lambda v1, target, p, o: v1.customers.update(target, p, o),
    # a DELETE too
    "customer.delete": lambda v1, target, p, o: v1.customers.delete(target, p, o),
    "product.create": lambda v1, _, p, o: v1.products.create(p, o),
    "product.update": lambda v1, target, p, o: v1.products.update(target, p, o),
    "price.create": lambda v1, _, p, o: v1.prices.create(p, o),
    "price.update": lambda v1, target, p, o: v1.prices.update(target, p, o),
    "checkout.session.create": lambda v1, _, p, o: v1.checkout.sessions.create(p, o),
    "checkout.session.expire": lambda v1, target, p, o: v1.checkout.sessions.expire(target, p, o),
    "billing_portal.session.create": lambda v1, _, p, o: v1.billing_portal.sessions.create(p, o),
    "subscription.update": lambda v1, target, p, o: v1.subscriptions.update(target, p, o),
    # a DELETE, which heeds no key: see ``resolutions.HEEDS_NO_KEY``
    "subscription.cancel": lambda v1, target, p, o: v1.subscriptions.cancel(target, p, o),
    "subscription.pause": lambda v1, target, p, o: v1.subscriptions.pause(target, p, o),
    "subscription.resume": lambda v1, target, p, o: v1.subscriptions.resume(target, p, o),
    "subscription_schedule.create": lambda v1, _, p, o: v1.subscription_schedules.create(p, o),
    "subscription_schedule.update": lambda v1, target, p, o: v1.subscription_schedules.update(target, p, o),
    "subscription_schedule.release": lambda v1, target, p, o: v1.subscription_schedules.release(target, p, o),
    "invoice.pay": lambda v1, target, p, o: v1.invoices.pay(target, p, o),
    "invoice.void": lambda v1, target, p, o: v1.invoices.void_invoice(target, p, o),
    "payment_intent.create": lambda v1, _, p, o: v1.payment_intents.create(p, o),
    "refund.create": lambda v1, _, p, o: v1.refunds.create(p, o),
}


def init_app(app: Flask, config: Config) -> None:
    """One client for the process, kept on the application; no global of the SDK is touched."""
    transport = _Transport(timeout=CONNECT_READ_TIMEOUT)
    app.extensions["stripe"], app.extensions["stripe_transport"] = connect(config, transport), transport


def disconnect() -> None:
    """Close this thread's connections to Stripe, which stay open after an answer: a process that is forked with one
    would talk over it together with its parent."""
    current_app.extensions["stripe_transport"].close()


def connect(config: Config, transport: stripe.HTTPClient | None = None) -> stripe.StripeClient:
    """The client: pinned version, short timeouts, one retry with the same key, the sandbox by its address.

    ``transport``: what carries its requests, where it is not the usual one.
    """
    options: Object = {}
    if config.stripe_api_base:
        options["base_addresses"] = {"api": config.stripe_api_base}
    client = stripe.StripeClient(
        config.stripe_secret_key,
        stripe_version=API_VERSION,
        max_network_retries=1,
        http_client=transport or _Transport(timeout=CONNECT_READ_TIMEOUT),
        **options,
    )
    client.v1 = stripe.V1Services(_AsItCame(client))  # type: ignore[no-untyped-call]
    return client


def load_parts() -> None:
    """Load the parts of the SDK that a job asks, which it loads as they are first asked, for processes that are forked
    from this one."""
    client: stripe.StripeClient = current_app.extensions["stripe"]
    PARTS(client.v1)


class _AsItCame:
    """What the SDK's services ask: answers stay the JSON that they are.

    The SDK would make typed objects of them, and we plain dictionaries of those: that took longer than all else that
    we do with an answer.
    """

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def request(
        self, method: str, url: str, params: Object | None, options: Object | None, **how: Any
    ) -> stripe.StripeResponse:
        """One call. Raises the SDK's errors."""
        given = {**(params or {}), **(options or {})}
        if len(given) < len(params or {}) + len(options or {}) or given.keys() & NO_PARAMETERS:
            raise ValueError("a parameter that the SDK would take for something else")
        answer: stripe.StripeResponse = self._client.raw_request(
            method, url, base=how["base_address"], usage=how["usage"], **given
        )
        return answer


class _Transport(stripe.RequestsClient):
    """Heeds the deadline: a try gets what is left of it, and after it neither a call nor the SDK's retry is sent.

    Where the environment names no proxy, it is not searched for one at each call, nor the home folder for a password.
    """

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__(timeout=timeout)
        self._through_a_proxy = bool(getproxies())

    def request(  # type: ignore[override]  # as RequestsClient has it
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        if self._session is None and getattr(self._thread_local, "session", None) is None:
            self._thread_local.session = self.requests.Session()
            self._thread_local.session.trust_env = self._through_a_proxy
        return super().request(method, url, headers, post_data)

    @property
    def _timeout(self) -> tuple[float, float]:
        """What the SDK gives to ``requests`` at each try: seconds to connect, and to wait for the answer.

        Raises TimeoutError, which the SDK makes an APIConnectionError that it does not retry.
        """
        connect, read = self._longest
        left = deadline.left()
        if left <= 0:
            raise TimeoutError("the time for it is over")
        return min(connect, left), min(read, left)

    @_timeout.setter
    def _timeout(self, seconds: tuple[float, float]) -> None:
        self._longest = seconds


def verify(body: bytes, header: str, secrets: tuple[str, ...]) -> None:
    """Raise BadSignature unless one ``v1`` signature of ``header`` is right for these exact bytes.

    The SDK checks the signature and that it is not too old. It accepts any future time, and some
    malformed headers raise TypeError, so those are refused here (Stripe: docs.stripe.com/webhooks).
    """
    if not header or len(header) > LONGEST_HEADER or not header.isascii():
        raise BadSignature("no usable signature header")
    if not any(_signed_with(body, header, secret) for secret in secrets):
        raise BadSignature("signature")
    stamp = next(part.split("=")[1] for part in header.split(",") if part.startswith("t="))
    if int(stamp) > time.time() + TOLERANCE_SECONDS:
        raise BadSignature("timestamp in the future")


def signed(body: bytes, header: str, secret: str) -> bool:
    """Whether the signature is right, however old it is: to tell why a delivery was refused, never to take one."""
    usable = len(header) <= LONGEST_HEADER and header.isascii()
    return usable and _signed_with(body, header, secret, tolerance=None)


def _signed_with(body: bytes, header: str, secret: str, tolerance: int | None = TOLERANCE_SECONDS) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret, tolerance))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False


def call(operation: str, target: str | None, params: Object, key: str) -> Object:
    """Send one write with its idempotency key. Only ``writes.perform`` and its completer call this."""
    send = OPERATIONS[operation]
    return ask(lambda v1: send(v1, target or "", params, {"idempotency_key": key}))


def lacking(send: Callable[[Any], Any]) -> str | None:
    """What Stripe says that the key lacks to make this call (a 403); None where it may. For ``key_rights`` alone."""
    try:
        ask(send)
    except StripeKeyRefused as problem:
        if problem.status != 403:
            raise
        return str(problem)
    except StripeRefused:
        return None  # the call was looked at: whoever may not make it hears nothing of what is wrong with it
    return None


@pace.kept
def ask(send: Callable[[Any], Any]) -> Object:
    """What Stripe answers to this call of the SDK's, as the JSON that it is. Raises StripeError."""
    left = deadline.left()
    if left <= 0:
        raise StripeUnavailable("Stripe was slow, and the time for it is over")
    if not _places.acquire(timeout=min(WAIT_FOR_A_PLACE, left)):
        raise StripeUnavailable("Stripe is slow, and too many calls wait for it already")
    try:
        return _patiently(send)
    finally:
        _places.release()


def _patiently(send: Callable[[Any], Any]) -> Object:
    """Make the call, again after a pause where Stripe asks for one and the deadline allows it."""
    for pause in (*PAUSES, None):
        try:
            return _once(send)
        except StripeUnavailable as problem:
            wait = random.uniform(1, 2) * (pause or 0)  # noqa: S311 no secret: it only spreads the tries
            if pause is None or wait >= deadline.left() or not _said_later(problem):
                raise
        time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _once(send: Callable[[Any], Any]) -> Object:
    client: stripe.StripeClient = current_app.extensions["stripe"]
    try:
        return cast(Object, json.loads(send(client.v1).body))
    except stripe.StripeError as problem:
        raise translate(problem) from problem


def _said_later(problem: StripeError) -> bool:
    """Whether Stripe did nothing yet and would take the same call in a moment."""
    return problem.status in (409, 429) or problem.code in ("rate_limit", "lock_timeout")


def translate(problem: stripe.StripeError) -> StripeError:
    """The SDK's error as ours. Its text may quote parameters, so only type, code and status are kept."""
    status = problem.http_status
    detail = getattr(problem, "error", None)
    code = getattr(detail, "code", None) or getattr(problem, "code", None)
    if code is None and getattr(detail, "type", None) == KEY_MISUSED:
        code = KEY_MISUSED
    text = f"Stripe answered {status or 'nothing'} ({code or type(problem).__name__})"
    if status == 401 or status == 403:
        lacking = PERMISSION.search(str(problem))
        text += f": the key lacks the permission {lacking[0]}" if lacking else ""
        return StripeKeyRefused(text, code=code, status=status)
    if status == 402:
        decline = getattr(detail, "decline_code", None) or code
        return StripeDeclined(text, code=decline, status=status)
    if status in (400, 404) and code != "rate_limit" and code != "lock_timeout":
        return StripeRefused(text, code=code, status=status)
    return StripeUnavailable(text, code=code, status=status)
