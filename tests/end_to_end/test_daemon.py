"""
The running daemon on a real network: what it says, how it follows its file and its interfaces, and
how it ends.  No virtual machines; the clients are curl, atftp and ``netbootd simulate``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.simulate.kernels import bzimage, efi_program

pytestmark = pytest.mark.wire

NODE = "00:25:90:27:db:b4"
STRANGER = "52:54:00:12:34:56"
BASE = f"http://{BOOT_SERVER}:3000"
KINDS = ["bios", "efi", "ipxe", "http"]


@pytest.fixture
def config(tmp_path: Path) -> dict:
    """A configuration in the user's form; kernel and initrd are random bytes behind a header."""
    root = tmp_path / "srv"
    (root / "images").mkdir(parents=True)
    header = bzimage(1000)
    (root / "images" / "vmlinuz").write_bytes(header + os.urandom(3_000_000 - len(header)))
    (root / "images" / "initrd").write_bytes(os.urandom(8_000_000))
    linux = {"kernel": "images/vmlinuz", "initrd": "images/initrd"}
    return {
        "targets": {
            "nfs": {
                "one": {**linux, "boot_args": "root=/dev/nfs word=one"},
                "two": {**linux, "boot_args": "root=/dev/nfs word=two"},
            },
            "localboot": {"disk": {}},
        },
        "machines": {
            "default": {"type": "localboot", "name": "disk"},
            NODE: {"type": "nfs", "name": "one"},
        },
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
        },
    }


def get(lab: Lab, path: str, *options: str, base: str = BASE) -> str:
    return lab.run("lan", "curl", "-sS", "-m", "20", *options, f"{base}{path}")


def status(lab: Lab) -> dict:
    return json.loads(get(lab, "/status"))


def wait_until(true, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)


def test_the_banner_says_all_there_is_to_know(lab, config):
    told = lab.netbootd(config).text
    for sign in (
        "netbootd 0.",
        "1 machine, 3 targets; unknown machines get localboot/disk",
        f"eth0  {BOOT_SERVER}/24",
        "UDP 67 and 4011 on eth0",
        f"UDP 69 on {BOOT_SERVER}",
        "TCP 3000",
        "/usr/lib/ipxe/undionly.kpxe  sha256 ",
        "/usr/lib/ipxe/snponly.efi  sha256 ",
        "next ",
    ):
        assert sign in told


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulated_client_walks_the_whole_chain_on_the_wire(lab, config, kind):
    lab.netbootd(config)
    told = lab.run(
        "lan", str(NETBOOTD), "simulate", "--interface", "eth0", "--firmware", kind, NODE
    )
    assert "The kernel starts." in told
    assert "8,000,000 bytes" in told


@pytest.mark.parametrize(
    ("loader", "arguments", "sign"),
    [
        (
            "pxelinux",
            ["--firmware", "bios"],
            f"found           tftp://{BOOT_SERVER}/{NODE}/ldlinux",
        ),
        ("grub", ["--firmware", "efi"], f"GRUB: configuration tftp://{BOOT_SERVER}/grub.cfg-01-"),
        ("grub", ["--firmware", "http"], f"GRUB: configuration http://{BOOT_SERVER}:3000/grub.cfg"),
        ("ipxe", ["--arch", "41"], f"asks for tftp://{BOOT_SERVER}/9027dbb4/config.txt"),
    ],
)
def test_a_simulated_machine_that_never_runs_ipxe_walks_it_too(
    lab, config, tmp_path, loader, arguments, sign
):
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "grubx64.efi").write_bytes(efi_program())
    (tmp_path / "srv" / "start4.elf").write_bytes(b"firmware")
    (tmp_path / "srv" / "images" / "vmlinuz").write_bytes(
        bytes(1000) if "41" in arguments else bzimage()
    )
    folders = ["/usr/lib/ipxe", "/usr/lib/PXELINUX", "/usr/lib/syslinux/modules/bios"]
    config["netbootd"]["firmware"] = [*folders, str(tmp_path / "fw")]
    config["machines"][NODE]["loader"] = loader
    lab.netbootd(config)
    told = lab.run("lan", str(NETBOOTD), "simulate", "--interface", "eth0", *arguments, NODE)
    assert sign in told
    assert "arguments       root=/dev/nfs word=one" in told
    assert "8,000,000 bytes" in told
    assert "The kernel starts." in told


