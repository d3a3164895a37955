"""Whatever the evidence is, there is a diagnosis, and it can be told."""

from __future__ import annotations

import json
import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage, Step
from netbootd.record.standing import Attempt, Standing
from netbootd.record.standing import Outcome as Reported
from netbootd.why.diagnosis import State
from netbootd.why.evidence import Company, Evidence, LoaderFacts, TargetFacts
from netbootd.why.telling import lines, short
from netbootd.why.why import diagnose, state_of

from .stories import ANSWER, INITRD, KERNEL, KEY, NOON, facts, machine, target

TIMES = st.floats(NOON, NOON + 4000) | st.floats()
TEXTS = st.text(max_size=40) | st.sampled_from(
    [KERNEL, INITRD, ANSWER, "snponly.efi", "client", "unheard", "lost", "unknown", "relay", "http"]
)
NUMBERS = st.integers(-1, 1 << 40)
FACTS = st.dictionaries(
    st.sampled_from(
        [
            "path",
            "protocol",
            "status",
            "reason",
            "end",
            "size",
            "sent",
            "blksize",
            "seconds",
            "server",
            "address",
            "file",
            "proxy",
            "netboot",
            "code",
            "vendor_class",
            "outcome",
            "output",
            "next_server",
            "times",
        ]
    ),
    TEXTS | NUMBERS | st.floats() | st.booleans() | st.none(),
    max_size=8,
)
STEPS = st.builds(
    Step,
    stage=st.sampled_from(Stage),
    at=TIMES,
    until=TIMES,
    times=st.integers(0, 99),
    path=TEXTS,
    size=NUMBERS,
    sent=NUMBERS,
    open=st.booleans(),
    trouble=TEXTS | st.just(""),
    note=TEXTS | st.sampled_from(["direct", "boot-server", "first contact"]),
)
NOTES = st.builds(Note, code=st.sampled_from(Code), at=TIMES, until=TIMES, text=TEXTS, data=FACTS)
TARGETS = [
    target(),
    target("nfs", common={"up_within": 60.0}),
    target("install", answer=ANSWER),
    target("localboot"),
]
BOOTS = st.builds(
    Boot,
    number=st.integers(0, 9),
    key=st.just(KEY),
    began=TIMES,
    last=TIMES,
    arch=st.sampled_from(["UEFI x64", "BIOS x86", "nothing"]),
    target=st.sampled_from(["", "menu/it", *(one.title for one in TARGETS)]),
    memory=NUMBERS,
    outcome=st.sampled_from(Outcome),
    steps=st.lists(STEPS, max_size=8).map(tuple),
    notes=st.lists(NOTES, max_size=8).map(tuple),
)
ATTEMPTS = st.builds(
    Attempt,
    number=st.integers(0, 9),
    target=st.sampled_from([one.title for one in TARGETS]),
    began=TIMES,
    outcome=st.sampled_from(Reported),
)
EVIDENCE = st.builds(
    Evidence,
    key=st.just(KEY) | TEXTS,
    name=TEXTS,
    macs=st.sampled_from([(), (KEY,)]),
    machine=st.none() | st.sampled_from([machine(one) for one in TARGETS]),
    known=st.booleans(),
    enabled=st.booleans(),
    standing=st.builds(
        Standing, attempts=st.lists(ATTEMPTS, max_size=2).map(tuple), held=st.just("") | TEXTS
    ),
    boots=st.lists(BOOTS, max_size=4).map(tuple),
    target=st.sampled_from([TargetFacts(), *(facts(one) for one in TARGETS)]),
    loader=st.builds(
        LoaderFacts, name=TEXTS, family=TEXTS, signed=st.booleans(), is_efi=st.booleans()
    ),
    company=st.builds(Company, followed=st.integers(0, 3)),
    console=st.lists(st.tuples(TIMES, TEXTS | st.just("Kernel panic")), max_size=3).map(tuple),
    refused=st.lists(TEXTS, max_size=2).map(tuple),
    in_refused=st.none() | st.booleans(),
    heard=st.dictionaries(TEXTS, TIMES, max_size=2),
    near=TEXTS | st.just(""),
    short=st.dictionaries(TEXTS, TEXTS, max_size=1),
    now=TIMES,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVIDENCE)
def test_any_evidence_has_a_diagnosis_that_can_be_told(evidence):
    diagnosis = diagnose(evidence)
    shares = [cause.confidence for cause in diagnosis.causes]
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share <= 99 for share in shares)
    assert len({cause.code for cause in diagnosis.causes}) == len(shares)
    assert all(line.isprintable() for line in (*lines(diagnosis), short(diagnosis)))
    assert json.dumps(diagnosis.as_dict())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVIDENCE)
def test_a_machine_that_is_not_well_has_a_cause(evidence):
    diagnosis = diagnose(evidence)
    if diagnosis.state not in (State.UP, State.BOOTING):
        assert diagnosis.causes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVIDENCE)
def test_a_list_of_machines_says_of_each_what_its_diagnosis_says(evidence):
    newest = evidence.boots[0] if evidence.boots else None
    told = state_of(newest, evidence.standing, evidence.machine, evidence.now)
    diagnosed = diagnose(evidence).state
    # Going in circles, and a console that complains, are seen by the diagnosis alone.
    assert diagnosed is told or diagnosed is State.STUCK


@given(st.floats())
def test_any_time_of_day_is_told(at):
    from netbootd.why.case import size, span
    from netbootd.why.moments import clock

    assert clock(at) == "?" or len(clock(at)) == 8
    assert span(at)
    assert size(abs(at)) or math.isnan(at)
