"""What is laid out for many, and that it says the same as what is read for one."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd.content import Content
from netbootd.tftp import ready, wire
from netbootd.tftp.blocks import MOST_ROOMS, Mould, Streamed, Whole, laid
from netbootd.tftp.habits import SOUND, lesson
from netbootd.tftp.options import PLAIN
from netbootd.tftp.outcome import End
from netbootd.tftp.pace import Pace
from netbootd.tftp.ready import Ready
from netbootd.tftp.transfer import Transfer

from .model import Client, File, Wire, datagrams, grant, synthetic, transfer


class Recorder:
    """A wire's receiver that writes everything down."""

    def __init__(self, client):
        self.client, self.heard = client, []

    def __getattr__(self, name):
        return getattr(self.client, name)

    def hear(self, datagram):
        self.heard.append(datagram)
        return self.client.hear(datagram)


def _carried(size, granted, seed, whole=None):
    more = {"whole": whole} if whole else {}
    client = Recorder(Client(granted))
    served = transfer(size, granted, **more)
    Wire(seed=seed, loss=0.02, doubling=0.02, disorder=0.02).carry(served, client)
    return served.outcome, served.story(), served.resent, client.heard, bytes(client.received)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40_000),
    st.sampled_from([512, 1024, 1468]),
    st.sampled_from([1, 2, 4, 16]),
    st.integers(0, 1000),
)
def test_what_is_laid_out_goes_as_what_is_read(size, blksize, windowsize, seed):
    """Datagram by datagram, with losses, copies and disorder."""
    granted = grant(blksize, windowsize)
    asked = []

    def whole(*how):
        asked.append(how)
        return Whole(synthetic(0, size), blksize)

    assert _carried(size, granted, seed, whole) == _carried(size, granted, seed)
    assert set(asked) <= {(blksize, windowsize)}
    assert len(asked) <= 1


class Disk:
    """A file of *size* bytes, to be read into places."""

    def __init__(self, size):
        self.size = size

    def read_into(self, rooms, offset):
        count = 0
        for room in rooms:
            data = synthetic(offset + count, max(0, min(len(room), self.size - offset - count)))
            room[: len(data)] = data
            count += len(data)
        return count


@pytest.mark.fast_path("moulds")
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40_000),
    st.sampled_from([512, 1024, 1468]),
    st.sampled_from([2, 4, 16, 300]),
    st.integers(0, 1000),
)
def test_what_is_read_into_its_place_goes_as_what_is_put_together(size, blksize, windowsize, seed):
    """Datagram by datagram, with losses, copies and disorder."""
    granted = grant(blksize, windowsize)
    streamed = Streamed(Disk(size).read_into, size, blksize, windowsize)
    assert _carried(size, granted, seed, lambda *_: streamed) == _carried(size, granted, seed)


@pytest.mark.fast_path("moulds")
@pytest.mark.parametrize("first", [1, 200, 255, 256, 257, 65_300, 65_536, 65_537])
@pytest.mark.parametrize("count", [1, 2, 255, 256, 300])
def test_every_block_of_a_mould_has_its_number(first, count):
    """Where they go over a byte, and over all 16 bits; also behind what a longer window left."""
    mould, size, until = Mould(8, 300), 8 * 66_000, first + count - 1
    mould.fill(Disk(size).read_into, 1, 300, size)
    data = synthetic((first - 1) * 8, count * 8)
    assert datagrams(mould.fill(Disk(size).read_into, first, until, size)) == datagrams(
        (laid(data, 8, first, until), 12)
    )


@pytest.mark.fast_path("moulds")
@pytest.mark.parametrize(("now", "fails"), [(100_001, False), (100_000, False), (99_999, True)])
def test_a_file_that_grows_is_sent_as_it_was_and_one_that_shrinks_is_not(now, fails):
    window = Streamed(Disk(now).read_into, 100_000, 1000, 4)
    if fails:
        with pytest.raises(EOFError, match="shrank below its 100000 bytes"):
            window.train(98, 101)
    else:
        assert len(window.train(98, 101)[0]) == 3 * 1004 + 4


@pytest.mark.parametrize("problem", [OSError("the disk"), EOFError("it shrank")], ids=repr)
@pytest.mark.parametrize("block", [0, 4, 8])
def test_a_window_that_cannot_be_read_ends_the_transfer(problem, block):
    """The first, by the long way of an ACK, and a later one by the short way."""

    class Bad:
        def train(self, first, until):
            if first > block:
                raise problem
            return bytes(until - first + 1), 1

    served = transfer(50_000, grant(512, 4), whole=lambda *_: Bad())
    served.start(0.0)
    replies = [served.acknowledge(number, 0.1 + number) for number in range(0, block + 1, 4)]
    assert datagrams(replies[-1]) == [b"\0\5\0\0file changed or unreadable\0"]
    assert (served.outcome.end, served.outcome.reason) == (End.BROKEN, str(problem))


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 512 * 65_537 + 7])
def test_the_last_block_is_short_or_empty(size):
    whole = Whole(synthetic(0, size), 512)
    last = size // 512 + 1
    [datagram] = datagrams(whole.train(last, last))
    number = (last & 0xFFFF).to_bytes(2, "big")
    assert datagram == b"\0\3" + number + synthetic((last - 1) * 512, size % 512)


def _file(folder, name, data, changed=1_000_000_000):
    path = folder / name
    path.write_bytes(data)
    os.utime(path, (changed, changed))
    return path


def _opened(path):
    fd = os.open(path, os.O_RDONLY)
    return Content(path.name, fd=fd, status=os.fstat(fd))


@pytest.fixture
def later():
    """A Ready for which everything was written long ago."""
    return Ready(today=lambda: 4_000_000_000.0, now=itertools.count().__next__)


@pytest.mark.fast_path("laid-out")
def test_a_program_is_laid_out_at_once_and_for_all(later):
    program = Content("ipxe.efi", held=b"x" * 5000, etag="digest")
    again = Content("other name", held=b"x" * 5000, etag="digest")
    assert later.of(program, 512) is not None
    assert later.of(again, 512) is later.of(program, 512)
    assert later.of(program, 1024) is not later.of(program, 512)


def test_what_is_made_for_one_machine_is_not_kept(later):
    assert later.of(Content("script", held=b"#!ipxe"), 512) is None


@pytest.mark.fast_path("laid-out")
def test_a_file_is_laid_out_for_the_second(later, tmp_path):
    path = _file(tmp_path, "vmlinuz", b"y" * 5000)
    assert later.of(_opened(path), 512) is None
    whole = later.of(_opened(path), 512)
    assert whole is not None
    assert later.of(_opened(path), 512) is whole


@pytest.mark.fast_path("laid-out")
def test_a_file_that_was_written_anew_is_laid_out_anew(later, tmp_path):
    path = _file(tmp_path, "vmlinuz", b"y" * 5000)
    for _ in range(2):
        before = later.of(_opened(path), 512)
    _file(tmp_path, "vmlinuz", b"z" * 5000)  # same size, same time of writing
    for _ in range(2):
        after = later.of(_opened(path), 512)
    assert b"z" in bytes(after.train(1, 1)[0])
    assert b"y" in bytes(before.train(1, 1)[0])


