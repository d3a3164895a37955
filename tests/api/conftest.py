from __future__ import annotations

import pytest

from .rig import Rig, at_once


@pytest.fixture
def make_rig(tmp_path, monkeypatch):
    """A function that makes the API over a configuration in ``tmp_path``."""
    at_once(monkeypatch)
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
