"""The edge without a network: what comes in is answered or dropped, and never more than that."""

import errno
import json
import socket
import struct
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher

from netbootd.config import Mode, ProxyDhcp
from netbootd.dhcp import edge as packets
from netbootd.dhcp import service, sockets, wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.message import Option
from netbootd.dhcp.snoop import Heard
from netbootd.dhcp.witness import Witness
from netbootd.events.event import Dropped, Loaderless, Offered, Passed, Unserved
from netbootd.events.stream import Stream
from netbootd.events.witness import NotNetboot, Requested
from netbootd.interfaces import Interface
from netbootd.loaders import Choice
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

from . import captures
from .registries import TITLE, registry

FIRST, SECOND = "192.168.77.2/24", "198.51.100.2/24"
BROADCAST = ("255.255.255.255", 68)
NOBODY = ("0.0.0.0", 68)


def interface(name="eth1", index=7, addresses=(FIRST, SECOND)) -> Interface:
    return Interface(name, index, 1500, up=True, addresses=tuple(map(IPv4Interface, addresses)))


def pktinfo(ours: str, written: str) -> bytes:
    return struct.pack("=I4s4s", 7, IPv4Address(ours).packed, IPv4Address(written).packed)


def to(written: str) -> bytes:
    return pktinfo(written, written)


TO_ALL = pktinfo("192.168.77.2", "255.255.255.255")


@dataclass
class SilentPeer:
    """A socket that delivers what it is given and remembers what is sent."""

    waiting: list = field(default_factory=list)
    sent: list = field(default_factory=list)
    problem: OSError | None = None
    open: bool = True

    def recvmsg(self, size, space):
        if not self.waiting:
            raise BlockingIOError
        datagram, info, source = self.waiting.pop(0)
        ancillary = [(socket.IPPROTO_IP, 8, info)] if info else []
        return datagram[:size], ancillary, 0, source

    def sendmsg(self, buffers, ancillary, flags, address):
        if self.problem:
            raise self.problem
        _, ours, _ = struct.unpack("=I4s4s", ancillary[0][2])
        self.sent.append((b"".join(buffers), str(IPv4Address(ours)), address))

    def fileno(self):
        return 5 if self.open else -1

    def getsockopt(self, level, option, size=0):
        return bytes(size) if size else 0

    def close(self):
        self.open = False


class Edge:
    """One listener, a registry and the events it published."""

    def __init__(self, known=None, port=Port.DHCP, where=None):
        self.events = []
        self.live = LiveRegistry(known or registry(default=True))
        stream = Stream(pytest.fail)
        stream.subscribe(self.events.append)
        self.peer = SilentPeer()
        self.listener = Listener(
            self.peer, port, where or interface(), packets.Edge(self.live, stream)
        )

    def receive(self, *datagrams):
        self.peer.waiting.extend(datagrams)
        self.listener.doRead()
        return self


def discover(name="qemu-ovmf-x64-pxe-discover", info=TO_ALL, source=NOBODY):
    return captures.capture(name).payload, info, source


@pytest.fixture
def faults():
    """What is logged as a fault of ours."""
    seen = []

    def observe(event):
        if "log_failure" in event:
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


# -- an answer ---------------------------------------------------------------------------------


def test_an_offer_is_broadcast_and_told():
    edge = Edge().receive(discover())
    [(datagram, ours, address)] = edge.peer.sent
    assert (ours, address) == ("192.168.77.2", BROADCAST)
    assert wire.decode(datagram).file == b"52:54:00:aa:00:02/snponly.efi"
    [event] = edge.events
    assert isinstance(event, Offered)
    assert str(event) == (
        f"52:54:00:aa:00:02 ({TITLE}) UEFI x64 offered snponly.efi from 192.168.77.2 on eth1"
    )
    assert "snponly.efi is the first loader found for UEFI x64" in event.because
    assert event.because.endswith("told in style boot-server: the first for such firmware")
    assert event.style == "boot-server"


def test_a_boot_server_answers_from_the_address_it_was_asked_at():
    name, client = "qemu-ovmf-x64-4011-binl-request", ("192.168.77.50", 4011)
    edge = Edge(port=Port.BOOT_SERVER)
    edge.receive(discover(name, to("198.51.100.2"), client))
    [(datagram, ours, address)] = edge.peer.sent
    assert (ours, address) == ("198.51.100.2", client)
    assert str(wire.decode(datagram).siaddr) == "198.51.100.2"
    assert "acknowledged snponly.efi from 198.51.100.2" in str(edge.events[0])


