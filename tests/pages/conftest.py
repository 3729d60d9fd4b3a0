"""One house and one browser for the tests of a module here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from local.mailsink import MailSink
from tests.chromium import launched
from tests.pages.house import House, house
from tests.pages.sitemap import OURS
from tests.support import Databases, Sandbox


@pytest.fixture(scope="module")
def home(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[House]:
    with house(databases, mail_sink, sandbox_process, {place.settings for place in OURS}) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser
