"""
``GET /status``: how the daemon is, as a small JSON object for ``netbootd status`` and monitoring.

No event: a monitor that asks every ten seconds would fill the log of a quiet day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from netbootd.http.resource import NO_STORE, Answer

_HEADERS = {
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    **NO_STORE,
}


def answer(status: Mapping[str, Any]) -> Answer:
    """*status* as JSON; what JSON does not know is written as its text."""
    body = json.dumps(status, indent=2, default=str) + "\n"
    return Answer(HTTPStatus.OK, _HEADERS, body.encode("utf-8"))
