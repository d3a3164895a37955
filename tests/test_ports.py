"""Ports held by real processes, and by made-up ones in a folder that looks like /proc."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address

import pytest

from netbootd.ports import _ADVICE, Owner, explain_taken, holder_of, owner_of

OFF = 'turn our part off with "proxydhcp": false in section netbootd'
SHARE = 'share it with "proxydhcp": {"mode": "snoop"}, and packet sockets (CAP_NET_RAW)'
ME = pwd.getpwuid(os.getuid()).pw_name

HOLD = """
import socket, sys
kind = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[sys.argv[1]]
held = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, kind)
held.bind((sys.argv[2], 0))
if sys.argv[1] == "tcp":
    held.listen()
print(held.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """``hold("udp", "127.0.0.1", name)`` → a process of that name, and the port it holds."""
    running = []

    def start(protocol, address, name="dnsmasq"):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\n{HOLD}")
        program.chmod(0o755)
        process = subprocess.Popen(
            [program, protocol, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process.pid, int(process.stdout.readline())

    yield start
    for process in running:
        process.communicate(timeout=10)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_the_process_that_has_a_port_is_found(hold, protocol, address):
    pid, port = hold(protocol, address)
    expected = Owner(IPv4Address(address), ME, pid, "dnsmasq")
    assert owner_of(protocol, port, None) == expected
    assert owner_of(protocol, port, "0.0.0.0") == expected
    assert owner_of(protocol, port, "127.0.0.1") == expected


@pytest.mark.skipif(not os.path.exists("/proc/net/udp6"), reason="this kernel has no IPv6")
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_socket_on_every_ipv6_address_has_the_ipv4_port_too(hold, protocol):
    pid, port = hold(protocol, "::")
    assert owner_of(protocol, port, "127.0.0.1") == Owner(IPv6Address("::"), ME, pid, "dnsmasq")


def test_who_has_another_address_or_protocol_is_not_in_the_way(hold):
    _, port = hold("udp", "127.0.0.1")
    assert owner_of("udp", port, "127.0.0.2") is None
    assert owner_of("tcp", port, None) is None


def test_a_connection_from_a_port_does_not_hold_it():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert owner_of("tcp", client.getsockname()[1], None) is None


def test_another_process_is_named_before_ourselves(hold):
    _, port = hold("udp", "127.0.0.1", "atftpd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.2", port))
        assert owner_of("udp", port, None).command == "atftpd"


def test_the_sentence_names_process_port_and_ways_out(hold):
    pid, port = hold("udp", "0.0.0.0")
    assert explain_taken("udp", port, None, "proxydhcp") == (
        f"UDP port {port} on 0.0.0.0 is held by dnsmasq (pid {pid}): stop it, give it other"
        f" interfaces (dnsmasq: bind-dynamic / except-interface=), or {OFF}"
    )


def test_a_program_we_do_not_know_can_be_stopped(hold):
    pid, port = hold("tcp", "127.0.0.1", "webthing")
    assert explain_taken("tcp", port, "127.0.0.1", "http_port") == (
        f"TCP port {port} on 127.0.0.1 is held by webthing (pid {pid}): stop it"
        ' or choose another with "http_port" in section netbootd'
    )


def test_our_own_second_socket_is_called_our_own():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert explain_taken("tcp", port, "127.0.0.1", "http_port") == (
            f"TCP port {port} on 127.0.0.1 is held by this netbootd itself: name each port once"
            ' or choose another with "http_port" in section netbootd'
        )


# --- made-up processes ---------------------------------------------------------------------------

UDP_67 = "  42: {address}:0043 00000000:0000 07 00000000:00000000 00:00000000 0 {uid} 0 {inode} 2 0"
ANY = "00000000"


@pytest.fixture
def proc(tmp_path):
    """``proc(line, pid=(comm, cmdline, inode)…)`` → a folder that looks like /proc."""

    def build(*lines, **processes):
        net = tmp_path / "self" / "net"
        net.mkdir(parents=True)
        (net / "udp").write_text("\n".join(["  sl  local_address ...", *lines]) + "\n")
        for pid, (comm, arguments, inode) in processes.items():
            process = tmp_path / pid.removeprefix("p")
            (process / "fd").mkdir(parents=True)
            (process / "comm").write_text(comm + "\n")
            (process / "cmdline").write_text("\0".join(arguments) + "\0")
            (process / "fd" / "3").symlink_to(f"socket:[{inode}]")
        return tmp_path

    return build


def line(address=ANY, uid=0, inode=7):
    return UDP_67.format(address=address, uid=uid, inode=inode)


@pytest.mark.skipif(sys.byteorder != "little", reason="the line is of a little-endian host")
def test_a_process_we_may_not_see_is_named_by_its_user(proc):
    folder = proc(line("010200C0"))
    assert explain_taken("udp", 67, None, "proxydhcp", folder) == (
        "UDP port 67 on 192.0.2.1 is held by another process of user root"
        f' (run "ss -ulnp sport = :67" as root to see which): stop it, {SHARE}, or {OFF}'
    )


def test_a_user_without_a_name_is_a_number(proc):
    assert owner_of("udp", 67, None, proc(line(uid=4_000_000_001))).user == "4000000001"


def test_a_user_whom_our_namespace_hides_is_not_called_nobody(proc):
    folder = proc(line(uid=65534))
    assert owner_of("udp", 67, None, folder).user == "nobody"
    (folder / "self").mkdir(exist_ok=True)
    (folder / "self" / "uid_map").write_text("0 0 1\n998 998 1\n")
    assert owner_of("udp", 67, None, folder).user == ""
    assert "held by another process (run" in explain_taken("udp", 67, None, "proxydhcp", folder)


def test_nobody_to_be_seen_is_said(proc):
    assert explain_taken("udp", 67, "192.0.2.1", "proxydhcp", proc()) == (
        "UDP port 67 on 192.0.2.1 is held by another process"
        f' (run "ss -ulnp sport = :67" as root to see which): stop it, {SHARE}, or {OFF}'
    )


def test_who_has_a_port_is_said_in_short(proc):
    folder = proc(line(), p812=("kea-dhcp4", ["kea-dhcp4"], 7))
    assert holder_of("udp", 67, folder) == "kea-dhcp4 (pid 812)"
    assert holder_of("udp", 68, folder) == ""


@pytest.mark.parametrize("command", sorted(_ADVICE))
def test_each_known_program_has_its_advice(proc, command):
    folder = proc(line(), p812=(command[:15], [command], 7))
    assert explain_taken("udp", 67, None, "proxydhcp", folder) == (
        f"UDP port 67 on 0.0.0.0 is held by {command} (pid 812): stop it, {_ADVICE[command]},"
        f" {SHARE}, or {OFF}"
    )


@pytest.mark.parametrize(
    ("comm", "arguments", "name"),
    [
        ("netbootd", ["/usr/bin/python3", "/usr/bin/netbootd", "run"], "netbootd"),
        ("python3.11", ["python3", "-m", "netbootd", "run"], "netbootd"),
        ("python3", ["python3", "-u", "/srv/tools/tftp.py"], "tftp.py"),
        ("python3", ["python3", "-c", "print()"], "python3"),
        ("python3", [], "python3"),
        ("bad\x1b[2Jname", ["x"], "bad?[2Jname"),
    ],
)
def test_a_script_goes_by_its_own_name(proc, comm, arguments, name):
    assert owner_of("udp", 67, None, proc(line(), p812=(comm, arguments, 7))).command == name


def test_the_master_of_several_workers_is_named(proc):
    workers = {f"p{pid}": ("nginx", ["nginx"], 7) for pid in (90, 812, 813)}
    assert owner_of("udp", 67, None, proc(line(), **workers)).pid == 90


def test_the_service_is_named_before_systemd_that_made_its_socket(proc):
    folder = proc(line(), p1=("systemd", ["init"], 7), p812=("in.tftpd", ["in.tftpd"], 7))
    assert owner_of("udp", 67, None, folder).command == "in.tftpd"
