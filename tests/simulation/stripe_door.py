"""What the SDK's requests meet on their way to the sandbox, which answers in this process."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Flask
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from werkzeug.test import Client

from sandbox.house import house
from tests.simulation.doors import doors
from tests.simulation.hours import hours

ADDRESS = "http://127.0.0.1:9"
# Troubles that the sandbox itself makes, since they concern what it keeps under a key.
ITS_OWN = {
    "stripe: 500, nothing done": "error_500",
    "stripe: 429": "error_429",
    "stripe: done, then 500": "applied_then_500",
}
SLOW_SECONDS = 7.0
A_DAY = (26 * 3600.0, 60 * 3600.0)  # a key is not sent after 23 hours


class Way(BaseAdapter):
    """Carries a request over, or loses it or its answer."""

    def __init__(self, sandbox: Flask) -> None:
        super().__init__()
        self._sandbox = Client(sandbox)

    def send(self, request: Any, timeout: Any = None, **_: Any) -> requests.Response:  # type: ignore[override]
        if not doors.here("Stripe") or doors.world is None:
            return self._answer(request)
        world, wait = doors.world, timeout[1]
        world.asked(request)
        if world.weather.is_away("stripe", hours.now) or doors.strikes("stripe: refused"):
            raise requests.exceptions.ConnectionError("refused")
        if doors.strikes("stripe: timed out, nothing done"):
            hours.sleep(wait)
            raise requests.exceptions.ReadTimeout("timed out")
        world.perhaps_wait()
        doors.here("Stripe")
        trouble = next((what for site, what in ITS_OWN.items() if doors.strikes(site)), None)
        if trouble:
            house().change("trouble", house().trouble(), {"api": trouble, "times": 1})
        answer = self._answer(request)
        if request.method == "POST" and doors.strikes("stripe: done, then away for a day"):
            world.weather.long_away = hours.now + world.chance.uniform(*A_DAY)
            raise requests.exceptions.ConnectionError("connection reset")
        return self._on_its_way_back(request, answer, wait)

    def _on_its_way_back(self, request: Any, answer: requests.Response, wait: float) -> requests.Response:
        doors.here("Stripe")
        if doors.strikes("stripe: done, answer lost"):
            raise requests.exceptions.ConnectionError("connection reset")
        if doors.strikes("stripe: timed out, done"):
            hours.sleep(wait)
            raise requests.exceptions.ReadTimeout("timed out")
        if doors.strikes("stripe: truncated"):
            answer._content = answer.content[: len(answer.content) // 2]
        if doors.strikes("stripe: slow"):
            hours.sleep(min(SLOW_SECONDS, wait - 0.1))
        if doors.world is not None:
            if request.method == "POST":
                doors.stops()
            doors.world.perhaps_wait()
        doors.here("Stripe")
        return answer

    def _answer(self, request: Any) -> requests.Response:
        parts = urlsplit(request.url)
        skew, hours.skew = hours.skew, 0.0
        given = self._sandbox.open(
            parts.path,
            method=request.method,
            query_string=parts.query,
            data=request.body,
            headers=list(request.headers.items()),
        )
        hours.skew = skew
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = given.status_code, request, request.url
        answer.headers = CaseInsensitiveDict(given.headers)
        answer._content = given.get_data()
        return answer

    def close(self) -> None:
        """Nothing is open."""


def session_to(sandbox: Flask) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount(ADDRESS, Way(sandbox))
    return session