@pytest.mark.fast_path("laid-out")
def test_a_file_of_this_moment_is_not_kept(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(b"y" * 5000)
    changed = path.stat().st_ctime
    for seconds, kept in ((0.0, False), (1.9, False), (2.1, True)):
        each = Ready(today=lambda seconds=seconds: changed + seconds)
        each.of(_opened(path), 512)
        assert (each.of(_opened(path), 512) is not None) == kept


def test_a_file_that_changes_while_it_is_read_is_not_kept(later, tmp_path):
    path = _file(tmp_path, "vmlinuz", b"y" * 5000)
    later.of(_opened(path), 512)
    content = _opened(path)
    path.write_bytes(b"z" * 5000)
    assert later.of(content, 512) is None
    os.truncate(path, 100)
    assert later.of(content, 512) is None


@pytest.mark.fast_path("laid-out")
def test_who_asks_for_ever_other_blocks_makes_no_more_than_ten_a_second():
    """What was laid out before serves on meanwhile."""
    times = itertools.count(0, 1 / 32)
    ready = Ready(today=lambda: 4_000_000_000.0, now=times.__next__)
    program = Content("ipxe.efi", held=b"x" * 5000, etag="digest")
    usual = ready.of(program, 1468)
    assert usual is not None
    made = [ready.of(program, blksize) for blksize in range(512, 512 + 40)]
    assert len([each for each in made if each is not None]) == 10
    assert ready.of(program, 1468) is usual


@pytest.mark.fast_path("moulds")
def test_windows_of_a_file_are_read_into_their_places(later, tmp_path):
    """Not in lock step, which reads ahead, nor what is in memory, nor more than one call reads."""
    fetched = _file(tmp_path, "initrd", synthetic(0, 50_000))
    assert later.of(_opened(fetched), 1000, 1) is None
    fetched = _file(tmp_path, "other", synthetic(0, 50_000))
    streamed = later.of(_opened(fetched), 1000, 4)
    assert isinstance(streamed, Streamed)
    with_all = Whole(synthetic(0, 50_000), 1000)
    for first in (1, 5, 49):
        until = min(first + 3, 51)
        assert datagrams(streamed.train(first, until)) == datagrams(with_all.train(first, until))
    many = _file(tmp_path, "third", bytes(9))
    assert later.of(_opened(many), 8, MOST_ROOMS + 1) is None
    assert later.of(Content("made", held=b"x"), 1000, 4) is None


def test_windows_of_a_file_go_the_same_whatever_reads_them(later, tmp_path):
    fetched, granted = _file(tmp_path, "initrd", synthetic(0, 50_000)), grant(1000, 4)
    read = _carried(50_000, granted, 1, lambda *how: later.of(_opened(fetched), *how))
    assert read == _carried(50_000, granted, 1)


def test_large_files_and_small_blocks_are_not_kept(later):
    large = Content("image", held=bytes(ready._LARGEST + 1), etag="digest")
    assert later.of(large, 1468) is None
    assert later.of(Content("loader", held=bytes(100), etag="other"), 8) is None


@pytest.mark.fast_path("laid-out")
def test_what_was_not_asked_for_the_longest_goes_first(later, monkeypatch):
    monkeypatch.setattr(ready, "_ROOM", 12_000)
    programs = [Content(name, held=bytes(5000), etag=name) for name in "abc"]
    kept = [later.of(program, 512) for program in programs[:2]]
    assert later.of(programs[0], 512) is kept[0]
    later.of(programs[2], 512)
    assert later._size <= 12_000
    assert later.of(programs[0], 512) is kept[0]
    assert later.of(programs[1], 512) is not kept[1]


#: How far from what was sent last an ACK is: mostly not at all.
_OFF = st.sampled_from([0, 0, 0, 0, 0, 0, -1, -2, -9, 1])


class InManySteps(Transfer):
    """Takes no short way."""

    __slots__ = ()

    def _next_window(self, whole, now):
        return self._window_arrived(now)


#: What the two differ in, and what is another object in each.
_ITS_OWN = ("_file", "_length", "_packets", "_whole_of", "awaited")


def _all_of(served):
    """Everything that a transfer knows."""
    slots = {name: getattr(served, name) for name in Transfer.__slots__ if hasattr(served, name)}
    slots["_pace"] = {name: getattr(served._pace, name) for name in Pace.__slots__}
    return {name: value for name, value in slots.items() if name not in _ITS_OWN}


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 20_000),
    st.sampled_from([PLAIN, grant(512), grant(512, 4), grant(1024, 16, 3)]),
    st.lists(st.tuples(_OFF, st.floats(0.001, 1.5) | st.just(0.001)), max_size=60),
)
def test_the_short_way_of_an_ack_is_as_good_as_the_long_one(size, granted, said):
    """ACKs in order and out of it, with time passing: the same packets, the same state."""
    whole, now = Whole(synthetic(0, size), granted.blksize), 100.0
    made = [
        kind(File(size).read, size, granted, whole=lambda *_: whole)
        for kind in (Transfer, InManySteps)
    ]
    assert len({bytes(each.start(now)[0]) for each in made}) == 1
    for offset, seconds in said:
        now += seconds
        late = [datagrams(each.tick(now)) for each in made]
        number = made[0]._sent + offset
        heard = [datagrams(each.acknowledge(number & 0xFFFF, now + 0.0005)) for each in made]
        assert late[0] == late[1]
        assert heard[0] == heard[1]
        assert _all_of(made[0]) == _all_of(made[1])
        assert made[0].awaited in (None, wire.ack(made[0]._sent & 0xFFFF))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 40_000),
    st.sampled_from([PLAIN, grant(512), grant(512, 4), grant(1468, 16)]),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.01, 0.3]),
)
def test_what_went_smoothly_teaches_nothing(size, granted, seed, loss):
    served = transfer(size, granted)
    Wire(seed=seed, loss=loss).carry(served, Client(granted))
    if served.smooth:
        assert lesson(served.story(), SOUND) is None
    assert served.smooth or loss or granted is PLAIN