def test_a_broadcast_is_answered_from_the_network_of_its_source():
    edge = Edge().receive(discover(source=("198.51.100.50", 68)))
    assert edge.peer.sent[0][1] == "198.51.100.2"


def _by(name: str, card: MAC) -> bytes:
    """The DISCOVER of a capture, as of *card*."""
    datagram = captures.capture(name).payload
    return datagram[:28] + card + datagram[34:]


@pytest.mark.parametrize("source", [NOBODY, ("192.168.77.2", 68), ("192.168.77.9", 68)])
def test_doctor_is_answered_and_no_machine(source):
    """Wherever it asks; a machine may have booted there."""
    edge, name = Edge(), "qemu-ovmf-x64-pxe-discover"
    asked = [_by(name, MAC.make_up()) for _ in range(3)]
    edge.receive(*((datagram, TO_ALL, source) for datagram in (*asked, asked[0])))
    assert len(edge.peer.sent) == 4
    assert {(one.mac, one.peer) for one in edge.events} == {(None, "")}
    assert {str(one).partition(" (")[0] for one in edge.events} == {"netbootd doctor"}


def test_a_simulated_client_on_this_host_is_the_machine_and_has_no_address():
    cards = [MAC.parse(f"52:54:00:aa:00:0{number}") for number in (2, 3, 4)]
    asked = [_by("qemu-ovmf-x64-pxe-discover", card) for card in cards]
    edge = Edge().receive(*((datagram, TO_ALL, ("192.168.77.2", 68)) for datagram in asked))
    assert [(one.mac, one.peer) for one in edge.events] == [(card, "") for card in cards]


def test_an_address_that_was_added_counts_from_the_next_packet():
    edge = Edge(where=interface(addresses=()))
    edge.receive(discover())
    assert edge.peer.sent == []
    assert "eth1 has no IPv4 address" in str(edge.events[0])
    edge.listener.interface = interface()
    assert len(edge.receive(discover()).peer.sent) == 1


def test_a_new_registry_counts_from_the_next_packet():
    edge = Edge().receive(discover())
    edge.live.swap(registry())
    edge.receive(discover())
    assert len(edge.peer.sent) == 1
    assert isinstance(edge.events[1], Unserved)


@pytest.mark.parametrize(
    ("name", "known", "kind"),
    [
        ("qemu-debian-installer-discover", registry(default=True), NotNetboot),
        ("qemu-ovmf-x64-pxe-request", registry(default=True), Requested),
        ("qemu-slof-ppc64-request", registry(default=True), Requested),
        ("qemu-uboot-arm64-discover", registry(default=True), Passed),
        ("qemu-ovmf-x64-pxe-discover", registry(), Unserved),
    ],
)
def test_silence_is_debug_except_for_netboot_clients(name, known, kind):
    edge = Edge(known).receive(discover(name))
    assert edge.peer.sent == []
    assert [type(event) for event in edge.events] == [kind]


def test_a_refused_machine_is_named_with_its_target():
    edge = Edge(registry("52:54:00:aa:00:02", loaders=())).receive(discover())
    assert str(edge.events[0]).startswith(f"52:54:00:aa:00:02 ({TITLE}) DHCP request not answered")


# -- what the record of boots needs --------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["qemu-ovmf-x64-pxe-request", "qemu-ipxe-bios-request", "qemu-slof-ppc64-request"],
)
def test_a_request_tells_whose_address_firmware_takes(name):
    [event] = Edge().receive(discover(name)).events
    assert isinstance(event, Requested)
    assert (event.server, event.address) == ("192.168.77.1", "192.168.77.50")
    assert event.netboot
    assert (event.interface, event.level) == ("eth1", "debug")
    assert event.mac == wire.decode(captures.capture(name).payload).mac


def changed(name, **options):
    """A captured packet with other options: by name of Option, None to leave one out."""
    message = wire.decode(captures.capture(name).payload)
    said = {**message.options, **{int(Option[code]): value for code, value in options.items()}}
    message = message._replace(options={code: one for code, one in said.items() if one is not None})
    return wire.encode(message), TO_ALL, NOBODY


