"""Packets and time on the left, packets on the right."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netbootd.tftp import wire
from netbootd.tftp.netascii import Netascii, translate
from netbootd.tftp.options import PLAIN
from netbootd.tftp.outcome import End
from netbootd.tftp.transfer import Transfer

from .model import OPTIONS, Client, File, Wire, datagrams, grant, numbers, synthetic, transfer


def begun(size, granted=PLAIN, now=0.0):
    """A transfer whose client has acknowledged the OACK 10 ms after it was sent."""
    made = transfer(size, granted)
    made.start(now)
    return made, made.acknowledge(0, now + 0.01)


def test_without_options_data_comes_first():
    made = transfer(1000)
    assert datagrams(made.start(0.0)) == [b"\0\3\0\1" + synthetic(0, 512)]
    assert datagrams(made.acknowledge(1, 0.1)) == [b"\0\3\0\2" + synthetic(512, 488)]
    assert made.acknowledge(2, 0.2) is None
    assert made.outcome.end is End.COMPLETE


def test_with_options_the_oack_comes_first():
    made = transfer(100, grant(1468))
    assert datagrams(made.start(0.0)) == [wire.encode(wire.OptionAck(OPTIONS))]
    assert datagrams(made.acknowledge(0, 0.1)) == [b"\0\3\0\1" + synthetic(0, 100)]


@pytest.mark.parametrize(
    ("size", "blocks"), [(0, [0]), (1, [1]), (511, [511]), (512, [512, 0]), (1024, [512, 512, 0])]
)
def test_the_last_block_is_short_and_may_be_empty(size, blocks):
    made, lengths = transfer(size), []
    out = made.start(0.0)
    for block in range(1, len(blocks) + 1):
        assert made.outcome is None
        [datagram] = datagrams(out)
        lengths.append(len(datagram) - 4)
        out = made.acknowledge(block, 0.1)
    assert lengths == blocks
    assert out is None
    assert made.outcome.end is End.COMPLETE


def test_a_window_goes_out_at_once_and_waits_for_one_ack():
    made, out = begun(512 * 10, grant(512, 4))
    assert numbers(out) == [1, 2, 3, 4]
    assert numbers(made.acknowledge(4, 0.02)) == [5, 6, 7, 8]
    assert numbers(made.acknowledge(8, 0.03)) == [9, 10, 11]
    assert made.acknowledge(11, 0.04) is None
    assert made.outcome.end is End.COMPLETE


def test_an_ack_inside_the_window_means_resend_from_here_once():
    made, _ = begun(512 * 20, grant(512, 8))
    assert numbers(made.acknowledge(2, 0.03)) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert made.acknowledge(2, 0.031) is None
    assert made.acknowledge(2, 0.032) is None
    assert made.resent == 6
    assert numbers(made.acknowledge(10, 0.05))[0] == 11


def test_an_ack_soon_after_a_repetition_brings_new_blocks_only():
    """It speaks of blocks that were under way before; else two windows would circulate."""
    made, _ = begun(512 * 40, grant(512, 8))
    assert numbers(made.tick(made.deadline)) == [1, 2, 3, 4, 5, 6, 7, 8]
    now = made.deadline - 0.04
    made._repeated_at = now
    assert numbers(made.acknowledge(6, now + 0.001)) == [9, 10, 11, 12, 13, 14]
    assert numbers(made.acknowledge(14, now + 0.002))[0] == 15


def test_a_duplicate_ack_is_never_answered_in_lock_step():
    """The Sorcerer's Apprentice (RFC 1123, 4.2.3.1)."""
    made, _ = begun(512 * 10, grant())
    assert numbers(made.acknowledge(1, 0.02)) == [2]
    for _ in range(5):
        assert made.acknowledge(1, 0.03) is None
        assert made.acknowledge(0, 0.03) is None
    assert numbers(made.tick(made.deadline)) == [2]


def test_an_ack_of_what_was_not_sent_is_ignored():
    made, _ = begun(512 * 10, grant(512, 2))
    for number in (3, 9, 1000, 65535):
        assert made.acknowledge(number, 0.02) is None
    assert numbers(made.acknowledge(2, 0.03)) == [3, 4]


@pytest.mark.parametrize("blocks", [65_535, 65_536, 65_537, 131_073])
@pytest.mark.parametrize("windowsize", [1, 16])
def test_block_numbers_go_from_65535_to_0(blocks, windowsize):
    size = 8 * blocks - 3
    made, out = begun(size, grant(8, windowsize))
    expected = 1
    while made.outcome is None:
        for datagram in datagrams(out):
            number = int.from_bytes(datagram[2:4], "big")
            assert number == expected & 0xFFFF
            assert int.from_bytes(datagram[4:12].ljust(8, b"\0"), "big") >> 24 == expected - 1 >> 24
            expected += 1
        out = made.acknowledge(number, 0.01)
    assert expected == blocks + 1
    assert made.outcome.end is End.COMPLETE


