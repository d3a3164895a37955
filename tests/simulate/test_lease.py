"""The walk where the configuration gives the addresses: one server, one address, one boot."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from netbootd.cli import main
from netbootd.dhcp.destination import Port
from netbootd.dhcp.wire import encode
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.simulate.firmware import KINDS
from netbootd.simulate.memory import Memory

from .kernels import bzimage, efi_program

NODE, STRANGER = "00:25:90:27:db:b4", "52:54:00:00:00:01"
NET = {"dhcp": "server", "router": "10.1.0.1", "dns": "10.1.0.3", "pools": "10.1.0.100-199"}


@pytest.fixture
def simulate(tmp_path, capsys):
    for folder in ("fw", "files"):
        (tmp_path / folder).mkdir()
    (tmp_path / "fw" / "undionly.kpxe").write_bytes(bytes(74213))
    (tmp_path / "fw" / "snponly.efi").write_bytes(efi_program(0x8664))
    (tmp_path / "files" / "k").write_bytes(bzimage(100_000))

    def simulate(*arguments, mac=NODE, net=NET, entry=None, settings=None, more=None):
        target = {"type": "linux", "name": "a"}
        document = {
            "targets": {"linux": {"a": {"kernel": "k"}}},
            "subnets": {"10.1.0.0/24": net, **(more or {})},
            "machines": {"default": target, NODE: {**target, **(entry or {"ip": "10.1.0.5"})}},
            "netbootd": {"firmware": "fw", "files": "files", **(settings or {})},
        }
        (tmp_path / "c.json").write_text(json.dumps(document))
        status = main(["simulate", "--config", str(tmp_path / "c.json"), *arguments, mac])
        return status, " ".join(capsys.readouterr().out.split())

    return simulate


@pytest.mark.parametrize("kind", ["bios", "efi", "http", "ipxe"])
def test_every_firmware_reaches_the_kernel_with_one_address(simulate, kind):
    status, told = simulate("--firmware", kind)
    assert status == 0, told
    assert "The kernel starts." in told
    assert "DHCPACK of 10.1.0.2" in told
    assert told.count(" address 10.1.0.5 ") == (2 if kind == "ipxe" else 4)
    assert "router 10.1.0.1 DNS 10.1.0.3" in told
    assert "UDP port 4011" not in told


def test_a_raspberry_pi_and_a_u_boot_take_their_server_from_it(simulate):
    _, told = simulate("--arch", "22", mac=NODE)
    assert "next server 10.1.0.2" in told
    assert "DHCPACK of 10.1.0.2" in told
    _, told = simulate("--style", "raspberry-pi")
    assert "No DHCPREQUEST" in told


def test_a_stranger_gets_one_of_the_pool(simulate):
    status, told = simulate("--firmware", "bios", mac=STRANGER)
    assert status == 0, told
    assert "address 10.1.0.100" in told


def test_an_address_that_nobody_has_left_is_told(simulate):
    status, told = simulate("--firmware", "bios", mac=STRANGER, net={**NET, "pools": []})
    assert status != 0
    assert "no answer:" in told


def test_who_is_not_listed_is_not_served_where_that_is_said(simulate):
    status, told = simulate("--firmware", "bios", mac=STRANGER, settings={"known_only": True})
    assert status != 0
    assert "known_only" in told


def test_a_machine_of_another_network_is_walked_there(simulate):
    more = {"10.2.0.0/24": {}}
    status, told = simulate("--firmware", "bios", entry={"ip": "10.2.0.5"}, more=more)
    assert status == 0, told
    assert "DHCPOFFER of a ProxyDHCP server" in told


def test_a_boot_server_in_another_network_is_behind_a_relay(simulate):
    net = {**NET, "boot_server": "10.9.0.1:3000"}
    _, told = simulate("--firmware", "bios", net=net)
    assert "next server 10.9.0.1" in told


def test_the_server_has_the_address_of_its_boot_server_or_of_this_host_or_says_so(tmp_path):
    net = {**NET, "dhcp": "server"}
    (tmp_path / "c.json").write_text(json.dumps({"subnets": {"10.1.0.0/24": net}}))
    asked = KINDS["efi"].discover(MAC.parse(STRANGER))

    def server(**more):
        (tmp_path / "c.json").write_text(json.dumps({"subnets": {"10.1.0.0/24": {**net, **more}}}))
        memory = Memory(load(tmp_path / "c.json"), "c.json", "", own)
        return str(memory.dhcp(encode(asked), Port.DHCP, "").server_id), memory.name

    own = [IPv4Address("192.0.2.9"), IPv4Address("10.1.0.9")]
    assert server(boot_server="10.1.0.8:3000") == ("10.1.0.8", "c.json, in memory")
    assert server() == ("10.1.0.9", "c.json, in memory")
    own = []
    assert server() == (
        "10.1.0.2",
        "c.json, in memory; the server's address, 10.1.0.2, is made up",
    )
