"""
What the opener opens for a daemon without rights, both in their sandboxes: beside a DHCP server of
this host, by IPv6, for interfaces that come later and ports that come by a reload.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab
from tests.systemd.sandbox import GID, OPENER_UID, UID, available
from tests.systemd.service import Service, processes_of, until

pytestmark = [pytest.mark.wire, pytest.mark.slow]

NODE = "52:54:00:00:00:01"
RIGHTS = (1 << 10) | (1 << 13)  # CAP_NET_BIND_SERVICE, CAP_NET_RAW
LATER = "198.51.100.10"
#: A machine by the API's socket, as somebody who is in the folder of the socket already.
ADD = """
import http.client, json, socket
line = http.client.HTTPConnection("x")
line.sock = socket.socket(socket.AF_UNIX)
line.sock.connect("api.sock")
said = json.dumps({"mac": "52:54:00:00:00:09", "target": "localboot/disk"})
line.request("POST", "/api/v1/machines", said, {"Content-Type": "application/json"})
print(line.getresponse().status)
"""


def config() -> dict:
    return {
        "targets": {"nfs": {"one": {"kernel": "k", "initrd": "k"}}, "localboot": {"disk": {}}},
        "machines": {NODE: {"type": "nfs", "name": "one", "hostname": "node1"}},
        "subnets": {"fd00:2:2::/64": {}},
        "netbootd": {"interfaces": ["eth0", "eth1"], "grace": 2},
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if missing := available():
        pytest.skip(f"the sandbox needs {missing}")
    folder = tmp_path_factory.mktemp("opened")
    with Lab(folder) as lab:
        lab.dhcp(place="boot")
        made = Service(lab, folder, config())
        made.start_opener()
        made.start()
        yield made


def held_by_the_daemon(service):
    """Its sockets, by their inodes."""
    links = set()
    for one in (service.main / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.add(os.readlink(one))
    return {link.removeprefix("socket:[").removesuffix("]") for link in links}


def asked(service):
    """Its connections to the opener, by their inodes: only they keep messages apart (unix(7))."""
    lines = [line.split() for line in (service.main / "net" / "unix").read_text().splitlines()]
    kept_apart = {line[6] for line in lines if line[4] == f"{socket.SOCK_SEQPACKET:04}"}
    return held_by_the_daemon(service) & kept_apart


def asked_anew(service, before):
    """Those beside *before*, as soon as there is one."""
    until(lambda: asked(service) - before)
    return asked(service) - before


def boots(service, firmware):
    words = [str(NETBOOTD), "simulate", "--interface", "eth0", "--firmware", firmware, NODE]
    done = subprocess.run(service.lab.inside("lan", *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + service.daemon.text[-2000:]
    return done.stdout


def test_the_opener_has_two_rights_its_filters_and_nothing_to_write(service):
    [process] = processes_of(OPENER_UID)
    lines = (process / "status").read_text().splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {RIGHTS}
    assert (status["NoNewPrivs"], status["Seccomp"], status["Threads"]) == ("1", "2", "1")
    assert (process / "uid_map").read_text().split() == ["0", "0", str(2**32 - 1)]
    writable = set()
    for line in (process / "mountinfo").read_text().splitlines():
        place, options = line.split()[4:6]
        if "rw" in options.split(",") and line.partition(" - ")[2].split()[0] != "nsfs":
            writable.add(place)
    outside = {place for place in writable if not place.startswith(("/dev", "/proc", "/tmp/"))}
    assert outside == {"/tmp", "/var/tmp"}


# --- at the start ---------------------------------------------------------------------------------


def test_everything_listens(service):
    text = service.daemon.text
    assert "UDP 4011 and snooping UDP 67 on eth0" in text
    assert "DHCPv6 UDP 547 on eth0" in " ".join(text.split())
    assert f"UDP 69 on {BOOT_SERVER}" in text
    assert "netbootd-opener" not in text


def test_its_packet_sockets_were_passed_to_it(service):
    """No process here but the opener can make one: it is refused to the daemon (seccomp)."""
    table = service.lab.run("boot", "cat", "/proc/net/packet").splitlines()[1:]
    held = held_by_the_daemon(service) & {line.split()[-1] for line in table}
    assert len(held) == 4  # what is heard, what is said, what others say; replies of DHCPv6


@pytest.mark.parametrize("firmware", ["bios", "efi", "ipxe"])
def test_a_machine_boots_beside_a_dhcp_server_of_this_host(service, firmware):
    boots(service, firmware)


def test_logs_come_by_port_514(service):
    service.lab.run("lan", "logger", "--udp", "-n", BOOT_SERVER, "-P", "514", "hello by udp")
    kept = service.folders.state / "logs"
    until(lambda: any("hello by udp" in one.read_text() for one in kept.glob("*.json*")), 60)


def test_the_audit_knows_who_it_was(service):
    """Of this user the daemon's own namespace has no number."""
    somebody = UID + 1
    command = ["setpriv", f"--reuid={somebody}", f"--regid={GID}", "--clear-groups"]
    done = subprocess.run(
        [*command, "/usr/bin/python3", "-c", ADD],
        cwd=service.folders.state,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["201"], done.stdout + done.stderr
    service.daemon.wait_for(rf"\(user {somebody}\) by the socket", 20)


# --- later ----------------------------------------------------------------------------------------


def test_killed_it_is_missed_by_nobody_and_back_when_it_is_needed(service):
    [before] = processes_of(OPENER_UID)
    os.kill(int(before.name), signal.SIGKILL)
    boots(service, "efi")
    service.opener_is_ready()
    service.config["netbootd"]["http_port"] = [80, 3000]
    service.save()
    service.reload()
    service.daemon.wait_for(r"listening[^\n]*HTTP +TCP 80\b", 60)
    assert "#!ipxe" in service.curl("-A", "iPXE/1.21", f"http://{BOOT_SERVER}/boot/{NODE}")


def test_a_group_that_its_namespace_does_not_know_is_told_with_the_way(service):
    service.config["netbootd"]["api_group"] = "games"
    service.save()
    service.reload()
    service.daemon.wait_for(
        r"api\.sock: it cannot be given to the group \"games\": put SupplementaryGroups=games", 60
    )
    del service.config["netbootd"]["api_group"]


def test_an_interface_that_comes_later_is_served(service):
    """There nobody else has UDP 67."""
    service.lab.segment("other")
    service.lab.cable("boot", "eth1", LATER, segment="other")
    service.daemon.wait_for(r"UDP 67 and 4011 on eth1", 60)
    service.daemon.wait_for(rf"UDP 69 on {LATER}", 60)


def test_a_port_that_is_not_listed_waits_for_its_line(service):
    """The log says which; with it, the port is open without more ado."""
    service.config["netbootd"]["http_port"] = [80, 81, 3000]
    service.save()
    service.reload()
    service.daemon.wait_for(r"HTTP on port 81: netbootd-opener does not open tcp:81", 60)
    service.daemon.wait_for(r"Environment=PORTS=tcp:81", 60)
    service.stop_opener()
    service.start_opener("tcp:81")
    service.daemon.wait_for(r"listening[^\n]*HTTP +TCP 81\b", 60)
    assert "#!ipxe" in service.curl("-A", "iPXE/1.21", f"http://{BOOT_SERVER}:81/boot/{NODE}")


def test_it_stays_as_it_was_without_an_opener(service):
    service.stop_opener()
    before = len(service.daemon.text)
    service.config["netbootd"]["http_port"] = [80, 81, 443, 3000]
    service.save()
    service.reload()
    service.daemon.wait_for(r"HTTP on port 443: netbootd-opener does not answer", 60, after=before)
    boots(service, "efi")
    service.start_opener()
    service.daemon.wait_for(r"listening[^\n]*HTTP +TCP 443\b", 60, after=before)
    assert "Traceback" not in service.daemon.text


def test_one_that_hangs_keeps_no_request_waiting(service):
    """It is asked again and again, in a thread; what a node asks for comes meanwhile."""
    service.config["netbootd"]["http_port"] = [80, 3000]
    service.save()
    service.reload()
    [opener] = processes_of(OPENER_UID)
    before = len(service.daemon.text)
    os.kill(int(opener.name), signal.SIGSTOP)
    service.config["netbootd"]["http_port"] = [80, 443, 3000]
    service.save()
    service.reload()
    silent = r"HTTP on port 443: netbootd-opener does not answer"
    service.daemon.wait_for(silent, 60, after=before)
    seen = set()
    for _ in range(20):
        asking = asked_anew(service, seen)
        seen |= asking
        service.curl("-A", "iPXE/1.21", f"http://{BOOT_SERVER}:3000/boot/{NODE}")
        if asking & asked(service) and len(seen) > 2:  # two are the reloads'
            break
    else:
        pytest.fail("no request was answered while the opener was asked")
    assert len(re.findall(silent, service.daemon.text[before:])) == 1
    os.kill(int(opener.name), signal.SIGCONT)
    service.daemon.wait_for(r"listening[^\n]*HTTP +TCP 443\b", 60, after=before)
    assert "Traceback" not in service.daemon.text
