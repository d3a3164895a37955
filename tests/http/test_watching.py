"""What those who watch the daemon are told over HTTP."""

from __future__ import annotations

import pytest

from netbootd.http.health import Health
from netbootd.http.metrics import OPEN_METRICS, TEXT


def test_a_healthy_daemon_is_ok(rig):
    response = rig.get("/healthz")
    assert (response.status, response.text) == (200, "ok\n")
    assert rig.events == []


def test_a_degraded_daemon_still_answers_200_and_says_why(rig):
    rig.site.health_of = lambda: Health(degraded=("disk full", "port taken"))
    response = rig.get("/healthz")
    assert (response.status, response.text) == (
        200,
        "degraded: disk full\ndegraded: port taken\n",
    )


def test_a_daemon_that_cannot_serve_answers_503(rig):
    rig.site.health_of = lambda: Health(("TFTP listens nowhere",), ("line\nbreak",))
    response = rig.get("/healthz")
    assert response.status == 503
    assert response.text == "down: TFTP listens nowhere\ndegraded: line\\nbreak\n"


def test_a_daemon_that_stops_is_not_healthy(rig):
    rig.site.stopping = True
    assert rig.get("/healthz").status == 503


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", OPEN_METRICS),
        ("application/openmetrics-text; version=rubbish", OPEN_METRICS),
    ],
    ids=["nothing", "text", "prometheus", "rubbish"],
)
def test_the_format_is_the_one_asked_for(rig, accept, kind):
    rig.site.metrics_of = lambda as_open_metrics: b"open" if as_open_metrics else b"text"
    response = rig.get("/metrics", Accept=accept)
    assert response.headers["content-type"] == kind
    assert response.body == (b"open" if kind == OPEN_METRICS else b"text")


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_nothing_is_put_there(rig, path):
    assert rig.ask("POST", path).status == 405


def test_a_fault_in_the_numbers_hurts_nobody_else(rig, caught_faults):
    rig.site.metrics_of = lambda _: 1 / 0
    assert rig.get("/metrics").status == 500
    assert caught_faults(ZeroDivisionError)
    assert rig.get("/healthz").status == 200
