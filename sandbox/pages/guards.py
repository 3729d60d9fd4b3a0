"""Who may call these pages, and which headers go out with them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Response, abort, g, make_response, request

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action {}"
)
_HOST = re.compile(r"[a-z0-9.:\[\]-]+\Z")


def refuse_foreign_host() -> Response | None:
    """400 unless the Host header names this machine: a foreign name for 127.0.0.1 is DNS rebinding."""
    try:
        hostname = urlsplit(f"//{request.host}").hostname
    except ValueError:
        hostname = None
    if hostname in LOOPBACK:
        return None
    return _plain("The sandbox answers only at 127.0.0.1 or localhost.", 400)


def refuse_foreign_origin() -> Response | None:
    """403 for a change that a page of another origin asks for.

    Browsers send Sec-Fetch-Site or Origin with every POST; a client that sends neither is not a browser.
    The shop on the next port is *same-site*, yet another origin: refused. ``/v1`` asks for a key instead.
    """
    if request.method in SAFE_METHODS or request.path.startswith("/v1/"):
        return None
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    allowed = site == "same-origin" if site else origin in (None, request.host_url.rstrip("/"))
    return None if allowed else _plain("This form was sent from another site.", 403)


def allow_redirect_to(*urls: str | None) -> None:
    """Let this page's forms end there: browsers apply form-action to the redirect after a POST too."""
    origins: set[str] = g.setdefault("pages_form_origins", set())
    origins.update(origin for url in urls if (origin := origin_of(url)))
    origins.discard(request.host_url.rstrip("/"))  # 'self' says it already


def set_headers(response: Response) -> Response:
    """The strict policy of every page here. Nothing is kept by the browser except the stylesheet."""
    origins = sorted(g.get("pages_form_origins", set()))
    response.headers["Content-Security-Policy"] = POLICY.format(" ".join(["'self'", *origins]))
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Not no-referrer: that would turn the Origin of our own forms into "null".
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "pages.static":
        response.headers["Cache-Control"] = "no-store"
    return response


def origin_of(url: str | None) -> str | None:
    """``scheme://host[:port]`` of an http(s) address, or None: nothing else may enter the policy header."""
    try:
        parts = urlsplit(url or "")
        port = parts.port
    except ValueError:
        return None
    hostname = parts.hostname or ""
    host = f"[{hostname}]" if ":" in hostname else hostname
    if parts.scheme not in ("http", "https") or not _HOST.match(host):
        return None
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def web_link(url: str | None) -> str | None:
    """The address when it is http(s), else None: a ``javascript:`` address is never put into a link."""
    return url if origin_of(url) else None


def go(url: str, code: int = 303) -> Response:
    """A redirect to an address the engine gave, or to one of ours."""
    if not (url.startswith("/") and not url.startswith("//")) and not web_link(url):
        abort(502, "the sandbox was asked to redirect to an address that is not http(s)")
    response = make_response("", code)
    response.headers["Location"] = url
    return response


def _plain(text: str, code: int) -> Response:
    return Response(text + "\n", code, content_type="text/plain; charset=utf-8")