@pytest.mark.parametrize("blocks", [65_534, 65_535, 65_536])
@pytest.mark.parametrize(("windowsize", "more"), [(1, 0), (16, 0), (64, 7)])
def test_a_file_may_end_at_the_roll_over(blocks, windowsize, more):
    """An exact multiple of the block size has one more block, which is empty, whatever its number."""
    made, out = begun(8 * blocks + more, grant(8, windowsize))
    while made.outcome is None:
        *_, last = datagrams(out)
        out = made.acknowledge(int.from_bytes(last[2:4], "big"), 0.01)
    assert last[2:] == ((blocks + 1) & 0xFFFF).to_bytes(2, "big") + synthetic(8 * blocks, more)
    assert made.outcome.end is End.COMPLETE
    assert made.resent == 0


def test_the_roll_over_on_a_bad_wire():
    granted, size = grant(8, 16), 8 * 66_000
    client, served = Client(granted), transfer(size, granted)
    Wire(seed=1, loss=0.0005, doubling=0.01, disorder=0.0005).carry(served, client)
    assert client.received == synthetic(0, size)


def test_a_duplicate_ack_at_the_roll_over_is_old():
    made, out = begun(8 * 70_000, grant(8, 1))
    for block in range(1, 65_536):
        out = made.acknowledge(block, 0.01)
    assert numbers(out) == [0]
    assert made.acknowledge(65_535, 0.02) is None
    assert numbers(made.acknowledge(0, 0.03)) == [1]
    assert made.acknowledge(0, 0.04) is None
    assert made.acknowledge(65_535, 0.05) is None


def test_loss_in_a_window_across_the_roll_over():
    made, _ = begun(8 * 70_000, grant(8, 8))
    for block in range(8, 65_529, 8):
        out = made.acknowledge(block, 0.01)
    assert numbers(out) == [65_529, 65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 0]
    assert numbers(made.acknowledge(65_534, 1.0)) == [65_535, 0, 1, 2, 3, 4, 5, 6]
    assert numbers(made.acknowledge(6, 2.0))[0] == 7


# Time.


def ticks(made, until):
    """When the timer sent, and what, up to *until*."""
    sent = []
    while made.outcome is None and made.deadline <= until:
        now = made.deadline
        out = made.tick(now)
        if out is not None:
            sent.append((round(now, 3), datagrams(out)))
    return sent


def test_nothing_is_sent_before_the_deadline():
    made, _ = begun(5000, grant())
    assert made.tick(made.deadline - 0.001) is None
    assert made.tick(made.deadline) is not None


def test_an_oack_that_is_never_answered_falls_back_to_plain_data():
    made = transfer(5000, grant(1468, 16))
    oack = datagrams(made.start(0.0))
    plain = [b"\0\3\0\1" + synthetic(0, 512)]
    assert ticks(made, 60.0) == [(0.5, oack), (1.5, oack), (3.5, oack), (7.5, plain)]
    assert made.outcome.end is End.UNHEARD


def test_a_client_that_understands_only_plain_data_gets_the_file():
    made = transfer(600, grant(1468, 16))
    made.start(0.0)
    ticks(made, 8.0)
    assert datagrams(made.acknowledge(1, 8.1)) == [b"\0\3\0\2" + synthetic(512, 88)]
    made.acknowledge(2, 8.2)
    assert made.outcome.end is End.COMPLETE


def test_a_client_that_takes_the_options_late_keeps_them():
    made = transfer(5000, grant(1000, 2))
    made.start(0.0)
    ticks(made, 8.0)
    assert [len(each) for each in datagrams(made.acknowledge(0, 8.1))] == [1004, 1004]


def test_plain_data_that_is_never_answered_is_sent_five_times():
    made = transfer(5000)
    made.start(0.0)
    assert [at for at, _ in ticks(made, 60.0)] == [0.5, 1.5, 3.5, 7.5]
    assert made.outcome.end is End.UNHEARD


def test_the_same_request_again_brings_the_first_reply_again():
    made = transfer(5000, grant(1000))
    oack = datagrams(made.start(0.0))
    assert datagrams(made.again(0.1)) == oack
    assert datagrams(made.again(0.2)) == oack
    assert made.acknowledge(0, 0.3) is not None
    assert made.again(0.4) is None


