"""What the running application was started with: its settings and its catalogue."""

from __future__ import annotations

from flask import current_app

from billing.config import Config
from billing.plans import Catalogue


def config() -> Config:
    """The settings, read once at start."""
    found: Config = current_app.extensions["config"]
    return found


def catalogue() -> Catalogue:
    """What is sold: ``plans.toml``, read once at start."""
    found: Catalogue = current_app.extensions["catalogue"]
    return found
