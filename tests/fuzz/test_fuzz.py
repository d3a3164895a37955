"""
The corpus, and some thousand inputs more, the same ones each time.  Nothing here looks at a clock:
what an input costs is counted in lines of Python and in bytes.
"""

from __future__ import annotations

import json
import platform
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import totals
from tests.fuzz.__main__ import fuzz
from tests.fuzz.decoder import CORPUS, Decoder, lines_of, memory_of, mutated, pumped, within
from tests.fuzz.decoders import DECODERS

EVERY_DECODER = pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
_CHANGED = 1_500  # inputs
_COUNTED = 30  # of which the lines are counted, which takes twenty times as long
_LONGEST_COUNTED = 8_192
#: Where, how many bytes go, and what comes in their place.
_EDIT = st.tuples(st.integers(0, 4096), st.integers(0, 8), st.binary(max_size=8))


@cache
def _beginnings(decoder: Decoder) -> list[bytes]:
    return [*decoder.seeds(), *(file.read_bytes() for file in decoder.kept())]


def _costs_what_it_may(decoder: Decoder, data: bytes) -> None:
    decoder.feed(data)  # fills what is kept of the last ones
    assert lines_of(decoder.feed, data) <= within(decoder.lines, data), data[:200]
    assert memory_of(decoder.feed, data) <= within(decoder.memory, data), data[:200]


@EVERY_DECODER
def test_the_corpus_raises_nothing_and_costs_what_it_may(decoder):
    for data in _beginnings(decoder):
        _costs_what_it_may(decoder, data)


@EVERY_DECODER
def test_what_is_made_of_the_corpus_raises_nothing(decoder):
    chance, beginnings = Random(decoder.name), _beginnings(decoder)
    for _ in range(_CHANGED):
        decoder.feed(mutated(*chance.choices(beginnings, k=2), decoder.longest, chance))


@EVERY_DECODER
@given(first=st.integers(0, 999), edits=st.lists(_EDIT, min_size=1, max_size=6))
@settings(max_examples=60, derandomize=True, database=None)
def test_a_few_edits_raise_nothing(decoder, first, edits):
    """As above; of what fails hypothesis finds the least edit that does."""
    beginnings = _beginnings(decoder)
    data = bytearray(beginnings[first % len(beginnings)])
    for at, dropped, put in edits:
        start = at % (len(data) + 1)
        data[start : start + dropped] = put
    decoder.feed(bytes(data[: decoder.longest]))


@EVERY_DECODER
def test_what_is_made_long_costs_in_proportion(decoder):
    chance, beginnings = Random(decoder.name), _beginnings(decoder)
    for _ in range(_COUNTED):
        data = mutated(*chance.choices(beginnings, k=2), decoder.longest, chance)
        _costs_what_it_may(decoder, pumped(data, min(decoder.largest, _LONGEST_COUNTED), chance))


def test_the_corpus_is_of_these_decoders_and_stays_small():
    files = [file for file in CORPUS.rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} <= DECODERS.keys()
    assert {file.parent.parent for file in files} == {CORPUS}
    assert len(files) < 300
    assert sum(file.stat().st_size for file in files) < 500_000


@pytest.mark.skipif(platform.machine() != "x86_64", reason="atheris is built for x86_64 alone")
def test_the_fuzzer_counts_goes_on_and_keeps_what_it_finds(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NETBOOTD_FUZZ", str(tmp_path))
    monkeypatch.setattr(totals, "FOLDER", tmp_path)
    assert fuzz(DECODERS["path"], 400)
    assert fuzz(DECODERS["path"], 900)
    found = json.loads((tmp_path / "path" / "totals.json").read_text())
    assert 900 <= found["inputs"] <= 910
    assert found["branches"] > 10
    assert found["slowest_us"] > 0
    assert list((tmp_path / "path" / "inputs").iterdir())
    capsys.readouterr()
    assert fuzz(DECODERS["path"], 400)
    assert f"{found['inputs']:,} inputs already done" in capsys.readouterr().out