def test_a_running_system_that_takes_an_address_is_no_firmware():
    request = {"MESSAGE_TYPE": b"\3", "SERVER_ID": bytes((10, 0, 0, 1))}
    asked = changed("qemu-debian-installer-discover", REQUESTED_ADDRESS=None, **request)
    [event] = Edge().receive(asked).events
    assert isinstance(event, Requested)
    assert (event.server, event.address, event.netboot) == ("10.0.0.1", "", False)


@pytest.mark.parametrize("address", [b"", b"\0\0\0\0", b"\1\2\3", b"\1" * 255])
def test_a_request_without_a_sound_address_is_told_without_one(address):
    asked = changed("qemu-ovmf-x64-pxe-request", REQUESTED_ADDRESS=address)
    assert Edge().receive(asked).events[0].address == ""


@pytest.mark.parametrize("server", [None, bytes(4)])
def test_a_request_that_takes_nobodys_offer_is_passed_over(server):
    """INIT-REBOOT (RFC 2131, section 4.3.2): it names no server."""
    [event] = Edge().receive(changed("qemu-ovmf-x64-pxe-request", SERVER_ID=server)).events
    assert type(event) is Passed


def test_a_running_system_is_told_with_its_own_words():
    name = b"node17\x1b[2J" + b"x" * 200
    asked = changed("qemu-debian-installer-discover", HOST_NAME=name, VENDOR_CLASS=b"d-i")
    [event] = Edge().receive(asked).events
    assert isinstance(event, NotNetboot)
    assert (event.vendor_class, event.host_name) == ("d-i", name.decode())
    assert event.interface == "eth1"
    assert "\x1b" not in str(event)


@pytest.mark.parametrize(
    ("name", "known", "code", "stage"),
    [
        ("qemu-ovmf-x64-pxe-discover", registry(), "unknown", "firmware"),
        ("qemu-ipxe-bios-discover", registry(), "unknown", "iPXE"),
        (
            "qemu-ovmf-x64-http-discover",
            registry(default=True, loaders=()),
            "no-loader",
            "HTTP boot",
        ),
        ("qemu-uboot-arm64-discover", registry("52:52:52:52:52:52"), "proxyless", "firmware"),
    ],
)
def test_a_client_without_an_answer_is_told_with_code_stage_and_interface(name, known, code, stage):
    [event] = Edge(known).receive(discover(name)).events
    assert isinstance(event, Unserved)
    assert (event.code, event.stage, event.interface) == (code, stage, "eth1")
    assert event.vendor_class == wire.decode(captures.capture(name).payload).vendor_class


def test_a_client_without_an_answer_is_told_with_what_it_is_and_its_relay():
    payload = bytearray(captures.capture("qemu-ovmf-x64-pxe-discover").payload)
    payload[24:28] = bytes((203, 0, 113, 9))
    edge = Edge(registry()).receive((bytes(payload), to("192.168.77.2"), ("203.0.113.9", 67)))
    assert (edge.events[0].arch, edge.events[0].relay) == ("UEFI x64", "203.0.113.9")


@pytest.mark.parametrize(
    ("hops", "source"), [(1, "0.0.0.0"), (0, "203.0.113.9"), (3, "203.0.113.9")]
)
def test_a_relay_that_does_not_say_so_is_told_of_and_not_answered(hops, source):
    payload = bytearray(captures.capture("qemu-ovmf-x64-pxe-discover").payload)
    payload[3] = hops
    asked = bytes(payload), to("192.168.77.2"), (source, 67)
    edge = Edge().receive(asked)
    assert edge.peer.sent == []
    [event] = edge.events
    assert isinstance(event, Unserved)
    assert event.code == "relay"
    assert "giaddr" in event.reason
    assert event.target == TITLE


def test_a_relay_that_says_so_is_told_with_the_offer():
    payload = bytearray(captures.capture("qemu-ovmf-x64-pxe-discover").payload)
    payload[3], payload[24:28] = 1, bytes((203, 0, 113, 9))
    edge = Edge().receive((bytes(payload), to("192.168.77.2"), ("203.0.113.9", 67)))
    assert len(edge.peer.sent) == 1
    assert (edge.events[0].relay, edge.events[0].stage) == ("203.0.113.9", "firmware")


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("qemu-ovmf-x64-pxe-discover", "firmware"),
        ("qemu-ovmf-x64-http-discover", "HTTP boot"),
        ("qemu-ipxe-bios-discover", "iPXE"),
    ],
)
def test_an_offer_is_told_with_the_stage_of_its_client(name, stage):
    [event] = Edge().receive(discover(name)).events
    assert (event.stage, event.relay) == (stage, "")
    assert event.vendor_class == wire.decode(captures.capture(name).payload).vendor_class


