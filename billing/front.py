"""Deliveries are taken before Flask begins a request for them (decision 0032).

Flask makes ready for pages: a route, a session, a language, the sign-in. A delivery needs none of it, and most of what
strangers send to its address is refused; making ready cost more than all the rest. What looks like a browser's request
goes to Flask, whose view (``webhooks.receive``) gives the same answers.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.wrappers import Request

from billing import logs, web, webhooks
from billing.config import Config

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)
# Only browsers say these, and it depends on them whether a form is taken.
OF_BROWSERS = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE")


class Front:
    """WSGI before the application's own."""

    def __init__(self, app: Flask, config: Config) -> None:
        self._app, self._pages = app, app.wsgi_app
        self._limit: int = app.config["MAX_CONTENT_LENGTH"]
        self._headers = [
            ("Content-Type", "application/json"),
            *web.headers(config).items(),
            ("Cache-Control", "no-store"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_delivery(environ):
            return self._pages(environ, start_response)
        name = secrets.token_hex(6)
        logs.request_name.set(name)
        try:
            said, status = self._taken(environ)
        finally:
            logs.request_name.set(None)
        body = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        headers = [*self._headers, ("Content-Length", str(len(body))), ("X-Request-Id", name)]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _taken(self, environ: WSGIEnvironment) -> tuple[webhooks.Said, int]:
        request = Request(environ)
        request.max_content_length = self._limit
        with self._app.app_context():
            try:
                return webhooks.take(request)
            except Exception as problem:  # whatever it is, Stripe must not take it for a yes
                log.exception("delivery failed", exc_info=problem)
                return {"error": "Internal Server Error"}, 500


def _is_delivery(environ: WSGIEnvironment) -> bool:
    return (
        environ["PATH_INFO"] == webhooks.PATH
        and environ["REQUEST_METHOD"] == "POST"
        and not any(name in environ for name in OF_BROWSERS)
    )
