from __future__ import annotations

import pytest

from netbootd.shipping import courier
from netbootd.shipping.shipper import Shipper

from .elastic import Elastic
from .writing import Log


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Nothing here waits as long as it would between real servers."""
    monkeypatch.setattr(courier, "_PACE_S", 0.02)
    monkeypatch.setattr(courier, "_COUNT_S", 0.02)
    monkeypatch.setattr(courier, "_LONGEST_S", 0.05)
    monkeypatch.setattr(courier, "_DISK_S", 0.05)


@pytest.fixture
def elastic():
    with Elastic() as running:
        yield running


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "logs")


@pytest.fixture
def ship(tmp_path):
    """A function that starts a shipper of the log with the given settings; all are stopped."""
    started = []

    def start(settings, **told):
        shipper = Shipper(tmp_path / "logs", tmp_path / "shipping", **told)
        started.append(shipper)
        shipper.configure(settings)
        return shipper

    yield start
    for shipper in started:
        shipper.stop()