# -- an iPXE that lacks something, and a loader that is not there --------------------------------


def smartos(tmp_path, **settings):
    """A registry in which everybody boots SmartOS, which takes multiboot."""
    (tmp_path / "firmware").mkdir()
    for name in ("undionly.kpxe", "snponly.efi"):
        (tmp_path / "firmware" / name).write_bytes(b"loader")
    config = {
        "targets": {"smartos": {"a": {"platform": "20260101T000000Z"}}},
        "machines": {"default": {"type": "smartos", "name": "a"}},
        "netbootd": {"files": "files", "firmware": "firmware", **settings},
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    return load(tmp_path / "c.json")


def with_xid(name, xid, **changes):
    """A captured packet in another conversation; *changes* are bytes of it that are replaced."""
    payload = captures.capture(name).payload
    for old, new in changes.values():
        assert old in payload
        payload = payload.replace(old, new)
    return payload[:4] + xid.to_bytes(4, "big") + payload[8:], TO_ALL, NOBODY


def files(edge):
    return [wire.decode(datagram).file for datagram, _, _ in edge.peer.sent]


def test_an_ipxe_of_a_card_that_can_do_what_is_needed_gets_its_script(tmp_path):
    edge = Edge(smartos(tmp_path)).receive(discover("qemu-ipxe-bios-discover"))
    assert files(edge) == [b"http://192.168.77.2:3000/boot/52:54:00:aa:00:01"]
    assert edge.events[0].level == "info"


def test_one_that_cannot_is_replaced_once_and_the_next_gets_its_script_with_a_warning(tmp_path):
    edge = Edge(smartos(tmp_path))
    without = {"no_multiboot": (b"\x19\x01\x01", b"\x1a\x01\x01")}
    asked = [with_xid("qemu-ipxe-bios-discover", xid, **without) for xid in (1, 1, 2, 2)]
    edge.receive(*asked)
    loader = b"52:54:00:aa:00:01/undionly.kpxe"
    script = b"http://192.168.77.2:3000/boot/52:54:00:aa:00:01"
    assert files(edge) == [loader, loader, script, script]
    assert [event.level for event in edge.events] == ["info", "info", "warn", "warn"]
    assert "MBOOT" in str(edge.events[2])
    assert "MBOOT" in edge.events[0].because


def test_an_ipxe_of_ours_is_never_replaced(tmp_path):
    changes = {
        "no_multiboot": (b"\x19\x01\x01", b"\x1a\x01\x01"),
        "ours": (b"\x4d\x04iPXE", b"\x4d\x08netbootd"),
    }
    edge = Edge(smartos(tmp_path)).receive(with_xid("qemu-ipxe-bios-discover", 1, **changes))
    assert files(edge) == [b"http://192.168.77.2:3000/boot/52:54:00:aa:00:01"]
    assert edge.events[0].level == "warn"


@pytest.mark.parametrize("loader", ["ipxe", "shim-grub"])
def test_a_loader_that_is_not_there_is_an_error_that_names_file_and_package(tmp_path, loader):
    known = smartos(tmp_path, loader=loader)
    name = "qemu-aavmf-arm64-pxe-discover" if loader == "ipxe" else "qemu-ovmf-x64-pxe-discover"
    edge = Edge(known).receive(discover(name))
    [event] = edge.events
    assert isinstance(event, Loaderless)
    assert event.level == "error"
    words = {
        "ipxe": ("ipxe-arm64.efi", "fetch-trixie"),
        "shim-grub": ("shimx64.efi", "shim-signed"),
    }
    assert all(word in str(event) for word in words[loader])


def test_an_architecture_nobody_knows_is_an_error_with_the_line_that_helps(tmp_path):
    arch = {"arch": (b"\x5d\x02\x00\x07", b"\x5d\x02\x12\x67")}
    request = with_xid("qemu-ovmf-x64-pxe-discover", 1, **arch)
    edge = Edge(smartos(tmp_path)).receive(request)
    line = '"loader" : { "4711" : "FILE.efi" }'
    assert edge.events[0].level == "error"
    assert line in str(edge.events[0])
    edge.live.swap(
        replace(
            edge.live.snapshot,
            config=replace(edge.live.snapshot.config, loader=Choice.parse({"4711": "snponly.efi"})),
        )
    )
    edge.receive(request)
    assert files(edge) == [b"52:54:00:aa:00:02/snponly.efi"]


# -- trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("datagram", [b"", b"\1", b"\0" * 600, b"\xff" * 2048])
def test_nonsense_is_dropped_and_the_next_packet_answered(datagram):
    edge = Edge().receive((datagram, TO_ALL, ("192.0.2.66", 9)), discover())
    assert [type(event) for event in edge.events] == [Dropped, Offered]
    assert edge.events[0].peer == "192.0.2.66"


@pytest.mark.parametrize(
    "problem",
    [
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        PermissionError(errno.EPERM, "Operation not permitted"),
    ],
)
def test_a_reply_that_cannot_be_sent_is_told_with_its_machine(problem, faults):
    edge = Edge()
    edge.peer.problem = problem
    edge.receive(discover())
    [event] = edge.events
    assert isinstance(event, Unserved)
    assert event.level == "info"
    assert str(event.mac) == "52:54:00:aa:00:02"
    assert problem.strerror in event.reason
    assert edge.live.styles.tried(event.mac) is None, "it was not offered anything"
    assert faults == []


def test_a_reply_too_long_for_its_client_is_told_with_its_machine():
    long = replace(registry(default=True), boot_server=None)
    name = "x" * 250 + ".efi"
    program = long.library.program("snponly.efi")
    library = replace(long.library, programs={name: program})
    config = replace(long.config, loader=Choice(name))
    edge = Edge(replace(long, library=library, config=config)).receive(discover())
    [event] = edge.events
    assert isinstance(event, Unserved)
    assert "option 67" in event.reason
    assert str(event.mac) == "52:54:00:aa:00:02"


def test_a_fault_of_ours_is_logged_with_its_traceback_and_costs_one_packet(faults, monkeypatch):
    edge = Edge()
    with monkeypatch.context() as broken:
        broken.setattr(packets.proxy, "answer", lambda *_: 1 / 0)
        edge.receive(discover())
    edge.receive(discover())
    assert [type(event) for event in edge.events] == [Dropped, Offered]
    assert [event["log_failure"].type for event in faults] == [ZeroDivisionError]


@pytest.mark.parametrize("info", [b"", b"\0" * 3])
def test_without_packet_information_the_interface_has_its_own_address(info):
    assert Edge().receive(discover(info=info)).peer.sent[0][1] == "192.168.77.2"


@pytest.mark.parametrize("port", Port)
def test_a_capture_cut_or_changed_anywhere_is_no_fault_of_ours(port, faults):
    edge = Edge(port=port)
    for capture in captures.everything():
        for at in range(len(capture.payload)):
            changed = bytearray(capture.payload)
            changed[at] ^= 0xFF
            edge.receive((capture.payload[:at], TO_ALL, capture.source))
            edge.receive((bytes(changed), TO_ALL, capture.source))
    assert faults == []


@settings(deadline=None)  # a busy machine
@given(
    st.sampled_from(captures.ours()),
    st.binary(max_size=300),
    st.sampled_from(Port),
    st.ip_addresses(v=4),
)
def test_a_capture_with_anything_behind_it_is_no_fault_of_ours(capture, tail, port, giaddr):
    changed = bytearray(capture.payload)
    changed[24:28] = giaddr.packed
    end = changed.rindex(b"\xff")
    edge = Edge(port=port)
    edge.receive((bytes(changed[:end]) + tail, TO_ALL, capture.source))
    assert len(edge.events) == 1
    assert "fault of ours" not in str(edge.events[0])


def test_a_flood_leaves_the_reactor_its_turn():
    edge = Edge().receive(*[discover()] * 1000)
    assert 0 < len(edge.peer.sent) < 1000


# -- which sockets -----------------------------------------------------------------------------


class Reactor:
    """Remembers its readers; its time stands still."""

    seconds = staticmethod(float)

    def __init__(self):
        self.readers = []

    @property
    def listeners(self):
        return [reader for reader in self.readers if isinstance(reader, Listener)]

    def addReader(self, reader):
        self.readers.append(reader)

    def removeReader(self, reader):
        self.readers.remove(reader)


class Ways:
    """What replies leave by besides the UDP sockets; remembers them."""

    def __init__(self):
        self.sent = []
        self.open = True

    def to_card(self, payload, source, to, card):
        self.sent.append(("card", source, to, card))

    def by_route(self, payload, source, to):
        self.sent.append(("route", source, to))

    def close(self):
        self.open = False


@dataclass
class Network:
    """
    Opens sockets that are none; *taken* are the ports that somebody else has, *deaf* the
    interfaces where nothing can be overheard.
    """

    reactor: Reactor = field(default_factory=Reactor)
    taken: set = field(default_factory=set)
    deaf: set = field(default_factory=set)
    opened: list = field(default_factory=list)
    snooping: list = field(default_factory=list)
    witnesses: dict = field(default_factory=dict)
    ways: list = field(default_factory=list)
    privileged: bool = True

    def open_raw(self, interface):
        if not self.privileged:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.ways.append(Ways())
        return self.ways[-1]

    def open_snoop(self, name, port):
        self.snooping.append((name, SilentPeer()))
        return self.snooping[-1][1]

    def open_witness(self, name, *, own_host):
        if name in self.deaf:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        self.witnesses[name] = SilentPeer(), own_host
        return self.witnesses[name][0]

    @property
    def snooped(self):
        return {name for name, peer in self.snooping if peer.open}

    def open_socket(self, name, port):
        if (name, port) in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.opened.append((name, port, SilentPeer()))
        return self.opened[-1][2]

    def service(self):
        live, stream = LiveRegistry(registry(default=True)), Stream(pytest.fail)
        return service.DhcpService(self.reactor, live, stream)

    @property
    def open(self):
        return {(name, port) for name, port, peer in self.opened if peer.open}


@pytest.fixture
def network(monkeypatch):
    made = Network()
    monkeypatch.setattr(service, "open_socket", made.open_socket)
    monkeypatch.setattr(service, "open_snoop", made.open_snoop)
    monkeypatch.setattr(service, "open_witness", made.open_witness)
    monkeypatch.setattr(service, "enlarge_buffer", lambda *_: None)
    monkeypatch.setattr(service, "Raw", made.open_raw)
    return made


def both(*names):
    return {(name, port) for name in names for port in (67, 4011)}


def test_both_ports_of_each_interface_are_served(network):
    dhcp = network.service()
    assert dhcp.serve([interface("eth0"), interface("eth1")]) == []
    assert network.open == both("eth0", "eth1")
    assert len(network.reactor.listeners) == 4
    assert [each.name for each in dhcp.interfaces] == ["eth0", "eth1"]


def test_what_stays_is_not_opened_again(network):
    dhcp = network.service()
    dhcp.serve([interface("eth0"), interface("eth1")])
    dhcp.serve([interface("eth1"), interface("eth2")])
    assert network.open == both("eth1", "eth2")
    assert len(network.opened) == 6
    assert len(network.reactor.listeners) == 4


def test_new_addresses_reach_the_listeners_without_new_sockets(network):
    dhcp = network.service()
    dhcp.serve([interface()])
    moved = interface(addresses=("203.0.113.1/24",))
    dhcp.serve([moved])
    assert len(network.opened) == 2
    assert {listener.interface for listener in network.reactor.readers} == {moved}
    assert dhcp.interfaces == (moved,)


def test_a_device_that_was_made_anew_gets_new_sockets(network):
    """A socket stays bound to the device that is gone."""
    dhcp = network.service()
    dhcp.serve([interface(index=7)])
    dhcp.serve([interface(index=8)])
    assert len(network.opened) == 4
    assert len(network.reactor.listeners) == 2


def test_a_taken_port_is_named_and_tried_again(network):
    network.taken = {("eth0", 4011)}
    dhcp = network.service()
    [(failed, problem)] = dhcp.serve([interface("eth0"), interface("eth1")])
    assert failed.name == "eth0"
    assert (problem.errno, problem.port) == (errno.EADDRINUSE, 4011)
    assert "UDP 4011 on eth0: Address already in use" in str(problem)
    assert network.open == both("eth1"), "one port alone would only confuse the clients"
    network.taken = set()
    assert dhcp.serve([interface("eth0"), interface("eth1")]) == []
    assert network.open == both("eth0", "eth1")


def test_a_listener_the_reactor_gave_up_is_opened_again(network):
    dhcp = network.service()
    dhcp.serve([interface()])
    network.opened[0][2].close()
    dhcp.serve([interface()])
    assert network.open == both("eth1")


def test_stopping_closes_everything(network):
    dhcp = network.service()
    dhcp.startService()
    dhcp.serve([interface()])
    dhcp.stopService()
    assert network.open == set()
    assert not any(ways.open for ways in network.ways)
    assert network.reactor.readers == []
    assert dhcp.interfaces == ()


# -- beside another server ---------------------------------------------------------------------


def test_a_taken_port_67_is_snooped_on_and_4011_still_ours(network):
    network.taken = {("eth1", 67)}
    dhcp = network.service()
    assert dhcp.serve([interface("eth0"), interface("eth1")]) == []
    assert network.open == {*both("eth0"), ("eth1", 4011)}
    assert network.snooped == dhcp.snooped == {"eth1"}


def test_a_port_that_was_taken_is_never_taken_back(network):
    """The server is restarted, perhaps while its interface is replugged: the port must be free."""
    network.taken = {("eth1", 67)}
    dhcp = network.service()
    dhcp.serve([interface()])
    network.taken = set()
    dhcp.serve([interface()])
    dhcp.serve([])
    dhcp.serve([interface(index=8)])
    assert network.open == {("eth1", 4011)}
    assert network.snooped == {"eth1"}


@pytest.mark.parametrize("why", [errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT])
def test_without_packet_sockets_a_free_port_is_served_all_the_same(network, monkeypatch, why):
    """RestrictAddressFamilies= of a unit file from before they were used: EAFNOSUPPORT."""

    def forbidden(_interface):
        raise OSError(why, "no")

    monkeypatch.setattr(service, "Raw", forbidden)
    assert network.service().serve([interface()]) == []
    assert network.open == both("eth1")


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.SOCKET])
def test_without_the_capability_or_the_leave_to_snoop_a_taken_port_is_named(network, mode):
    network.privileged = mode is not Mode.AUTO
    network.taken = {("eth1", 67)}
    [(_, problem)] = network.service().serve([interface()], mode)
    assert (problem.errno, problem.port) == (errno.EADDRINUSE, 67)
    assert network.open == network.snooped == set()


