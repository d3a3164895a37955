"""What waits for the network and for the disk, and what leaves when they have spoken."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from ipaddress import IPv4Interface

import pytest
from scapy.layers.l2 import ARP
from twisted.internet.task import Clock as TwistedClock

from netbootd.dhcp import wire
from netbootd.dhcp.destination import EVERYBODY, Port
from netbootd.dhcp.edge import Edge
from netbootd.dhcp.lessor import _LAST_FEW, AHEAD
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.message import BROADCAST_FLAG, Message, MessageType, Op, Option
from netbootd.dhcp.prober import WAIT_S, Prober
from netbootd.dhcp.snoop import Heard
from netbootd.events.event import Passed, Unserved
from netbootd.events.lease import AddressInUse, NoAddress
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.leases.database import Clock
from netbootd.leases.lease import State
from netbootd.leasing import Leasing
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

from .test_prober import Cable

LAN = "192.0.2.0/24"
ONE, TWO = MAC.parse("52:54:00:aa:00:01"), MAC.parse("52:54:00:aa:00:02")
SLY = MAC.parse("52:54:00:aa:00:99")
CONFIG = {
    "targets": {"localboot": {"disk": {}}},
    "machines": {str(SLY): {"type": "localboot", "name": "disk", "hostname": "sly"}},
    "subnets": {LAN: {"dhcp": "server", "pools": ["192.0.2.100-192.0.2.199"]}},
    "netbootd": {"state": "state"},
}
INTERFACE = Interface(
    "eth0", 2, 1500, up=True, addresses=(IPv4Interface("192.0.2.1/24"),), mac="02:00:00:00:00:01"
)


class Reactor(TwistedClock):
    """A clock that does at once what a thread asks for."""

    def callFromThread(self, work, *arguments):
        self.callLater(0, work, *arguments)


class Desk(Listener):
    """A listener that keeps what it sends."""

    def __init__(self, edge) -> None:
        super().__init__(None, Port.DHCP, INTERFACE, edge)
        self.sent: list[tuple[Message, object]] = []

    def send(self, datagram, ours, to):
        self.sent.append((wire.decode(datagram), to))


class Rig:
    """A server on one interface, with a real file of leases."""

    def __init__(self, folder, change=lambda config: None) -> None:
        config = json.loads(json.dumps(CONFIG))
        change(config)
        (folder / "c.json").write_text(json.dumps(config))
        registry = load(folder / "c.json")
        assert not [one for one in registry.findings if one.level.name == "ERROR"]
        self.reactor, self.now = Reactor(), 100.0
        self.events: list[object] = []
        stream = Stream(pytest.fail)
        stream.subscribe(self.events.append)
        self.leasing = Leasing(
            self.reactor,
            registry.config.state,
            LiveRegistry(registry),
            stream.publish,
            lambda: None,
            Clock(lambda: self.now, lambda: self.now, "boot"),
        )
        self.leasing.serve(["eth0"], ["192.0.2.1"])
        self.edge = Edge(LiveRegistry(registry), stream, self.reactor, self.leasing)
        self.desk = Desk(self.edge)
        self.cable = Cable()
        self.desk.prober = Prober(self.cable, INTERFACE, self.reactor)

    def hear(self, mac: MAC, kind: MessageType, *, xid=7, flags=0, giaddr="", **options) -> None:
        said = {Option.MESSAGE_TYPE: bytes([kind])}
        said |= {Option[name.upper()]: value for name, value in options.items()}
        message = Message(op=Op.REQUEST, xid=xid, flags=flags, chaddr=mac + bytes(10), options=said)
        self.edge.receive(Heard(wire.encode(message), ("0.0.0.0", 68), None), self.desk)

    def discover(self, mac=ONE, **more) -> None:
        self.hear(mac, MessageType.DISCOVER, **more)

    def take(self, mac=ONE, **more) -> None:
        offer = self.offers()[-1]
        self.hear(
            mac,
            MessageType.REQUEST,
            server_id=offer.server_id.packed,
            requested_address=offer.yiaddr.packed,
            **more,
        )

    def silence(self) -> None:
        """Nobody answers in time."""
        self.reactor.pump([WAIT_S / 2, WAIT_S / 2 + 0.01])

    def offers(self) -> list[Message]:
        return self.sent(MessageType.OFFER)

    def sent(self, kind: MessageType) -> list[Message]:
        return [message for message, _ in self.desk.sent if message.message_type == kind]

    def told(self, kind) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def until(self, condition) -> None:
        for _ in range(400):
            self.reactor.advance(0)
            if condition():
                return
            time.sleep(0.025)
        raise AssertionError("it does not come")


@pytest.fixture
def start(tmp_path):
    rigs = []

    def make(change=lambda config: None) -> Rig:
        rigs.append(Rig(tmp_path, change))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.leasing.stop()


@pytest.fixture
def rig(start):
    return start()


def subnet(**keys):
    return lambda config: config["subnets"][LAN].update(keys)


# -- the network -------------------------------------------------------------------------------


def test_an_offer_waits_until_nobody_says_that_he_has_the_address(rig):
    rig.discover()
    assert rig.offers() == []
    rig.silence()
    assert [str(offer.yiaddr) for offer in rig.offers()] == ["192.0.2.100"]


def test_the_next_addresses_are_asked_for_as_well_so_that_the_next_client_need_not_wait(rig):
    rig.discover()
    assert len(rig.cable.sent) == AHEAD
    rig.silence()
    rig.discover(TWO)
    assert [str(offer.yiaddr) for offer in rig.offers()] == ["192.0.2.100", "192.0.2.101"]


def test_the_last_few_requests_of_a_client_that_repeats_itself_are_all_answered(rig):
    for xid in range(1, _LAST_FEW + 3):
        rig.discover(xid=xid)
    rig.silence()
    assert [offer.xid for offer in rig.offers()] == list(range(3, _LAST_FEW + 3))
    assert len({offer.yiaddr for offer in rig.offers()}) == 1


def answer(card, address="192.0.2.100") -> bytes:
    return bytes(ARP(op="is-at", hwsrc=str(card), psrc=address))


def test_whoever_has_the_address_is_named_and_the_client_gets_the_next(rig):
    rig.discover()
    rig.cable.waiting.append(answer(SLY))
    rig.desk.prober.doRead()
    rig.silence()
    assert [str(offer.yiaddr) for offer in rig.offers()] == ["192.0.2.101"]
    [event] = rig.told(AddressInUse)
    assert (event.mac, event.address, event.by) == (ONE, "192.0.2.100", f"{SLY} (sly)")
    assert rig.leasing.leases.at(rig.offers()[0].yiaddr - 1).state is State.DECLINED


def test_a_client_that_has_the_address_already_is_no_objection_to_itself(rig):
    rig.discover()
    rig.cable.waiting.append(answer(ONE))
    rig.desk.prober.doRead()
    assert [str(offer.yiaddr) for offer in rig.offers()] == ["192.0.2.100"]
    assert rig.told(AddressInUse) == []


def test_nobody_is_asked_where_that_is_not_wanted(start):
    rig = start(subnet(probe=False))
    rig.discover()
    assert len(rig.offers()) == 1
    assert rig.cable.sent == []


def test_what_waited_for_a_device_that_is_gone_keeps_nobody_from_the_address(rig):
    rig.discover(ONE)
    rig.desk.prober.close()
    rig.desk.prober = Prober(rig.cable, INTERFACE, rig.reactor)
    rig.discover(TWO)
    rig.silence()
    assert [str(offer.yiaddr) for offer in rig.offers()] == ["192.0.2.100"]
    assert rig.offers()[0].chaddr[:6] == TWO


def test_a_client_is_answered_even_where_nobody_can_be_asked(rig):
    rig.desk.prober = None
    rig.discover()
    assert len(rig.offers()) == 1


# -- the disk ----------------------------------------------------------------------------------


def test_an_ack_leaves_when_the_lease_is_on_disk_and_not_before(start):
    rig = start(subnet(probe=False))
    rig.discover()
    rig.take()
    assert rig.sent(MessageType.ACK) == []
    rig.until(lambda: rig.sent(MessageType.ACK))


def test_an_ack_does_not_leave_where_the_address_became_anothers_meanwhile(start):
    rig = start(subnet(probe=False))
    rig.discover()
    rig.take()
    lease = rig.leasing.leases.at(rig.offers()[0].yiaddr)
    rig.leasing.leases.put(replace(lease, key=str(TWO), mac=TWO))
    rig.until(lambda: rig.told(Passed))
    assert rig.sent(MessageType.ACK) == []
    assert "became another's" in rig.told(Passed)[0].reason


def test_a_reply_goes_to_the_card_or_to_everybody_as_the_client_asks(start):
    rig = start(subnet(probe=False))
    rig.discover(ONE)
    rig.discover(TWO, flags=BROADCAST_FLAG)
    (_, first), (_, second) = rig.desk.sent
    assert (first.address, first.card) == ("192.0.2.100", bytes(ONE))
    assert (second.address, second.card) == (EVERYBODY, None)


# -- modes -------------------------------------------------------------------------------------


def test_where_dhcp_is_off_nothing_is_said_and_an_event_tells_so(start):
    rig = start(subnet(dhcp="off"))
    rig.discover()
    assert rig.desk.sent == []
    [event] = rig.told(Passed)
    assert (event.mac, event.level) == (ONE, "debug")
    assert "DHCP is off" in event.reason


def test_a_server_goes_on_where_proxies_are_turned_off(start):
    def change(config):
        config["netbootd"]["proxydhcp"] = {"enabled": False}

    rig = start(change)
    rig.discover()
    rig.silence()
    assert len(rig.offers()) == 1


def test_who_got_an_address_without_a_boot_file_was_answered(start):
    rig = start(subnet(probe=False))
    rig.discover(TWO, vendor_class=b"PXEClient:Arch:00007:UNDI:003000", arch=b"\0\7")
    assert len(rig.offers()) == 1
    [event] = rig.told(Unserved)
    assert event.what.startswith("got no boot file: ")


def test_an_empty_pool_is_a_warning_once_a_minute(start):
    rig = start(subnet(pools=["192.0.2.100"], probe=False))
    rig.discover(ONE)
    rig.take(ONE)
    rig.until(lambda: rig.sent(MessageType.ACK))
    for _ in range(3):
        rig.discover(TWO)
    rig.now += 61.0
    rig.discover(TWO)
    assert [event.level for event in rig.told(NoAddress)] == ["warn", "debug", "debug", "warn"]
    assert {event.subnet for event in rig.told(NoAddress)} == {LAN}