def test_the_same_request_after_the_fall_back_is_offered_its_options_again():
    made = transfer(5000, grant(1000))
    oack = datagrams(made.start(0.0))
    ticks(made, 8.0)
    assert datagrams(made.again(9.0)) == oack
    assert [len(each) for each in datagrams(made.acknowledge(0, 9.1))] == [1004]


def test_the_timer_follows_the_round_trip():
    made = transfer(100_000, grant())
    made.start(0.0)
    made.acknowledge(0, 0.1)
    assert made.deadline == pytest.approx(0.1 + 0.4)
    made.acknowledge(1, 0.2)
    assert made.deadline == pytest.approx(0.2 + 0.4)
    now = 0.2
    for block in range(2, 100):
        now += 0.001
        made.acknowledge(block, now)
    assert made.deadline == pytest.approx(now + 0.02)


def test_what_was_sent_twice_gives_no_sample():
    """Karn: nobody knows which of the two was acknowledged."""
    made, _ = begun(100_000, grant())
    before = made._pace._round_trip_s
    made.tick(made.deadline)
    made.acknowledge(1, made.deadline + 3.0)
    assert made._pace._round_trip_s == before


def waits(made):
    times = [at for at, _ in ticks(made, 100.0)]
    return [round(b - a, 3) for a, b in itertools.pairwise(times)]


def test_the_waits_double_and_pause_after_six_repetitions():
    """The pause lets the client's own timer run out: 5 s in atftp, begun anew by each packet."""
    made, _ = begun(100_000, grant())
    assert waits(made) == [0.08, 0.16, 0.32, 0.64, 1.28, 6.0, 6.0, 6.0, 6.0]
    assert made.outcome.end is End.LOST


def test_no_wait_but_the_pause_is_longer_than_four_seconds():
    made = transfer(100_000, grant())
    made.start(0.0)
    made.acknowledge(0, 0.2)
    made.acknowledge(1, 3.2)
    assert waits(made) == [4.0, 4.0, 4.0, 4.0, 4.0, 6.0]


def test_a_silent_client_is_given_up_after_thirty_seconds():
    made, _ = begun(100_000, grant())
    ticks(made, 30.0)
    assert made.outcome is None
    ticks(made, 30.1)
    assert made.outcome.end is End.LOST


def test_a_client_that_names_its_timeout_waits_no_longer_but_for_the_pause():
    made, _ = begun(100_000, grant(timeout_s=1))
    assert waits(made)[:8] == [0.08, 0.16, 0.32, 0.64, 1.0, 2.0, 2.0, 2.0]


def test_a_final_ack_that_never_comes_ends_quietly():
    made, _ = begun(100, grant())
    sent = ticks(made, 100.0)
    assert made.outcome.end is End.UNCONFIRMED
    assert len(sent) < 10


# Ends.


def test_an_error_of_the_client_ends_it():
    made = transfer(5000, grant())
    made.start(0.0)
    made.receive(wire.Error(8, "User aborted the transfer"))
    assert made.outcome.end is End.ABORTED
    assert made.outcome.reason == "client sent ERROR 8: User aborted the transfer"
    assert made.acknowledge(0, 0.2) is None
    assert made.tick(100.0) is None


@pytest.mark.parametrize(
    "packet",
    [wire.Data(1, b"x"), wire.OptionAck({}), wire.ReadRequest("x"), wire.WriteRequest("x")],
)
def test_other_packets_do_not_disturb(packet):
    made, _ = begun(5000, grant())
    made.receive(packet)
    assert made.outcome is None


def test_a_file_that_shrinks_fails_loudly():
    made = Transfer(File(20_000).read, 50_000, grant(1000))
    out, block = made.start(0.0), 0
    while made.outcome is None:
        out = made.acknowledge(block, 0.1)
        block += 1
    assert made.outcome.end is End.BROKEN
    assert "shrank" in made.outcome.reason
    assert wire.decode(datagrams(out)[0]).code == 0


def test_a_file_that_grows_is_sent_as_it_was():
    made = Transfer(File(5000).read, 1000, PLAIN)
    made.start(0.0)
    assert [len(each) for each in datagrams(made.acknowledge(1, 0.1))] == [4 + 488]


def test_a_disk_that_fails_is_an_error_packet():
    def broken_disk(offset, count):
        raise OSError(5, "Input/output error")

    made = Transfer(broken_disk, 5000, PLAIN)
    assert wire.decode(datagrams(made.start(0.0))[0]).code == 0
    assert made.outcome.end is End.BROKEN


