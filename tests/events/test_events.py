"""Events: their lines, their listeners, and the loop that a row of them shows."""

from __future__ import annotations

from netbootd.events.counts import Counts
from netbootd.events.event import Dropped, Offered, Refused, Scripted, Transferred
from netbootd.events.loops import LoopDetector
from netbootd.events.stream import Stream
from netbootd.mac import MAC
from netbootd.printable import printable

NODE = MAC.parse("00:25:90:27:db:b4")
OFFER = Offered(
    mac=NODE,
    target="nfs/Centos6.2_x64",
    arch="UEFI x64",
    file="snponly.efi",
    server="192.168.1.250",
    interface="eth1",
)


def fetched(path="00:25:90:27:db:b4/undionly.kpxe", peer="192.0.2.50"):
    return Transferred(mac=NODE, peer=peer, path=path, size=74213, seconds=0.1)


def test_an_event_prints_as_its_log_line_machine_first():
    assert str(OFFER) == (
        "00:25:90:27:db:b4 (nfs/Centos6.2_x64) UEFI x64 offered snponly.efi "
        "from 192.168.1.250 on eth1"
    )


def test_text_from_the_wire_stays_on_its_line():
    line = str(Refused(peer="192.0.2.9", protocol="TFTP", path="a\nb\x1b[2J", status=1, reason="x"))
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(printable("x" * 10_000)) < 300


def test_a_failing_listener_hurts_nobody_else():
    problems, heard = [], []

    def broken(event):
        raise RuntimeError("broken")

    stream = Stream(problems.append)
    stream.subscribe(broken)
    stream.subscribe(heard.append)
    stream.publish(OFFER)
    assert heard == [OFFER]
    assert [str(problem) for problem in problems] == ["broken"]


def test_things_are_counted_by_kind_and_protocol():
    counts = Counts()
    for event in (OFFER, OFFER, Dropped(protocol="DHCP", reason="short")):
        counts(event)
    assert counts.as_dict() == {"dropped.dhcp": 1, "offered": 2}


def test_three_rounds_of_the_same_loader_are_a_loop_and_named_as_such():
    detector = LoopDetector()
    assert [detector.notice(fetched(), now) for now in (0.0, 15.0)] == [None, None]
    loop = detector.notice(fetched(), 30.0)
    assert loop.times == 3
    assert "undionly.kpxe 3 times" in str(loop)


def test_a_script_in_between_is_no_loop():
    detector = LoopDetector()
    for now in range(10):
        assert detector.notice(fetched(), float(now)) is None
        detector.notice(Scripted(mac=NODE, peer="192.0.2.50", says="nfs/a"), float(now))


def test_a_shim_and_what_it_loads_are_two_loaders_which_may_each_be_in_a_loop():
    detector = LoopDetector()
    pair = ("ipxeboot/x86_64-sb/snponly-shim.efi", "ipxeboot/x86_64-sb/snponly.efi")
    rounds = [detector.notice(fetched(path), 1.0) for path in pair * 3]
    assert rounds[:4] == [None] * 4
    assert all(rounds[4:])


def test_slow_repetition_and_other_files_and_clients_are_no_loop():
    detector = LoopDetector()
    assert not any(detector.notice(fetched(), now * 100.0) for now in range(5))
    assert not any(detector.notice(fetched("images/vmlinuz"), 1.0) for _ in range(5))
    assert not any(detector.notice(fetched(peer=f"198.51.100.{n}"), 1.0) for n in range(100))