def test_a_client_on_the_boot_server_itself_walks_it_too(lab, config):
    lab.netbootd(config)
    told = lab.run("boot", str(NETBOOTD), "simulate", "--interface", "eth0", NODE)
    assert "DHCPACK from port 4011" in told
    assert "The kernel starts." in told


def test_a_simulated_boot_that_ends_in_its_script_is_one_boot(lab, config):
    """The local disk: the script exits, and why it does is asked without another boot."""
    config["targets"]["localboot"] = {"disk": {}}
    config["machines"][NODE] = {"type": "localboot", "name": "disk"}
    daemon = lab.netbootd(config)
    for _ in range(2):
        told = lab.run("lan", str(NETBOOTD), "simulate", "--interface", "eth0", NODE)
        assert "boots its own disk" in told
    end = len(daemon.text)
    lab.run("lan", "curl", "-sS", f"http://{BOOT_SERVER}:3000/none")
    daemon.wait_for("/none", 5, after=end)
    assert daemon.text.count("got its boot script") == 2


def test_a_simulated_boot_that_gets_a_notice_says_why(lab, config):
    config["machines"][NODE] = {"group": "none"}
    lab.netbootd(config)
    argv = lab.inside("lan", str(NETBOOTD), "simulate", "--interface", "eth0", NODE)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"500: .*there is no such group", done.stdout + done.stderr)


def test_each_step_is_one_line_with_the_machine_first(lab, config):
    daemon = lab.netbootd(config)
    lab.run("lan", str(NETBOOTD), "simulate", "--interface", "eth0", NODE)
    daemon.wait_for("initrd by HTTP", 5)
    lines = [line.split(" ", 1)[1] for line in daemon.lines(NODE)]
    who = f"{NODE} (nfs/one)"
    assert lines[0] == f"{who} UEFI x64 offered snponly.efi from {BOOT_SERVER} on eth0"
    assert lines[1] == f"{who} UEFI x64 acknowledged snponly.efi from {BOOT_SERVER} on eth0"
    assert all(line.startswith(who) for line in lines)


