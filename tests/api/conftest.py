from __future__ import annotations

import pytest

from netbootd.record import store

from .rig import Rig, at_once


@pytest.fixture
def make_rig(tmp_path, monkeypatch):
    """A function that makes the API over a configuration in ``tmp_path``."""
    at_once(monkeypatch)
    # Who waits for the disk is told after two seconds that it is slow; what is asked here is what
    # the answer says once it is written, on a machine at work as well.
    monkeypatch.setattr(store, "_PATIENCE_S", 60.0)
    made = []

    def make(**settings):
        made.append(Rig(tmp_path, **settings))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()
