"""`python -m sandbox --port 8001 --data DIR`: serve on loopback until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from werkzeug.serving import make_server

from sandbox import running
from sandbox.app import create_app
from sandbox.house import open_house


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.INFO if options.verbose else logging.WARNING)
    open_house(options.data, options.port)
    try:
        server = make_server("127.0.0.1", options.port, create_app(), threaded=True)
    except (OSError, SystemExit):
        sys.stderr.write(f"Port {options.port} is taken: choose another with --port or SANDBOX_PORT.\n")
        return 1
    server.daemon_threads = True  # type: ignore[attr-defined]
    running.start()
    _stop_on_signal(server.shutdown)
    logging.getLogger("sandbox").info(
        "serving on http://127.0.0.1:%s, data in %s", options.port, options.data
    )
    server.serve_forever()
    server.server_close()
    running.stop()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A stand-in for Stripe on loopback."
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("SANDBOX_PORT", "8001")))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SANDBOX_DATA", ".data/sandbox")))
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