def test_little_is_kept_of_a_file_between_packets():
    """There may be ten thousand transfers, and nobody knows who asks in another's name."""
    counts, file = [], File(1_000_000)

    def read(offset, count):
        counts.append(count)
        return file.read(offset, count)

    unheard, windowed = Transfer(read, file.size), Transfer(read, file.size, grant(1428, 64))
    unheard.start(0.0)
    windowed.start(0.0)
    windowed.acknowledge(0, 0.1)
    assert counts == [512, 64 * 1428]
    assert len(unheard._file._found) == len(windowed._file._found) == 0


def test_lock_step_reads_ahead():
    file = File(1_000_000)
    made = Transfer(file.read, file.size, grant(1468))
    made.start(0.0)
    for block in range(600):
        made.acknowledge(block, 0.1)
    assert file.reads < 70


def test_netascii_has_no_size_and_ends_with_the_first_short_block():
    text = b"line\n" * 300 + b"\r"
    source = Netascii(lambda offset, count: text[offset : offset + count], len(text))
    made, got = Transfer(source.read, None, PLAIN), b""
    out, block = made.start(0.0), 1
    while made.outcome is None:
        got += datagrams(out)[0][4:]
        out = made.acknowledge(block, 0.1)
        block += 1
    assert got == translate(text)


# A bad wire.

WIRES = {
    "good": {},
    "lossy": {"loss": 0.03},
    "very lossy": {"loss": 0.2},
    "doubling": {"doubling": 0.2},
    "disorderly": {"disorder": 0.1},
    "all of it": {"loss": 0.05, "doubling": 0.05, "disorder": 0.05},
}


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("nervous", [False, True], ids=["calm", "nervous"])
@pytest.mark.parametrize("windowsize", [1, 4, 16, 64])
@pytest.mark.parametrize("seed", range(3))
def test_the_file_arrives_whole_over_a_bad_wire(kind, nervous, windowsize, seed):
    granted = grant(64, windowsize)
    size = 64 * 1000 + seed
    client, served = Client(granted, nervous), transfer(size, granted)
    line = Wire(seed, **WIRES[kind])
    line.carry(served, client)
    assert client.received == synthetic(0, size)
    assert client.done


@pytest.mark.parametrize("timeout_s", [None, 3, 4, 5])
def test_a_client_that_answers_a_copy_once_is_left_in_peace(timeout_s):
    """As atftp: were the copies to come more often than its timer runs, it would wait for ever."""
    for seed in range(40):
        granted = grant(64, timeout_s=timeout_s)
        client = Client(granted, answers_once=True, waits_s=timeout_s or 5.0)
        served = transfer(64 * 300, granted)
        Wire(seed, loss=0.1).carry(served, client)
        assert served.outcome.end in (End.COMPLETE, End.UNCONFIRMED)
        assert client.received == synthetic(0, 64 * 300)


def copies_sent(line, size, windowsize, nervous=True):
    granted = grant(64, windowsize)
    client, served = Client(granted, nervous), transfer(size, granted)
    line.carry(served, client)
    assert client.received == synthetic(0, size)
    return 1 + served.resent / (size // 64 + 1)


def test_doubled_packets_do_not_double_the_transfer():
    """Every packet twice, and still each block of lock step is sent once."""
    assert copies_sent(Wire(doubling=1.0), 64 * 500, 1) == 1.0


@pytest.mark.parametrize("windowsize", [4, 16, 64])
def test_one_disturbance_does_not_leave_two_windows_circulating(windowsize):
    """A nervous client that loses a little: the windows sent twice stay a few."""
    assert copies_sent(Wire(seed=5, loss=0.002), 64 * 5000, windowsize) < 1.5
    assert copies_sent(Wire(seed=5, disorder=0.001), 64 * 5000, windowsize) < 1.5


@settings(deadline=None)
@given(
    st.integers(0, 3000),
    st.sampled_from([8, 16, 512]),
    st.sampled_from([1, 3, 8]),
    st.integers(0, 1 << 32),
)
def test_any_size_arrives_over_a_lossy_wire(size, blksize, windowsize, seed):
    granted = grant(blksize, windowsize)
    client, served = Client(granted), transfer(size, granted)
    Wire(seed, loss=0.1, doubling=0.1, disorder=0.1).carry(served, client)
    assume(not client.plain)  # four OACKs came through, and no ACK of theirs
    if served.outcome.end is not End.UNCONFIRMED:  # all its last ACKs may be lost
        assert served.outcome.end is End.COMPLETE
    assert client.received == synthetic(0, size)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 0.2)), max_size=60))
def test_any_acks_at_any_time_are_survived(acks):
    made, now = transfer(10_000, grant(64, 8)), 0.0
    made.start(now)
    for number, later in acks:
        now += later
        made.acknowledge(number % 40, now)
        if made.outcome is None:
            made.tick(now)
            assert made._acked < made._sent <= made._acked + 8
