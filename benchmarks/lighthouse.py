"""What Lighthouse says of the six main pages: `make lighthouse`, or `python -m benchmarks.lighthouse`.

Each page is judged as a telephone on a slow line sees it, three times (``--turns``). Printed is the middle one: the
four scores of 100, when the largest thing is there (LCP), how long the browser is too busy to answer (TBT), how much
jumps (CLS); and first, as the baseline, the same of a page that says only “Hello”. It takes some five minutes and
needs npm, which installs Lighthouse into ``.venv``. Nothing here fails: it is for reading.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from flask import Flask

from local import browser as browsers
from local import npm
from tests.doors import COOKIE, cookie_of
from tests.pages.house import AS_IS, House
from tests.pages.pictures import house_alone
from tests.pages.sitemap import named
from tests.support import sign_in
from tests.watching import serving

PACKAGE, VERSION = "lighthouse", "12.8.2"
FOLDER = Path(sys.prefix) / "lighthouse"
PROGRAM = FOLDER / "node_modules" / ".bin" / "lighthouse"
PAGES = ("plans", "check", "billing-active", "invoices", "sign-in", "account")
KINDS = ("performance", "accessibility", "best-practices", "seo")
TIMES = ("largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift")


def main() -> int:
    parser = argparse.ArgumentParser(description="What Lighthouse says of the main pages.")
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    if not ensure():
        write(f"This needs npm, which installs {PACKAGE} {VERSION} into .venv.")
        return 1
    hello = Flask("hello")
    hello.add_url_rule(
        "/", view_func=lambda: "<!doctype html><html lang=en><title>Hello</title><h1>Hello</h1>"
    )
    write(
        f"{'':16} {'perf':>5} {'a11y':>5} {'best':>5} {'seo':>5} {'LCP':>8} {'TBT':>8} {'CLS':>6}  what is not 100"
    )
    with serving(hello) as port, house_alone({AS_IS}) as home:
        show("Hello", f"http://127.0.0.1:{port}/", None, turns)
        for name in PAGES:
            show(name, named(name).url(home), cookie(home, named(name).who), turns)
    return 0


def ensure() -> bool:
    """Whether the pinned version is there, installed first where that is possible."""
    if not PROGRAM.exists() and shutil.which("npm"):
        write(f"Installing {PACKAGE} {VERSION} with npm…")
        npm.install(FOLDER, f"{PACKAGE}@{VERSION}")
    return PROGRAM.exists()


def cookie(home: House, who: str) -> str | None:
    if who == "stranger":
        return None
    client = home.app.test_client()
    sign_in(client, home.user(who))
    return f"{COOKIE}={cookie_of(client)}"


def show(name: str, url: str, cookie: str | None, turns: int) -> None:
    reports = [found for found in (judged(url, cookie) for _ in range(turns)) if found]
    if not reports:
        write(f"{name:16} the browser gave no trace, as on a machine with too much to do")
        return
    middle = sorted(reports, key=lambda report: score(report, "performance"))[len(reports) // 2]
    scores = " ".join(f"{score(middle, kind):5.0f}" for kind in KINDS)
    lcp, tbt, cls = (
        statistics.median(one["audits"][time]["numericValue"] for one in reports) for time in TIMES
    )
    write(f"{name:16} {scores} {lcp:5.0f} ms {tbt:5.0f} ms {cls:6.3f}  {', '.join(short(middle))}")


def score(report: dict[str, Any], kind: str) -> float:
    return float(report["categories"][kind]["score"] or 0) * 100


def short(report: dict[str, Any]) -> list[str]:
    """The audits that count and are not perfect."""
    counted = {
        ref["id"] for kind in KINDS for ref in report["categories"][kind]["auditRefs"] if ref["weight"]
    }
    return sorted(
        name for name in counted if (report["audits"][name]["score"] or 0) < 0.9 and _applies(report, name)
    )


def _applies(report: dict[str, Any], name: str) -> bool:
    return report["audits"][name]["scoreDisplayMode"] not in ("notApplicable", "informative", "manual")


def judged(url: str, cookie: str | None) -> dict[str, Any] | None:
    """Lighthouse's report; None where the browser lost its trace. Raises RuntimeError for anything else."""
    program = browsers.ensure()
    words = [str(PROGRAM), url, "--output=json", "--quiet", f"--only-categories={','.join(KINDS)}"]
    words.append(f"--chrome-flags=--headless=new {' '.join(program.arguments)}")
    if cookie:
        words.append(f"--extra-headers={json.dumps({'Cookie': cookie})}")
    environ = {**os.environ, **({"CHROME_PATH": program.executable} if program.executable else {})}
    answer = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=300, check=False)
    if answer.returncode and "NO_NAVSTART" in answer.stderr:
        return None
    if answer.returncode:
        raise RuntimeError(answer.stderr[-2000:])
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