def test_sighup_swaps_the_answers(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    assert "word=one" in get(lab, f"/boot/{NODE}")
    config["machines"][NODE]["name"] = "two"
    config["machines"][STRANGER] = {"type": "nfs", "name": "one"}
    write_config(tmp_path / "netbootd.json", config)
    assert "1 added, 0 removed, 1 changed" in daemon.reload() + daemon.text
    assert "word=two" in get(lab, f"/{NODE.upper()}")


@pytest.mark.parametrize("editor", ["in place", "rename"])
def test_a_saved_file_is_in_force_by_itself(lab, config, tmp_path, editor):
    lab.netbootd(config)
    config["machines"][NODE]["name"] = "two"
    file = tmp_path / "netbootd.json"
    if editor == "rename":
        write_config(file, config)
    else:
        file.write_text(json.dumps(config))
    wait_until(lambda: "word=two" in get(lab, f"/boot/{NODE}"), 20)


def test_a_drop_in_is_seen_and_the_main_file_stays_as_it_is(lab, config, tmp_path):
    lab.netbootd(config)
    before = (tmp_path / "netbootd.json").read_bytes()
    time.sleep(0.3)
    (tmp_path / "machines.d" / "rack.json").write_text(
        json.dumps({"machines": {STRANGER: {"type": "nfs", "name": "two"}}})
    )
    wait_until(lambda: "word=two" in get(lab, f"/boot/{STRANGER}"), 3)
    assert (tmp_path / "netbootd.json").read_bytes() == before


def test_a_broken_file_changes_nothing_and_is_reported(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    (tmp_path / "netbootd.json").write_text('{\n  "machines" : {\n    oops\n')
    daemon.wait_for("netbootd.json:3:5: error: json-syntax", 5)
    daemon.wait_for("still serving generation 1", 5)
    assert "word=one" in get(lab, f"/boot/{NODE}")
    assert "refused" in status(lab)["last_reload"]
    write_config(tmp_path / "netbootd.json", config)
    daemon.wait_for("reloaded", 5)


def test_settings_of_the_wire_follow_a_reload(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    config["netbootd"] |= {"http_port": [80, 3000], "tftp": {"port": 6969}, "proxydhcp": False}
    write_config(tmp_path / "netbootd.json", config)
    daemon.wait_for("UDP 6969", 5)
    plain, other = (
        get(lab, f"/boot/{NODE}", base=base) for base in (f"http://{BOOT_SERVER}", BASE)
    )
    assert "kernel --name kernel http://192.0.2.10/images" in plain
    assert "kernel --name kernel http://192.0.2.10:3000/images" in other
    assert "not listening  ProxyDHCP" in daemon.text
    assert "not listening  TFTP       UDP 69" in daemon.text


@pytest.mark.parametrize(
    ("kind", "port", "setting", "still"),
    [
        ("udp", 67, '"proxydhcp"', "HTTP"),
        ("udp", 4011, '"proxydhcp"', "HTTP"),
        ("udp", 69, '"tftp"', "ProxyDHCP"),
        ("tcp", 3000, '"http_port"', "ProxyDHCP"),
    ],
)
def test_a_taken_port_is_told_with_its_holder_and_the_rest_runs(
    lab, config, kind, port, setting, still
):
    code = (
        "import socket, time\n"
        f"s = socket.socket(socket.AF_INET, socket.SOCK_{'DGRAM' if kind == 'udp' else 'STREAM'})\n"
        f"s.bind(('', {port}))\n"
        f"{'s.listen()' if kind == 'tcp' else ''}\n"
        "print('holding', flush=True); time.sleep(60)\n"
    )
    holder = lab.spawn("boot", "python3", "-c", code)
    holder.wait_for("holding", 5)
    config["netbootd"]["proxydhcp"] = {"mode": "socket"}
    daemon = lab.netbootd(config)
    trouble = daemon.wait_for(r"TROUBLE +(.*)", 5)[1]
    assert f"{kind.upper()} port {port}" in trouble
    assert f"(pid {holder.pid})" in trouble
    assert setting in trouble
    assert f"listening      {still}" in daemon.text
    holder.close()
    daemon.wait_for("listening .* (67 and 4011|69 on|3000)", 10, after=len(daemon.text) - 1)


def test_a_taken_port_67_is_shared_and_never_taken(lab, config):
    code = (
        "import socket, time\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('192.0.2.10', 67))\n"
        "print('holding', flush=True); time.sleep(60)\n"
    )
    holder = lab.spawn("boot", "python3", "-c", code)
    holder.wait_for("holding", 5)
    daemon = lab.netbootd(config)
    assert "TROUBLE" not in daemon.text
    shared = f"UDP 4011 and snooping UDP 67 on eth0, python3 (pid {holder.pid}) has the port"
    assert f"listening      ProxyDHCP  {shared}" in daemon.text
    assert f"ProxyDHCP {shared}" in json.loads(get(lab, "/status"))["listening"]
    holder.close()
    again = lab.spawn("boot", "python3", "-c", code)
    again.wait_for("holding", 5)
    config["netbootd"]["proxydhcp"] = {"mode": "socket"}
    write_config(lab.folder / "netbootd.json", config)
    # Who came after root was given up is seen by root alone.
    holder_now = r'another process of user root \(run "ss -ulnp sport = :67" as root'
    daemon.wait_for(rf"UDP port 67 on 192.0.2.10 is held by {holder_now}", 15)


def test_an_interface_is_served_when_it_is_there(lab, config):
    config["netbootd"]["interfaces"] = ["eth0", "eth9"]
    daemon = lab.netbootd(config)
    assert "eth9: no such interface" in daemon.text
    for _ in range(2):
        position = len(daemon.text)
        lab.ip("boot", "link add eth9 type veth peer name far9")
        lab.ip("boot", "addr add 198.51.100.1/24 dev eth9")
        lab.ip("boot", "link set eth9 up")
        daemon.wait_for("listening      ProxyDHCP  UDP 67 and 4011 on eth9", 5, after=position)
        assert "1 machines" in get_locally(lab, "http://198.51.100.1:3000")
        lab.ip("boot", "link del eth9")
        daemon.wait_for("not listening  ProxyDHCP  UDP 67 and 4011 on eth9", 5, after=position)


def get_locally(lab: Lab, base: str) -> str:
    seen = json.loads(lab.run("boot", "curl", "-sS", "-m", "5", f"{base}/status"))
    return f"{seen['machines']} machines"


def test_an_interface_that_is_not_named_gets_nothing(lab, config):
    lab.ip("boot", "link add side type veth peer name far")
    lab.ip("boot", "addr add 198.51.100.1/24 dev side")
    lab.ip("boot", "link set side up")
    lab.netbootd(config)
    refused = lab.run(
        "boot", "sh", "-c", "curl -sS -m 3 http://198.51.100.1:3000/status 2>&1 || echo refused"
    )
    assert "refused" in refused
    taken = lab.run("boot", "ss", "-Hulnp")
    assert "198.51.100.1:69" not in taken
    assert "%side" not in taken


def test_after_kill_9_a_restart_serves_at_once(lab, config):
    first = lab.netbootd(config)
    first.send(signal.SIGKILL)
    first.wait(5)
    began = time.monotonic()
    lab.netbootd(config)
    assert "word=one" in get(lab, f"/boot/{NODE}")
    assert time.monotonic() - began < 10


def test_sigterm_ends_at_once_when_nothing_runs(lab, config):
    daemon = lab.netbootd(config)
    began = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.wait(10) == 0
    assert time.monotonic() - began < 3


def test_sigterm_lets_a_running_transfer_finish(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    out = tmp_path / "out"
    url = f"{BASE}/images/initrd"
    fetch = lab.spawn("lan", "curl", "-sS", "--limit-rate", "3M", "-o", str(out), url)
    wait_until(lambda: out.exists() and out.stat().st_size > 0)
    daemon.send(signal.SIGTERM)
    assert fetch.wait(20) == 0
    assert daemon.wait(10) == 0
    assert out.read_bytes() == (tmp_path / "srv" / "images" / "initrd").read_bytes()


def test_the_grace_has_an_end(lab, config, tmp_path):
    config["netbootd"]["grace"] = 1
    daemon = lab.netbootd(config)
    out = tmp_path / "out"
    url = f"{BASE}/images/initrd"
    lab.spawn("lan", "curl", "-sS", "--limit-rate", "100k", "-o", str(out), url)
    wait_until(lambda: out.exists() and out.stat().st_size > 0)
    daemon.send(signal.SIGTERM)
    assert daemon.wait(6) == 0


def test_systemd_is_told_of_each_turn(lab, config, tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(15)
        file = write_config(tmp_path / "netbootd.json", config)
        environment = [f"NOTIFY_SOCKET={address}", "WATCHDOG_USEC=1000000"]
        daemon = lab.spawn("boot", "env", *environment, str(NETBOOTD), "run", "--config", str(file))
        heard = [manager.recv(4096).decode()]
        assert "READY=1" in heard[0]
        assert "STATUS=serving generation 1: 1 machine, 3 targets" in heard[0]
        daemon.send(signal.SIGHUP)
        wait_until(lambda: hear(manager, heard) and "generation 2" in heard[-1])
        assert any("RELOADING=1\nMONOTONIC_USEC=" in message for message in heard)
        wait_until(lambda: hear(manager, heard) and heard[-1].startswith("WATCHDOG=1"))
        daemon.send(signal.SIGTERM)
        wait_until(lambda: hear(manager, heard) and "STOPPING=1" in heard[-1])


def hear(manager: socket.socket, heard: list[str]) -> bool:
    heard.append(manager.recv(4096).decode())
    return True


def test_a_configuration_that_cannot_be_used_ends_the_start_with_status_2(lab, tmp_path):
    (tmp_path / "netbootd.json").write_text("{ oops }")
    daemon = lab.spawn("boot", str(NETBOOTD), "run", "--config", str(tmp_path / "netbootd.json"))
    assert daemon.wait(10) == 2
    assert "json-syntax" in daemon.text


def test_everything_works_without_a_route_or_a_resolver(lab, config):
    config["boot_servers"] = {"default": "boot.example:3000"}
    lab.netbootd(config)
    assert "http://boot.example:3000/images/vmlinuz" in get(lab, f"/boot/{NODE}")


def test_garbage_on_every_port_is_counted_and_nothing_else(lab, config):
    daemon = lab.netbootd(config)
    code = (
        "import random, socket, time\n"
        "random.seed(1)\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for _ in range(1500):\n"
        "    time.sleep(0.001)  # what overflows a buffer is lost, and cannot be counted\n"
        "    for port in (67, 69, 4011):\n"
        f"        s.sendto(random.randbytes(random.randrange(0, 600)), ('{BOOT_SERVER}', port))\n"
    )
    lab.run("lan", "python3", "-c", code)
    assert status(lab)["events"]["dropped.dhcp"] > 1000
    assert "Traceback" not in daemon.text
    told = lab.run("lan", str(NETBOOTD), "simulate", "--interface", "eth0", NODE)
    assert "The kernel starts." in told


def test_two_machines_that_ask_at_the_same_moment_get_their_own(lab, config):
    lab.netbootd(config)
    first, second = (
        lab.spawn("lan", "curl", "-sS", f"{BASE}/boot/{mac}") for mac in (NODE, STRANGER)
    )
    assert first.wait(10) == second.wait(10) == 0
    wait_until(lambda: "word=one" in first.text and "sanboot" in second.text)


def test_a_clock_that_is_set_back_stops_neither_watchdog_nor_transfers(lab, config, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import time\n"
        "began, real = time.monotonic(), time.time\n"
        "time.time = lambda: real() - (3600 if time.monotonic() - began > 4 else 0)\n"
    )
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(15)
        file = write_config(tmp_path / "netbootd.json", config)
        environment = [f"NOTIFY_SOCKET={address}", "WATCHDOG_USEC=1000000", f"PYTHONPATH={site}"]
        lab.spawn("boot", "env", *environment, str(NETBOOTD), "run", "--config", str(file))
        heard = [manager.recv(4096).decode()]
        until = time.monotonic() + 8
        while time.monotonic() < until:
            hear(manager, heard)
        assert sum("WATCHDOG=1" in message for message in heard) > 10


def test_of_several_addresses_the_one_that_the_file_names_answers(lab, config):
    lab.ip("boot", "addr add 198.51.100.1/24 dev eth0")
    config["boot_servers"] = {"default": "198.51.100.1:3000"}
    daemon = lab.netbootd(config)
    assert "eth0  198.51.100.1/24, 192.0.2.10/24" in daemon.text
    # Firmware has no address yet: nothing but the configuration says which network it is on.
    discover = captured_discover()
    code = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n"
        "s.bind(('', 68))\n"
        f"s.sendto(bytes.fromhex('{discover}'), ('255.255.255.255', 67))\n"
    )
    lab.ip("lan", "addr flush dev eth0")
    lab.ip("lan", "addr add 203.0.113.9/32 dev eth0")
    lab.ip("lan", "route add default dev eth0")
    lab.run("lan", "python3", "-c", code)
    daemon.wait_for("offered snponly.efi from 198.51.100.1 on eth0", 5)


def captured_discover() -> str:
    """The DISCOVER of a UEFI machine, as captured."""
    capture = Path(__file__).parents[1] / "captures" / "qemu-ovmf-x64-pxe-discover.hex"
    lines = capture.read_text().splitlines()
    return "".join(line for line in lines if not line.startswith("#"))


def test_without_the_rights_it_says_what_it_needs(lab, config, tmp_path):
    file = write_config(tmp_path / "netbootd.json", config)
    # Root's files, but none of its rights: those are capabilities (capabilities(7)).
    drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    daemon = lab.spawn("boot", *drop, str(NETBOOTD), "run", "--config", str(file))
    daemon.wait_for("ready", 15)
    assert "needs root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW" in daemon.text


def test_a_closed_standard_error_stops_nobody(lab, config, tmp_path):
    file = write_config(tmp_path / "netbootd.json", config)
    lab.spawn("boot", "sh", "-c", f"exec {NETBOOTD} run --config {file} 2>&-")
    wait_until(lambda: "word=one" in try_get(lab, f"/boot/{NODE}"), 15)


def try_get(lab: Lab, path: str) -> str:
    return lab.run("lan", "sh", "-c", f"curl -sS -m 5 {BASE}{path} || true")