def test_without_the_capability_snooping_is_refused(network):
    network.privileged = False
    [(_, problem)] = network.service().serve([interface()], Mode.SNOOP)
    assert (problem.errno, problem.port) == (errno.EPERM, 67)


def test_another_mode_counts_at_once(network):
    dhcp = network.service()
    dhcp.serve([interface()])
    dhcp.serve([interface()], Mode.SNOOP)
    assert network.open == {("eth1", 4011)}
    assert dhcp.snooped == {"eth1"}
    dhcp.serve([interface()], Mode.SOCKET)
    assert network.open == both("eth1")
    assert dhcp.snooped == set()
    assert len(network.reactor.listeners) == 2


def test_a_snooper_whose_device_went_down_for_a_moment_hears_again(network):
    dhcp = network.service()
    dhcp.serve([interface()], Mode.SNOOP)
    snooper = next(each for each in network.reactor.listeners if each.port is Port.DHCP)
    network.reactor.removeReader(snooper)  # as the reactor does before it tells
    snooper.connectionLost(None)
    assert snooper in network.reactor.readers


# -- what other servers say ----------------------------------------------------------------------


def witnesses(network):
    return [reader for reader in network.reactor.readers if isinstance(reader, Witness)]


def test_each_interface_has_its_witness_as_long_as_it_is_served(network):
    dhcp = network.service()
    dhcp.serve([interface("eth0"), interface("eth1")])
    assert {one.interface.name for one in witnesses(network)} == {"eth0", "eth1"}
    dhcp.serve([interface("eth1", addresses=("203.0.113.1/24",))])
    [left] = witnesses(network)
    assert left.interface.addresses == (IPv4Interface("203.0.113.1/24"),)
    assert left.host == {IPv4Address("203.0.113.1")}
    assert [peer.open for peer, _ in network.witnesses.values()] == [False, True]
    dhcp.serve([])
    assert witnesses(network) == []
    assert not network.witnesses["eth1"][0].open


