from __future__ import annotations

import pytest
from twisted.logger import globalLogPublisher

from .inmemory import Rig


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


@pytest.fixture
def caught_faults():
    """A function that takes the failures logged so far, which must be of one type."""
    faults = []

    def observe(event):
        if "log_failure" in event:
            faults.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)

    def take(kind):
        assert all(fault.check(kind) for fault in faults), faults
        return list(faults)

    yield take
    globalLogPublisher.removeObserver(observe)
