from __future__ import annotations

import random

import pytest

from netbootd.syslog.netconsole import Assembler


def fed(*datagrams, assembler=None):
    assembler = assembler or Assembler()
    return [said for one in datagrams for _, said in assembler.feed(one, "192.0.2.7", 0.0)]


def test_a_plain_line_is_the_kernels():
    (said,) = fed(b"[    1.0] random: crng init done\n")
    assert (said.text, said.facility, said.app) == ("[    1.0] random: crng init done", 0, "kernel")


def test_plain_lines_are_cut_where_they_end_and_not_where_the_datagrams_do():
    said = fed(b"one\ntw", b"o\nthr", b"ee", b"\n\n")
    assert [one.text for one in said] == ["one", "two", "three"]


def test_a_line_that_does_not_end_is_given_after_a_while():
    assembler = Assembler()
    assert fed(b"Kernel panic", assembler=assembler) == []
    assert assembler.overdue(1.0) == []
    ((sender, said),) = assembler.overdue(3.0)
    assert (sender, said.text) == ("192.0.2.7", "Kernel panic")
    assert assembler.waiting == 0


def test_an_extended_record_has_its_level_and_its_facts():
    (said,) = fed(b"30,416,1758426,-;eth0: up\n SUBSYSTEM=net\n DEVICE=n2\n")
    assert (said.text, said.facility, said.severity) == ("eth0: up", 3, 6)
    assert said.structured["netconsole"] == {
        "sequence": ["416"],
        "microseconds": ["1758426"],
        "SUBSYSTEM": ["net"],
        "DEVICE": ["n2"],
    }


def test_the_release_may_stand_in_front():
    (said,) = fed(b"6.1.0-18-amd64,4,7,99,-,caller=T1;careful\n")
    assert (said.text, said.severity) == ("careful", 4)
    assert said.structured["netconsole"]["release"] == ["6.1.0-18-amd64"]


def test_what_the_kernel_escapes_is_read():
    (said,) = fed(rb"6,1,2,-;caf\xc3\xa9 \x5c done" + b"\n")
    assert said.text == "café \\ done"


def fragments(body, size, sequence=416):
    for offset in range(0, len(body), size):
        header = f"6,{sequence},1758426,-,ncfrag={offset}/{len(body)};".encode()
        yield header + body[offset : offset + size]


@pytest.mark.parametrize("seed", range(5))
def test_fragments_in_any_order_become_one_line(seed):
    body = b"x" * 900 + b"y" * 900 + b"z" * 100 + b"\n KEY=value\n"
    pieces = list(fragments(body, 500))
    random.Random(seed).shuffle(pieces)
    pieces.insert(1, pieces[0])  # and one of them twice
    (said,) = fed(*pieces)
    assert said.text == "x" * 900 + "y" * 900 + "z" * 100
    assert said.structured["netconsole"]["KEY"] == ["value"]
    assert said.tags == ()


def test_a_fragment_that_does_not_come_is_told():
    assembler = Assembler()
    first, _, third = fragments(b"a" * 500 + b"b" * 500 + b"c" * 10, 500)
    assert fed(first, third, assembler=assembler) == []
    ((_, said),) = assembler.overdue(5.0)
    assert said.tags == ("incomplete",)
    assert said.text == "a" * 500 + " [...] " + "c" * 10


def test_fragments_of_two_records_do_not_mix():
    one = list(fragments(b"1" * 20, 10, 1))
    two = list(fragments(b"2" * 20, 10, 2))
    said = fed(one[0], two[0], two[1], one[1])
    assert [one.text for one in said] == ["2" * 20, "1" * 20]


@pytest.mark.parametrize(
    "header",
    [
        b"6,1,2,-,ncfrag=5/3;abc",
        b"6,1,2,-,ncfrag=0/0;abc",
        b"6,1,2,-,ncfrag=0/9999999;abc",
        b"999,1,2,-;abc",
        b"6,1,2;abc",
    ],
)
def test_odd_headers_lose_nothing(header):
    assembler = Assembler()
    said = fed(header + b"\n", assembler=assembler)
    said += [one for _, one in assembler.overdue(9.0)]
    assert "abc" in said[0].text


def test_hostile_fragments_cost_a_bounded_memory_and_no_line():
    assembler, found = Assembler(), []
    for number in range(3000):
        record = b"6,%d,2,-,ncfrag=0/60000;" % number + b"x" * 3_000
        found += assembler.feed(record, "192.0.2.7", 0.0)
    assert assembler.waiting <= 256
    for offset in range(0, 2000, 2):
        found += assembler.feed(b"6,7,2,-,ncfrag=%d/60000;y" % offset, "192.0.2.8", 0.0)
    for number in range(10_000):
        found += assembler.feed(b"no end", f"10.0.{number // 250}.{number % 250}", 0.0)
    assert assembler.waiting <= 256 + 4096
    found += assembler.overdue(9.0)
    assert (
        [said.text[0] for _, said in found].count("n") == len({s for s, _ in found}) - 2 == 10_000
    )
    assert sum(said.text.count("x") for _, said in found) == 3000 * 3000
    assert sum(said.text.count("y") for _, said in found) == 1000


def test_a_datagram_of_empty_lines_or_pairs_costs_a_bounded_number_of_them():
    assembler = Assembler()
    found = assembler.feed(b"x\n" * 30_000, "192.0.2.7", 0.0) + assembler.overdue(9.0)
    assert len(found) == 256 + 1
    assert sum(said.text.count("x") for _, said in found) == 30_000
    ((_, said),) = assembler.feed(b"6,1,1,-;text" + b"\n a=b" * 10_000, "192.0.2.7", 0.0)
    assert len(said.structured["netconsole"]["a"]) == 256
