"""Commands of ours, one after another in one process: each on its own would take a second or two to start.

``python -m local.prepare`` reads from its input what to do: a JSON list of [words of the command, its input].
"""

from __future__ import annotations

import io
import json
import sys

from flask.cli import FlaskGroup

from app import create_app


def main() -> None:
    application = create_app()
    flask = FlaskGroup(create_app=lambda: application)
    for words, given in json.load(sys.stdin):
        sys.stdin = io.StringIO(given)
        flask.main(args=words, prog_name="flask", standalone_mode=False)


if __name__ == "__main__":
    main()
