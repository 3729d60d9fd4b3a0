"""How long it takes to start, and how much memory web and worker hold, beside a bare process with the same libraries.

Run it as `python -m benchmarks.boot`; `--quick` for a look. The bare process imports Flask, SQLAlchemy and Stripe's SDK
and makes an application that answers “Hello”. Time is that of the processor, which a busy machine disturbs least.
Memory is what a process holds that is in no file (anonymous pages), after it has answered. At the end: a web process
after many requests, beside itself after a tenth of them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.crew import workers
from benchmarks.ground import ROOT, SECRET, Ground, ground, sandbox, served, template, workers_of
from benchmarks.harness import Turn, interleaved, machine, options, say, table
from benchmarks.load import measured
from tests.processes import environ_of

BARE = "import flask, sqlalchemy, stripe; flask.Flask('bare')"
STARTS = {
    "bare": ["-c", BARE],
    "import app": ["-c", "import app"],
    "create_app": ["-c", "import app; app.create_app()"],
    "flask --help": ["-m", "flask", "--app", "app", "--help"],
}
SERVED = (
    "import flask, sqlalchemy, stripe\n"
    "def app():\n"
    "    bare = flask.Flask('bare')\n"
    "    bare.add_url_rule('/webhooks/stripe', view_func=lambda: 'Hello', methods=['POST'])\n"
    "    return bare\n"
)


def main() -> int:
    given = options("Starting and memory beside a bare process.")
    with ExitStack() as stack:
        base = stack.enter_context(ground())
        found = stack.enter_context(sandbox())
        config = base.database("boot")
        sample = base.folder / "event.json"
        sample.write_bytes(template(found).event)
        say(f"{machine()}; {given.rounds} rounds\n")
        say(starting(environ_of(config), given.rounds))
        say(f"\n{holding(base, environ_of(config), sample, 200 if given.quick else 20_000)}")
    return 0


def starting(environ: dict[str, str], rounds: int) -> str:
    kinds: dict[str, Callable[[], Turn]] = {
        name: partial(_start, words, environ) for name, words in STARTS.items()
    }
    for turn in kinds.values():  # the first one writes what Python compiles
        turn()
    found = interleaved(kinds, rounds)
    rows = [[kind, found[kind, "cpu"], found.ratio(kind, "bare", "cpu")] for kind in found.kinds]
    return table(["start", "s of CPU", "× bare"], rows)


def _start(words: list[str], environ: dict[str, str]) -> Turn:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def holding(base: Ground, environ: dict[str, str], sample: Path, requests: int) -> str:
    """The memory of one process of each kind, and of ours after so many more requests."""
    (base.folder / "bare_app.py").write_text(SERVED)
    with ExitStack() as stack:
        bare_environ = {**environ, "PYTHONPATH": f"{base.folder}:{ROOT}"}
        bare, bare_pid = stack.enter_context(served(base, "bare_app:app()", bare_environ, workers=1))
        ours, pid = stack.enter_context(served(base, "app:web()", environ, workers=1))
        crew = stack.enter_context(workers(base.database("boot_worker"), 1))
        for port in (bare, ours):
            _ask(port, sample, 50)
        [bare_one], [one] = workers_of(bare_pid), workers_of(pid)
        least = {"bare web": held(bare_one), "web": held(one), "worker": held(crew.pids[0])}
        _ask(ours, sample, max(requests // 10, 100))
        early = held(one)
        _ask(ours, sample, requests)
        late = held(one)
    rows = [[kind, f"{size / 2**20:.0f}", f"{size / least['bare web']:.2f}"] for kind, size in least.items()]
    text = table(["process", "MiB", "× bare"], rows)
    return (
        f"{text}\n\nA web process after {requests:,} requests holds {late / early:.3f} times"
        f" what it held after {max(requests // 10, 100):,} ({early / 2**20:.1f} and {late / 2**20:.1f} MiB)."
    )


def _ask(port: int, sample: Path, count: int) -> None:
    for left in range(count, 0, -5000):
        measured(port, "/webhooks/stripe", sample, SECRET, connections=8, seconds=600, most=min(left, 5000))


def held(pid: int) -> int:
    """Bytes that are in no file, those too that a fork shares. Raises OSError where it has ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [size] = [line.split()[1] for line in lines if line.startswith("Anonymous:")]
    return int(size) * 1024


if __name__ == "__main__":
    sys.exit(main())
