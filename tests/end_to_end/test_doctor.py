"""``netbootd doctor`` in networks that are well, and in some that are not."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end import neighbours
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, NETBOOTD, Lab

pytestmark = pytest.mark.wire


@pytest.fixture
def lab(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with Lab(tmp_path) as network:
        yield network


@pytest.fixture
def config(tmp_path):
    (tmp_path / "srv").mkdir()
    return {
        "boot_servers": {"default": f"{BOOT_SERVER}:3000"},
        "targets": {"localboot": {"disk": {}}},
        "machines": {"default": {"type": "localboot", "name": "disk"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path / "srv"),
            "state": str(tmp_path / "state"),
        },
    }


def doctor(lab: Lab, *words: str, place="boot") -> tuple[int, dict[str, str], list]:
    """Exit status, code → level of the remarks, and the answers it heard."""
    # "ip netns exec" mounts a /sys of the namespace; "nsenter" leaves that of the host.
    inside = ("ip", "netns", "exec", f"{lab.prefix}{place}")
    argv = [*inside, str(NETBOOTD), "doctor", "--json", *words, "eth0"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    [said] = json.loads(done.stdout)
    remarks = {remark["code"]: remark["level"] for remark in said["remarks"]}
    return done.returncode, remarks, said["answers"]


def _remembered(lab: Lab, config: dict) -> tuple[list, list]:
    """The machines, and who is not listed, as the daemon has them."""
    place = ("--config", str(lab.folder / "netbootd.json"), "--json")
    said = [
        subprocess.run([NETBOOTD, "machines", what, *place], capture_output=True, check=True)
        for what in ("list", "unknown")
    ]
    machines, unknown = (json.loads(one.stdout)["machines"] for one in said)
    return machines, unknown


def test_an_empty_network_has_no_dhcp_server(lab):
    assert doctor(lab)[:2] == (1, {"no-dhcp": "wrong", "no-daemon": "note"})


def test_all_is_well_and_no_address_is_taken(lab, config):
    dhcp = lab.dhcp()
    daemon = lab.netbootd(config)
    status, remarks, answers = doctor(lab)
    assert (status, remarks) == (0, {"dhcp": "ok", "netbootd": "ok"})
    assert {answer["server"] for answer in answers} == {LAN_SERVER, BOOT_SERVER}
    assert {answer["firmware"] for answer in answers} == {"BIOS PXE", "UEFI PXE"}
    assert "DHCPOFFER" in dhcp.text
    assert "DHCPREQUEST" not in dhcp.text
    assert "offered undionly.kpxe" in daemon.text
    assert doctor(lab)[0] == 0
    assert _remembered(lab, config) == ([], [])


def test_no_machine_is_taken_for_the_host_that_asks(lab, config):
    """The boot of a machine is simulated at an address, and doctor asks from there."""
    lab.dhcp()
    node = "00:25:90:27:db:b4"
    config["machines"][node] = {"type": "localboot", "name": "disk", "hostname": "node1"}
    daemon = lab.netbootd(config)
    for place, address in (("boot", BOOT_SERVER), ("lan", LAN_SERVER)):
        began = len(daemon.text)
        words = ("simulate", "--interface", "eth0", "--firmware", "bios", node)
        lab.run(place, str(NETBOOTD), *words, f"--config={lab.folder}/netbootd.json")
        before = daemon.wait_for("got its boot script", 10, after=began).end()
        doctor(lab, place=place)
        lab.run(place, "logger", "-n", BOOT_SERVER, "-d", "-t", "cron", f"from {place}")
        daemon.wait_for("netbootd doctor .*offered undionly.kpxe", 10, after=before)
        assert node not in daemon.text[before:]
        [machine], unknown = _remembered(lab, config)
        assert (machine["state"], machine["address"], unknown) == ("up", address, [])
    assert _hosts(config, "from boot", "from lan") == ["", "node1"]


def _hosts(config: dict, *messages: str) -> list[str]:
    """The machines that the lines with *messages* are filed under."""
    logs = Path(config["netbootd"]["state"]) / "logs"
    for _ in range(50):
        text = "".join(file.read_text() for file in logs.rglob("*") if file.is_file())
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        found = {line["message"]: line.get("host", {}).get("name", "") for line in lines}
        if found.keys() >= set(messages):
            break
        time.sleep(0.2)
    return [found[message] for message in messages]


def test_another_host_sees_the_boot_server_too(lab, config):
    lab.dhcp()
    lab.netbootd(config)
    status, remarks, _ = doctor(lab, place="lan")
    assert status == 0
    assert remarks["proxy"] == "note"
    assert remarks["port-shared"] == "note"


def test_a_router_that_says_pxeclient_and_names_a_file(lab, config):
    lab.dhcp(f"--dhcp-boot=pxelinux.0,boot,{LAN_SERVER}", "--dhcp-option-force=60,PXEClient")
    lab.netbootd(config)
    status, remarks, _ = doctor(lab)
    assert status == 1
    assert remarks["vendor-class"] == "wrong"
    assert remarks["boot-file-twice"] == "note"


def test_a_stranger_with_another_router_is_found(lab, config):
    lab.dhcp()
    lab.plug("rogue", "192.0.2.66")
    stranger = lab.spawn(
        *("rogue", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=eth0", "--bind-interfaces", "--no-ping", "--dhcp-authoritative"),
        *("--dhcp-range=192.0.2.210,192.0.2.220,1h", "--dhcp-option=3,192.0.2.66"),
        *("--log-dhcp", f"--dhcp-leasefile={lab.folder}/strange"),
    )
    stranger.wait_for("DHCP, IP range", 10)
    status, remarks, _ = doctor(lab)
    assert status == 1
    assert remarks["rogue-dhcp"] == "wrong"


def test_a_second_boot_server_is_found(lab, config):
    lab.dhcp()
    lab.netbootd(config)
    lab.plug("second", "192.0.2.77")
    other = lab.spawn(
        *("second", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=eth0", "--bind-interfaces", "--dhcp-range=192.0.2.0,proxy"),
        *("--pxe-service=x86PC,other,pxelinux", "--pxe-service=7,other,other.efi"),
    )
    other.wait_for("DHCP, proxy", 10)
    status, remarks, _ = doctor(lab)
    assert status == 1
    assert remarks["second-proxy"] == "wrong"


@pytest.mark.parametrize("server", ["dnsmasq", "kea-dhcp4"])
def test_beside_a_dhcp_server_here_it_says_who_has_the_port(lab, config, server):
    if server == "dnsmasq":
        lab.dhcp(place="boot")
    else:
        neighbours.kea(lab, "boot")
    lab.netbootd(config)
    status, remarks, answers = doctor(lab)
    assert remarks["port-shared"] == remarks["snooping"] == "note"
    assert (status, remarks["dhcp"]) == (0, "ok")
    assert {answer["server"] for answer in answers} == {BOOT_SERVER}


@pytest.fixture
def serving(config):
    """One address to give away, which the configuration keeps for nobody."""
    config["netbootd"]["dhcp"] = {"mode": "server"}
    config["subnets"] = {"192.0.2.0/24": {"pools": ["192.0.2.50"]}}
    return config


def test_a_server_on_this_host_is_not_taken_for_netbootd(lab, serving):
    lab.dhcp(place="boot")
    lab.netbootd(serving)
    status, remarks, _ = doctor(lab, f"--config={lab.folder}/netbootd.json")
    assert status == 1
    assert "dhcp" not in remarks
    assert remarks["port-taken"] == remarks["foreign-dhcp"] == remarks["not-served"] == "wrong"


def test_a_server_that_pings_first_is_seen_where_no_address_is_left(lab, serving):
    serving["subnets"]["192.0.2.0/24"]["exclude"] = ["192.0.2.50"]
    lab.plug("rogue", "192.0.2.66")
    stranger = lab.spawn(
        *("rogue", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=eth0", "--bind-interfaces", "--dhcp-authoritative"),
        *("--dhcp-range=192.0.2.210,192.0.2.220,1h", f"--dhcp-leasefile={lab.folder}/strange"),
    )
    stranger.wait_for("DHCP, IP range", 10)
    lab.netbootd(serving)
    _, remarks, answers = doctor(lab, f"--config={lab.folder}/netbootd.json")
    assert remarks["foreign-dhcp"] == remarks["pool-exhausted"] == "wrong"
    assert {answer["server"] for answer in answers} == {"192.0.2.66"}


def test_a_firewall_is_suspected(lab, config):
    lab.dhcp()
    lab.netbootd(config)
    lab.run("boot", "nft", "add table ip t")
    lab.run("boot", "nft", "add chain ip t i { type filter hook input priority 0 ; }")
    lab.run("boot", "nft", "add rule ip t i udp dport 67 drop")
    status, remarks, _ = doctor(lab)
    assert (status, remarks["daemon-silent"]) == (1, "wrong")


def test_a_bridge_with_spanning_tree_is_told(lab):
    lab.dhcp()
    lab.ip("boot", "link add br0 type bridge stp_state 1 forward_delay 1500")
    lab.ip("boot", "link set br0 up")
    lab.ip("boot", "link set eth0 master br0")
    _, remarks, _ = doctor(lab)
    assert remarks["bridge-port"] == remarks["port-waiting"] == "wrong"
    assert remarks["spanning-tree"] == "note"


def test_without_the_right_it_says_so(lab):
    argv = lab.inside(
        "boot", "setpriv", "--bounding-set=-all", "--", str(NETBOOTD), "doctor", "eth0"
    )
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr
    assert "CAP_NET_RAW" in done.stderr
