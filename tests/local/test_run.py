"""`make run`, as a person uses it: started, stopped, started again, and disturbed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import pghome, proc
from local.environment import Operator
from local.ports import Ports

REPOSITORY = Path(__file__).resolve().parents[2]


class Run:
    """One `python -m local.run` in a folder of its own."""

    def __init__(self, folder: Path, ports: Ports, **settings: str) -> None:
        self.folder = folder
        self.output = folder.parent / "output"
        self.portal = f"http://127.0.0.1:{ports.web}"
        numbers = {"PORT": ports.web, "SANDBOX_PORT": ports.sandbox, "INBOX_PORT": ports.inbox}
        env = {
            **Operator.nobody().environ(),
            **{name: str(port) for name, port in numbers.items()},
            **settings,
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.run", "--data", str(folder)],
                cwd=REPOSITORY,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def ready(self) -> Run:
        eventually(lambda: "\nREADY " in self.said or self.process.poll() is not None)
        assert f"READY {self.portal}\n" in self.said, self.said
        return self

    def parts(self) -> dict[str, tuple[int, str]]:
        """The pid and start of every part."""
        rows = json.loads((self.folder / "run.json").read_text())["children"]
        return {row["name"]: (row["pid"], row["started"]) for row in rows}

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


def eventually(condition: Callable[[], object], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def all_gone(parts: dict[str, tuple[int, str]]) -> bool:
    return not any(proc.started(pid) == started for pid, started in parts.values())


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(ports: Ports | None = None, **settings: str) -> Run:
        runs.append(Run(tmp_path / "data", ports or Ports.free(), **settings))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)
    pghome.remove_home(tmp_path / "data" / "postgres")


def test_it_says_what_to_know_keeps_its_data_and_survives_being_stopped_killed_and_broken(
    started: Callable[..., Run],
) -> None:
    """One folder through three runs, since a start is dear: stopped by Ctrl-C, killed, and losing a part."""
    first = started().ready()
    known, passwords, installation = first.parts(), _passwords(first), _installation(first)
    _says_what_to_know(first)
    assert first.end(signal.SIGINT) == 0
    assert all_gone(known)
    assert "Dunlin has stopped." in first.said
    assert not (first.folder / "run.json").exists()

    second = started().ready()
    assert (_passwords(second), _installation(second)) == (passwords, installation)
    assert _webhook_endpoints(second) == [f"{second.portal}/webhooks/stripe"]
    known = second.parts()
    second.end(signal.SIGKILL)

    third = started().ready()
    assert all_gone(known), "a killed run leaves nothing that the next one does not end"
    known = third.parts()
    os.kill(known["worker"][0], signal.SIGKILL)
    assert third.process.wait(120) == 1
    assert "worker ended by SIGKILL. The last lines of" in third.said
    assert all_gone(known)


def _passwords(run: Run) -> list[str]:
    return re.findall(r"password (\S+)", run.said)


def _says_what_to_know(run: Run) -> None:
    assert re.search(r"admin@example\.com +password \S{12,}", run.said)
    assert re.search(r"demo@example\.com +password \S{12,}", run.said)
    for card in ("4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0025 0000 3155", "4000 0000 0000 9995"):
        assert card in run.said
    assert set(run.parts()) == {"postgres", "redis", "sandbox", "inbox", "web", "worker", "clock"}
    with urllib.request.urlopen(f"{run.portal}/healthz", timeout=10) as answer:
        assert answer.status == 200


def test_a_second_run_of_the_same_folder_is_refused(started: Callable[..., Run], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    holder = f"import time; from pathlib import Path; from local.datafolder import open_folder\n\
lock = open_folder(Path({str(folder)!r})); print('held', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        run = started()
        assert run.process.wait(120) == 1
        assert f"running from this folder already (process {other.pid}" in run.said
        other.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_while_it_starts_leaves_nothing(started: Callable[..., Run], number: signal.Signals) -> None:
    run = started()
    eventually(lambda: (run.folder / "run.json").exists() and run.parts())
    parts = run.parts()
    assert run.end(number) == 0
    assert all_gone(parts)
    assert "READY" not in run.said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"APP_ENV": "production"}, "APP_ENV is production, and this is for development"),
        ({"PORT": "http"}, "PORT must be a number from 1024 to 65535, not “http”."),
        ({"STRIPE_SECRET_KEY": "sk_test_" + "a" * 24}, "run `stripe listen --forward-to http://127.0.0.1:"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY must have at least 32 characters"),
    ],
)
def test_a_setting_that_does_not_fit_is_told_in_a_sentence(
    started: Callable[..., Run], settings: dict[str, str], sentence: str
) -> None:
    run = started(**settings)
    assert run.process.wait(60) == 1
    assert sentence in run.said
    assert "Traceback" not in run.said


def _installation(run: Run) -> str:
    import psycopg

    from local import envfile

    with psycopg.connect(envfile.read(run.folder / "env")["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT public_id FROM installation").fetchone()
    assert row
    return str(row[0])


def _webhook_endpoints(run: Run) -> list[str]:
    from local import envfile

    env = envfile.read(run.folder / "env")
    request = urllib.request.Request(
        f"{env['STRIPE_API_BASE']}/v1/webhook_endpoints",
        headers={"Authorization": f"Bearer {env['STRIPE_SECRET_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return [row["url"] for row in json.load(answer)["data"]]
