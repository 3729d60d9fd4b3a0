"""What a browser complains of: blocked by our policy, failed, wrong in a script, or asked of somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

# Said by a script of the browser's own, so also where the policy keeps every script of a page out.
TELL = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} kept out ${event.blockedURI} of ${location.pathname}`))"""


class Noise:
    """Everything wrong that one browser profile met. ``homes``: the hosts that pages may come from."""

    def __init__(self, context: BrowserContext, *homes: str) -> None:
        self.problems: list[str] = []
        self._homes = {urlsplit(home).netloc for home in homes}
        self._expected = False
        context.add_init_script(TELL)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.problems.append(f"script: {error.error}"))
        context.on("request", self._asked)
        context.on("response", self._answered)

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Nothing that is said meanwhile counts: the test itself breaks what is loaded."""
        self._expected = True
        yield
        self._expected = False

    def _said(self, line: ConsoleMessage) -> None:
        # A page that answers 4xx is named in the console too; whether it should is for the test to say.
        of_the_page = line.text.startswith("Failed to load resource")
        if line.type in ("error", "warning") and not of_the_page and not self._expected:
            self.problems.append(f"console: {line.text}")

    def _asked(self, request: Request) -> None:
        host = urlsplit(request.url).netloc
        if request.resource_type != "document" and request.url.startswith("http") and host not in self._homes:
            self.problems.append(f"asked of somebody else: {request.url}")

    def _answered(self, response: Response) -> None:
        part = response.request.resource_type != "document"
        if part and response.status >= 400 and not self._expected:
            self.problems.append(f"{response.status}: {response.url}")
