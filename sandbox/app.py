"""The sandbox as one Flask application: the API, the hosted pages, the control API."""

from __future__ import annotations

import importlib.util

from flask import Flask, Response, jsonify

from sandbox import control
from sandbox.api import server

MAX_BODY = 1024 * 1024


def create_app() -> Flask:
    """The application of the house that is open (see `house.open_house`)."""
    app = Flask("sandbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.register_blueprint(server.bp)
    app.register_blueprint(control.bp)
    if importlib.util.find_spec("sandbox.pages") is not None:
        pages = importlib.import_module("sandbox.pages")
        app.register_blueprint(pages.bp)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    return app
