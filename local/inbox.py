"""The mail inbox: an SMTP server that takes every message, and a page that shows them.

`python -m local.inbox --smtp-port 2525 --http-port 8002 --folder .data/mail`. It listens on
loopback only and runs no script: mail is shown in a frame that may do nothing but be read.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from types import FrameType

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response as Answer

from local.mailbox import Letter, Mailbox
from local.mailsink import SmtpServer
from local.ports import LOOPBACK

VIEWS = ("html", "text", "headers", "raw")
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'"
)
ADDRESS = re.compile(r"https?://[^\s<>\"’”]+[^\s<>\"’”.,;:!?)\]]")
CODE = re.compile(r"(?<![\w/=.-])\d{6}(?![\w/=-])")


def create_inbox(mailbox: Mailbox, port: int) -> Flask:
    """The pages. Requests for another host than this machine's are refused (421)."""
    inbox = Flask(__name__, template_folder="pages", static_folder="pages/static")
    hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}

    @inbox.before_request
    def only_this_machine() -> Response | None:
        if request.host not in hosts:
            return Response("This inbox answers on 127.0.0.1 only.\n", 421, mimetype="text/plain")
        return None

    @inbox.after_request
    def guard(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    _add_pages(inbox, mailbox)
    return inbox


def linked(text: str) -> Markup:
    """Text with its addresses as links, and six-digit codes that one click selects."""
    parts = []
    end = 0
    for found in re.finditer(f"{ADDRESS.pattern}|{CODE.pattern}", text):
        parts.append(escape(text[end : found.start()]))
        word = found.group()
        shape = '<a href="{0}" rel="noreferrer">{0}</a>' if ":" in word else '<span class="code">{0}</span>'
        parts.append(Markup(shape).format(word))  # noqa: S704 - the shape is ours, the word is escaped
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _add_pages(inbox: Flask, mailbox: Mailbox) -> None:
    inbox.template_filter("linked")(linked)

    @inbox.get("/")
    def index() -> str:
        wanted = request.args.get("to", "")
        return render_template("list.html", letters=mailbox.letters(wanted), to=wanted)

    @inbox.get("/messages.json")
    def messages() -> Response:
        return jsonify([letter.as_json() for letter in mailbox.letters(request.args.get("to", ""))])

    @inbox.get("/messages/<name>")
    def first_view(name: str) -> Answer:
        return redirect(url_for("view", name=name, kind="html" if _find(name).html else "text"))

    @inbox.get("/messages/<name>/<any(html, text, headers, raw):kind>")
    def view(name: str, kind: str) -> str:
        return render_template("letter.html", letter=_find(name), kind=kind, views=VIEWS)

    @inbox.get("/messages/<name>/frame")
    def frame(name: str) -> Response:
        # Links leave the frame, since most pages refuse to be framed.
        page = '<!doctype html><base target="_blank">' + _find(name).html
        return Response(page, mimetype="text/html", headers={"Content-Security-Policy": MAIL_POLICY})

    @inbox.get("/messages/<name>.eml")
    def download(name: str) -> Response:
        return Response(_find(name).raw, mimetype="message/rfc822")

    @inbox.get("/healthz")
    def health() -> Response:
        return jsonify(ok=True)

    @inbox.errorhandler(404)
    def gone(_error: Exception) -> tuple[str, int]:
        return render_template("gone.html"), 404

    def _find(name: str) -> Letter:
        return mailbox.letter(name) or abort(404)


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Pages that were asked for are not news."""


def serve(mailbox: Mailbox, port: int) -> BaseWSGIServer:
    """A threaded HTTP server, not yet running."""
    return make_server(
        LOOPBACK, port, create_inbox(mailbox, port), threaded=True, request_handler=_QuietHandler
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.inbox", description="The local mail inbox.")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    mailbox = Mailbox(options.folder)
    server = serve(mailbox, options.http_port)
    smtp = SmtpServer(mailbox.keep, options.smtp_port)

    def stop(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        server.serve_forever()
    finally:
        smtp.stop()
        server.server_close()


if __name__ == "__main__":
    main()
