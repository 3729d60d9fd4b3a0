"""One house and one browser for the tests of a module here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from local.mailsink import MailSink
from tests.chromium import launched
from tests.pages.house import AS_IS, House, house
from tests.support import Databases, Sandbox


@pytest.fixture(scope="module")
def home(
    request: pytest.FixtureRequest, databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox
) -> Iterator[House]:
    """With the ``SETTINGS`` of the module, else with those that an operator has by default."""
    wanted = getattr(request.module, "SETTINGS", {AS_IS})
    with house(databases, mail_sink, sandbox_process, wanted) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """With the ``BROWSER`` arguments of the module."""
    with launched(*getattr(request.module, "BROWSER", ())) as browser:
        yield browser