def test_a_server_of_this_host_is_overheard_where_it_has_our_port(network):
    network.taken = {("eth1", 67)}
    network.service().serve([interface("eth0"), interface("eth1")])
    assert {name: own for name, (_, own) in network.witnesses.items()} == {
        "eth0": False,
        "eth1": True,
    }


def test_without_packet_sockets_nothing_is_overheard(network):
    network.privileged = False
    network.service().serve([interface()])
    assert network.witnesses == {}


def test_a_witness_that_cannot_be_had_is_no_reason_not_to_serve(network):
    network.deaf = {"eth1"}
    dhcp = network.service()
    assert dhcp.serve([interface()]) == []
    assert network.open == both("eth1")
    assert witnesses(network) == []


def test_a_port_that_cannot_be_had_leaves_no_witness_behind(network):
    network.taken = {("eth1", 4011)}
    network.service().serve([interface()])
    assert witnesses(network) == []


# -- how replies leave -------------------------------------------------------------------------

ROUTER, RELAY_NEAR, RELAY_FAR = "192.168.77.1", "192.168.77.9", "203.0.113.254"


def sent_to(network, mode, giaddr="0.0.0.0", flags=0x8000, **settings):
    """By which way, and where to, the offer for a DISCOVER goes."""
    live = LiveRegistry(registry(default=True, proxydhcp=ProxyDhcp(**settings)))
    dhcp = service.DhcpService(network.reactor, live, Stream(pytest.fail))
    dhcp.serve([interface()], mode)
    listener = next(each for each in network.reactor.listeners if each.port is Port.DHCP)
    payload = bytearray(discover()[0])
    payload[10:12] = flags.to_bytes(2, "big")
    payload[24:28] = IPv4Address(giaddr).packed
    dhcp._edge.receive(Heard(bytes(payload), (ROUTER, 67), None), listener)
    by_udp = [peer.sent for _, port, peer in network.opened if port == 67]
    udp = [("udp", (ours, 67), to) for _, ours, to in (by_udp[0] if by_udp else [])]
    [one] = network.ways[0].sent + udp
    return one


