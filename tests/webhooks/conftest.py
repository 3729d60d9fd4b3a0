"""One application for a module of intake tests: what one of them leaves behind, the next does not find."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing.config import Config
from tests.intake import emptied, standing_by
from tests.support import Databases
from tests.watching import Bell


@pytest.fixture(scope="module")
def app(databases: Databases) -> Iterator[Flask]:
    with standing_by(databases) as application:
        yield application


@pytest.fixture
def config(app: Flask) -> Config:
    found: Config = app.extensions["config"]
    return found


@pytest.fixture
def bell(app: Flask, db_session: Session) -> Bell:
    """Counts the rings; before each test the tables are emptied."""
    emptied(db_session)
    return Bell(app)
