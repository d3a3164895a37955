"""A boot as JSON, quickly: byte for byte what the standard library writes."""

from __future__ import annotations

import json

import pytest

from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage, Step
from netbootd.boots.written import encode

WORDS = 'a "quoted" \\ é \udc80 \n\x00\u2028'
STEP = Step(
    stage=Stage.KERNEL,
    at=1795313718.5634491,
    until=1795313722.5,
    times=3,
    path=WORDS,
    size=1 << 40,
    sent=7,
    open=True,
    trouble=WORDS,
    mac="02:00:00:00:00:00",
    peer="10.0.0.1",
    interface="eth0",
    protocol="HTTP",
    generation=12,
    note=WORDS,
)
NOTE = Note(code=Code.BROKEN, at=1.5, until=2.0, text=WORDS, times=2, data={"é": [1, None, True]})
FULL = Boot(
    number=9,
    key=WORDS,
    macs=("02:00:00:00:00:00", "02:00:00:00:00:01"),
    uuid="u",
    arch="UEFI x64",
    target="nfs/a",
    peer="fe80::1",
    memory=16384,
    began=3.0,
    last=2.0,  # a clock that was set back
    generation=12,
    outcome=Outcome.FAILED,
    steps=(
        STEP,
        Step(stage=Stage.FAILED, at=5.0, until=4.0),
        Step(stage=Stage.OFFER, at=1, until=2),
    ),
    notes=(NOTE, Note(code=Code.SILENT, at=1e300, until=1e-7, text="")),
)
EMPTY = Boot(number=1, key="k", began=0.0, last=1e16)


@pytest.mark.parametrize("boot", [FULL, EMPTY], ids=["full", "empty"])
def test_the_text_is_that_of_the_standard_library(boot):
    assert encode(boot) == json.dumps(boot.as_dict(), separators=(",", ":"))
    assert Boot.of_dict(json.loads(encode(boot))) == boot