OURS = ("192.168.77.2", 67)
CARD = bytes.fromhex("525400aa0002")


@pytest.mark.parametrize(
    ("mode", "giaddr", "way"),
    [
        (Mode.SOCKET, "0.0.0.0", ("udp", OURS, BROADCAST)),
        (Mode.SOCKET, RELAY_NEAR, ("udp", OURS, (RELAY_NEAR, 67))),
        (Mode.SOCKET, RELAY_FAR, ("route", OURS, (RELAY_FAR, 67))),
        (Mode.SNOOP, "0.0.0.0", ("card", OURS, BROADCAST, None)),
        (Mode.SNOOP, RELAY_NEAR, ("route", OURS, (RELAY_NEAR, 67))),
        (Mode.SNOOP, RELAY_FAR, ("route", OURS, (RELAY_FAR, 67))),
    ],
)
def test_relays_are_answered_by_routing_and_newcomers_by_broadcast(network, mode, giaddr, way):
    assert sent_to(network, mode, giaddr) == way


@pytest.mark.parametrize("mode", [Mode.SOCKET, Mode.SNOOP])
def test_an_offer_goes_to_one_card_where_that_is_wanted_on_both_sides(network, mode):
    assert sent_to(network, mode, flags=0, unicast=True) == ("card", OURS, BROADCAST, CARD)


