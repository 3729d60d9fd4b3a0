"""What Stripe answered whoever only read, given again as long as nothing has changed there."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from flask import Flask


class Asked:
    """Stands between the SDK and what carries its requests. ``at``: of which moment at Stripe the answers are; where
    that is None each question is really asked, and only there may anything be written."""

    def __init__(self, app: Flask) -> None:
        carrier = app.extensions["stripe"]._requestor._client
        self._really = type(carrier).request.__get__(carrier)  # another life's answers stood here before
        self._answers: dict[Hashable, Any] = {}
        self.at: int | None = None
        carrier.request = self._request

    def _request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        if self.at is None:
            return self._really(method, url, headers, post_data)
        assert method == "get", f"{method} {url}: whoever applies an event writes nothing to Stripe"
        key = self.at, url, headers.get("Stripe-Version")
        if key not in self._answers:
            self._answers[key] = self._really(method, url, headers, post_data)
        return self._answers[key]
