"""A quicker ``dataclasses.replace``: the same values, and the old one as it was."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from netbootd.boots.altered import altered
from netbootd.boots.boot import Boot, Code, Note, Stage, Step
from netbootd.boots.strangers import Stranger

from .stories import CARD

STEP = Step(stage=Stage.OFFER, at=1.0, until=2.0, path="x", times=3)
NOTE = Note(code=Code.SILENT, at=1.0, until=1.0, text="t", data={"a": 1})
BOOT = Boot(number=1, key="k", began=1.0, last=2.0, steps=(STEP,), notes=(NOTE,))
STRANGER = Stranger(mac=CARD, first=1.0, last=2.0)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (STEP, {"until": 9.0, "times": 4}),
        (NOTE, {"data": {}}),
        (BOOT, {"steps": (), "last": 7.0}),
        (STRANGER, {"arch": "BIOS x86"}),
        (STEP, {}),
    ],
    ids=["step", "note", "boot", "stranger", "nothing"],
)
def test_it_is_what_replace_makes(value, changes):
    before = replace(value)
    new = altered(value, **changes)
    assert new == replace(value, **changes)
    assert value == before
    assert new is not value
    assert type(new) is type(value)


def test_it_is_frozen_like_any_other():
    with pytest.raises(FrozenInstanceError):
        altered(STEP, times=4).times = 5


def test_a_name_that_is_no_field_is_a_mistake():
    with pytest.raises(AttributeError):
        altered(STEP, colour="red")