@pytest.mark.parametrize(("flags", "unicast"), [(0x8000, True), (0, False)])
def test_else_everybody_hears_it(network, flags, unicast):
    assert sent_to(network, Mode.SOCKET, flags=flags, unicast=unicast)[2] == BROADCAST


def test_without_the_capability_everything_leaves_by_udp_as_well_as_it_can(network):
    network.privileged = False
    network.ways = [Ways()]
    assert sent_to(network, Mode.SOCKET, RELAY_FAR) == ("udp", OURS, (RELAY_FAR, 67))


# -- the receive buffer ------------------------------------------------------------------------


class Unprivileged:
    """A socket that may not exceed net.core.rmem_max, *most* bytes."""

    def __init__(self, most):
        self.most = most
        self.size = 0

    def setsockopt(self, level, option, size):
        if option == sockets._SO_RCVBUFFORCE:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.size = min(size, self.most)

    def getsockopt(self, level, option):
        return 2 * self.size  # as Linux does, socket(7)


@pytest.mark.parametrize(("most", "warned"), [(212_992, True), (16 << 20, False)])
def test_a_receive_buffer_that_is_too_small_is_told(most, warned, caplog):
    sockets.enlarge_buffer(Unprivileged(most), "eth1", 67)
    assert ("UDP 67 on eth1: receive buffer of 212992 bytes" in caplog.text) == warned
