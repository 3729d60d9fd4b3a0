"""The sandbox's server: Werkzeug's, but a connection stays open for the next request, as Stripe's own do.

Werkzeug closes every connection, since an application may leave a body unread, which would pass for the next request;
here a body is read before anybody is asked. A new connection and a new thread for each request cost more than most
answers.
"""

from __future__ import annotations

import io
import socket
import traceback

from flask import Flask
from werkzeug.exceptions import InternalServerError
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

LOOPBACK = "127.0.0.1"
# A body beyond that is for Werkzeug, which reads as much of it as the application asks for.
LONGEST_BODY = 4 * 1024 * 1024
NO_BODY = (204, 304)


class Handler(WSGIRequestHandler):
    """Answers in one write, and goes on with the same connection until its other end closes it."""

    def run_wsgi(self) -> None:
        """One request. One whose length nobody knows beforehand is Werkzeug's, and its connection ends."""
        length = self.headers.get("Content-Length", "0")
        if (
            "Transfer-Encoding" in self.headers
            or "Expect" in self.headers
            or not length.isdecimal()
            or int(length) > LONGEST_BODY
        ):
            super().run_wsgi()
            return
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(self.rfile.read(int(length)))
        try:
            answer = Response.from_app(self.server.app, environ, buffered=True)
        except Exception:  # noqa: BLE001 what the application did not expect is its caller's to read, and ours to log
            self.server.log("error", "Error on request:\n%s", traceback.format_exc())
            answer = Response(InternalServerError().get_body(), 500, content_type="text/html")
        self._write(answer)

    def _write(self, answer: Response) -> None:
        connection, self.wfile = self.wfile, io.BytesIO()
        self._write_down(answer)
        written, self.wfile = self.wfile.getvalue(), connection
        self.wfile.write(written)

    def _write_down(self, answer: Response) -> None:
        body = answer.get_data()
        self.send_response(answer.status_code, answer.status.partition(" ")[2])
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers and answer.status_code not in NO_BODY:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def server(app: Flask, port: int, listening: socket.socket | None = None) -> BaseWSGIServer:
    """A server on loopback with a thread for each connection, not yet running. ``listening``: a socket to copy."""
    descriptor = listening.fileno() if listening else None
    return make_server(LOOPBACK, port, app, threaded=True, request_handler=Handler, fd=descriptor)
