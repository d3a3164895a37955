"""What is said of a client's network, as DHCP knows it: by relay, by link selection, by us."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from netbootd.dhcp import proxy
from netbootd.dhcp.destination import Arrival, Port, local_address
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.dhcp.proxy import Answer, Ignored
from netbootd.loaders import Choice
from netbootd.registry.subnets import Subnet, Subnets

from .registries import machine, registry
from .test_pxe import BIOS, HTTP, IPXE, UEFI

MAC = "52:54:00:12:34:56"
SERVER = IPv4Address("192.0.2.1")
NETWORK, RELAY = IPv4Network("10.1.0.0/24"), IPv4Address("10.1.0.254")
#: Option 82 with link selection (RFC 3527) of an address in NETWORK.
SELECTED = b"\x05\x04\x0a\x01\x00\x00"


def request(options, kind=MessageType.DISCOVER, **fields) -> Message:
    return Message(
        op=Op.REQUEST,
        chaddr=bytes.fromhex(MAC.replace(":", "")).ljust(16, b"\0"),
        options={Option.MESSAGE_TYPE: bytes((kind,)), **options},
        **fields,
    )


def ask(message, network=NETWORK, port=Port.DHCP, address=SERVER, known=None, **said):
    entry = Subnet(name=str(network), network=network, **said)
    known = replace(known or registry(MAC), subnets=Subnets({network: entry}))
    source = ("0.0.0.0", 68) if port is Port.DHCP else ("10.1.0.7", 4011)
    return proxy.answer(message, Arrival("eth1", address, port, source), known)


@pytest.mark.parametrize("options", [BIOS, UEFI, HTTP, IPXE])
@pytest.mark.parametrize(
    ("fields", "more"),
    [({"giaddr": RELAY}, {}), ({"giaddr": SERVER}, {Option.RELAY_AGENT: SELECTED})],
)
def test_nobody_is_answered_in_a_subnet_that_is_off(options, fields, more):
    asked = request({**options, **more}, **fields)
    assert isinstance(ask(asked), Answer)
    refused = ask(asked, served=False)
    assert isinstance(refused, Ignored)
    assert refused.unserved
    assert "10.1.0.0/24" in refused.reason


@pytest.mark.parametrize("options", [BIOS, UEFI, HTTP, IPXE])
def test_without_a_relay_our_own_address_tells_the_subnet(options):
    ours = IPv4Network("192.0.2.0/24")
    assert isinstance(ask(request(options), ours, served=False), Ignored)
    elsewhere = IPv4Address("198.51.100.1")
    assert isinstance(ask(request(options), ours, address=elsewhere, served=False), Answer)


@pytest.mark.parametrize("port", Port)
def test_both_ports_say_the_same(port):
    kind = MessageType.DISCOVER if port is Port.DHCP else MessageType.REQUEST
    asked = request(UEFI, kind, ciaddr=IPv4Address("10.1.0.7"))
    assert isinstance(ask(asked, port=port), Answer)
    assert isinstance(ask(asked, port=port, served=False), Ignored)


def test_only_listed_machines_are_answered_where_the_subnet_says_so():
    strangers = registry(default=True)
    asked = request(UEFI, giaddr=RELAY)
    assert isinstance(ask(asked, known=strangers), Answer)
    assert isinstance(ask(asked, known=strangers, known_only=True), Ignored)
    assert isinstance(ask(asked, known_only=True), Answer)
    closed = registry(default=True, known_only=True)
    assert isinstance(ask(asked, known=closed), Ignored)
    assert isinstance(ask(asked, known=closed, known_only=False), Answer)


def test_who_is_not_listed_gets_the_default_of_its_subnet():
    asked = request(UEFI, giaddr=RELAY)
    assert isinstance(ask(asked, known=registry()), Ignored)
    assert isinstance(ask(asked, known=registry(), default=machine(None)), Answer)


def test_a_subnet_chooses_the_loader():
    answer = ask(request(UEFI, giaddr=RELAY), loader=Choice("ipxe-drivers"))
    assert answer.file == "ipxe.efi"
    assert ask(request(UEFI, giaddr=RELAY)).file == "snponly.efi"


@pytest.mark.parametrize("options", [BIOS, UEFI, HTTP, IPXE])
def test_its_boot_server_is_where_files_are_and_54_stays_who_answers(options):
    reply = ask(request(options, giaddr=RELAY), boot_server="http://10.1.0.1:8080").reply
    assert reply.options[Option.SERVER_ID] == SERVER.packed
    assert str(reply.siaddr) == "10.1.0.1"
    if options in (HTTP, IPXE):
        told = reply.file + reply.options.get(Option.BOOT_FILE, b"")
        assert b"http://10.1.0.1:8080/" in told
        assert b"192.0.2.1" not in told


@pytest.mark.parametrize("options", [UEFI, HTTP])
def test_a_boot_server_that_is_a_name_is_for_scripts_alone(options):
    asked = request(options, giaddr=RELAY)
    assert ask(asked, boot_server="http://boot.example.org").reply == ask(asked).reply


OURS = [IPv4Interface("192.0.2.1/24"), IPv4Interface("10.1.0.1/16"), IPv4Interface("10.2.0.1/24")]


@pytest.mark.parametrize(
    ("giaddr", "preferred", "ours"),
    [
        ("10.1.0.254", None, "10.1.0.1"),
        ("10.1.0.254", "10.2.0.1", "10.2.0.1"),
        ("10.1.0.254", "10.9.0.1", "10.1.0.1"),
        ("0.0.0.0", "10.2.0.1", "192.0.2.1"),
    ],
)
def test_behind_a_relay_the_subnets_boot_server_answers_if_it_is_us(giaddr, preferred, ours):
    asked = request(UEFI, giaddr=IPv4Address(giaddr))
    wanted = IPv4Address(preferred) if preferred else None
    assert str(local_address(None, OURS, asked, "0.0.0.0", wanted)) == ours
