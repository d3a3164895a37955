"""
``GET /metrics``: the numbers for Prometheus, in the format that it asks for.

No event: it asks every fifteen seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from netbootd.http.resource import NO_STORE, Answer, Asked

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: https://prometheus.io/docs/instrumenting/exposition_formats/
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def answer(asked: Asked, rendered: Callable[[bool], bytes]) -> Answer:
    """*rendered* gives the numbers, in OpenMetrics if it is told True."""
    open_metrics = "application/openmetrics-text" in asked.headers.get("accept", "")
    headers = {"Content-Type": OPEN_METRICS if open_metrics else TEXT, "Vary": "Accept", **NO_STORE}
    return Answer(HTTPStatus.OK, headers, rendered(open_metrics))
