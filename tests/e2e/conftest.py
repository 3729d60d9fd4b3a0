"""A real browser at a whole running Dunlin: every process that ``make run`` starts, on free ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page

from billing import config as settings
from local.stack import Stack
from tests.chromium import launched
from tests.conftest import make_app
from tests.e2e.person import Person
from tests.pages.noise import Noise


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="package")
def desk_of_the_stack(stack: Stack) -> Flask:
    """The application with the settings of the running one, to write rows beside it."""
    return make_app(settings.load(stack.env))


@pytest.fixture(params=[True, False], ids=["with-javascript", "without-javascript"])
def context(request: pytest.FixtureRequest, stack: Stack, chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile; whatever it complains of fails the test at its end."""
    opened = chromium.new_context(  # from where people pay in euros
        java_script_enabled=request.param, viewport={"width": 1280, "height": 900}, locale="en-IE"
    )
    opened.set_default_timeout(15_000)
    addresses = stack.addresses
    noise = Noise(opened, addresses.portal, addresses.sandbox, addresses.inbox)
    yield opened
    opened.close()
    assert noise.problems == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def ana(stack: Stack, desk_of_the_stack: Flask, page: Page, request: pytest.FixtureRequest) -> Person:
    """Somebody new in each test."""
    name = request.node.name.partition("[")[0].removeprefix("test_")[:40].replace("_", "-")
    mode = "js" if "with-javascript" in request.node.name else "plain"
    return Person(stack, page, f"{name}.{mode}@example.com", desk_of_the_stack)
