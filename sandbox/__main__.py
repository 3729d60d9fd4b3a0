"""`python -m sandbox --port 8001 --data DIR`: serve on loopback until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

from sandbox import record, running, serving
from sandbox.app import create_app
from sandbox.house import open_house


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.INFO if options.verbose else logging.WARNING)
    try:
        # before the data are opened: they may be those of the sandbox that has this port
        listening = socket.create_server((serving.LOOPBACK, options.port))
    except OSError as problem:
        sys.stderr.write(_no_port(options.port, problem))
        return 1
    house = open_house(options.data, options.port)
    if options.reset:
        house.reset()
    if options.record:
        record.open_file(options.record)
    with listening:  # the server has a copy of its own
        server = serving.server(create_app(), options.port, listening)
    running.start()
    _stop_on_signal(server.shutdown)
    logging.getLogger("sandbox").info(
        "serving on http://127.0.0.1:%s, data in %s", options.port, options.data
    )
    gc.freeze()  # what is there by now stays, and need not be looked through for garbage
    server.serve_forever()
    server.server_close()
    running.stop()
    return 0


def _no_port(port: int, problem: OSError) -> str:
    """Why there is no listening on this port, in one sentence."""
    taken = problem.errno == errno.EADDRINUSE
    why = "is taken" if taken else f"can't be had ({os.strerror(problem.errno or 0)})"
    return f"Port {port} {why}: choose another with --port or SANDBOX_PORT.\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A stand-in for Stripe on loopback."
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("SANDBOX_PORT", "8001")))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SANDBOX_DATA", ".data/sandbox")))
    parser.add_argument(
        "--record",
        type=Path,
        default=os.environ.get("SANDBOX_RECORD") or None,
        help="append every answer and every delivered event to this file, one JSON line each",
    )
    parser.add_argument(
        "--reset", action="store_true", help="forget what the data hold, but not saved states"
    )
    parser.add_argument("--verbose", action="store_true", help="log every request")
    return parser.parse_args()


def _stop_on_signal(shutdown: object) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        # shutdown() waits for serve_forever, which runs in this very thread
        threading.Thread(target=shutdown, daemon=True).start()  # type: ignore[arg-type]

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


if __name__ == "__main__":
    sys.exit(main())
