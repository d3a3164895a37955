"""
The real daemon in the unit's sandbox: empty environment, read-only host, no rights, the filter of
system calls.  What it serves, receives, sends on, starts and writes there is what it does anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from netbootd.dropins.reading import FOLDER as MACHINES
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, NETBOOTD, Lab
from tests.end_to_end.process import ROOT
from tests.systemd.sandbox import GID, UID, available
from tests.systemd.service import Service, until

pytestmark = [pytest.mark.wire, pytest.mark.slow]

NODE, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
BASE = f"http://{BOOT_SERVER}:3000"
RIGHTS = 0
LOGSTASH = 5044
FORBIDDEN = Path(__file__).with_name("forbidden.py")


def config() -> dict:
    """Of a site where everything is used that leaves the process."""
    return {
        "targets": {
            "nfs": {
                "one": {
                    "kernel": "k",
                    "initrd": "k",
                    "boot_args": "root=/dev/nfs done=__done__",
                }
            },
            "localboot": {"disk": {}},
        },
        "machines": {
            NODE: {
                **{"type": "nfs", "name": "one", "hostname": "node1", "ip": "192.0.2.50"},
                "overlays": ["site"],
            }
        },
        "subnets": {"192.0.2.0/24": {"dhcp": "server", "pools": ["192.0.2.101-192.0.2.150"]}},
        "netbootd": {
            "interfaces": ["eth0"],
            "dhcp": {"hosts": "/run/netbootd/hosts", "domain": "lab.example"},
            "ship": {"logstash": f"{LAN_SERVER}:{LOGSTASH}"},
            "hooks": {"up": ["/bin/sh", "-c", "cat >/var/lib/netbootd/told"]},
            "tls": {"certificate": "/etc/netbootd/tls.pem"},
            "grace": 2,
        },
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if missing := available():
        pytest.skip(f"the sandbox needs {missing}")
    folder = tmp_path_factory.mktemp("sandbox")
    with Lab(folder) as lab:
        made = Service(lab, folder, config())
        made.start_opener()
        made.start()
        yield made


def statuses(process: Path) -> list[dict[str, str]]:
    """What each thread of *process* is, as the kernel says it."""
    found = []
    for thread in (process / "task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        found.append(
            {
                name: " ".join(value.split())
                for name, _, value in (line.partition(":") for line in lines)
            }
        )
    return found


# --- who it is ------------------------------------------------------------------------------------


def test_each_thread_has_the_filters_and_no_right(service):
    seen = statuses(service.main)
    assert len(seen) > 1
    for one in seen:
        assert one["Uid"] == " ".join([str(UID)] * 4)
        assert one["Gid"] == " ".join([str(GID)] * 4)
        assert one["Groups"] == ""
        assert {int(one[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {RIGHTS}
        assert (one["NoNewPrivs"], one["Seccomp"]) == ("1", "2")
        assert int(one["Seccomp_filters"]) == 11


def test_of_the_host_s_users_it_knows_root_and_itself(service):
    for name in ("uid_map", "gid_map"):
        lines = (service.main / name).read_text().splitlines()
        assert [line.split() for line in lines] == [["0", "0", "1"], [str(UID), str(UID), "1"]]


def test_its_environment_has_the_opener_and_nothing_else(service):
    told = (service.main / "environ").read_bytes()
    assert told == b"NETBOOTD_OPENER=/run/netbootd-opener.sock\0"


def test_nothing_can_be_written_but_what_is_its_own(service):
    """By the kernel's list of what is mounted there (proc(5), mountinfo)."""
    writable = set()
    for line in (service.main / "mountinfo").read_text().splitlines():
        place, options = line.split()[4:6]
        kind = line.partition(" - ")[2].split()[0]
        if "rw" in options.split(",") and kind != "nsfs":  # the network namespaces of other tests
            writable.add(place)
    assert {place for place in writable if not place.startswith(("/dev", "/proc"))} == {
        *("/etc/netbootd/machines.d", "/var/lib/netbootd", "/run/netbootd", "/tmp", "/var/tmp"),
    }


def test_what_a_broken_in_daemon_would_do_is_refused(service):
    """The sandbox itself, and not what the daemon leaves alone."""
    python = str(ROOT / ".venv" / "bin" / "python")
    command = service.folders.command(python, str(FORBIDDEN))
    told = subprocess.run(service.lab.inside("boot", *command), capture_output=True, text=True)
    outcomes = json.loads(told.stdout)
    refused = {"EPERM", "EACCES", "EROFS", "ENOENT", "EAFNOSUPPORT", "ENOSYS"}
    assert {name: how for name, how in outcomes.items() if how not in refused} == {}
    assert outcomes["a Bluetooth socket"] == outcomes["a packet socket"] == "EAFNOSUPPORT"
    assert outcomes["port 22 by the opener"] == "EACCES"
    assert outcomes["to write a program"] == "EROFS"


# --- what it does ---------------------------------------------------------------------------------


@pytest.mark.parametrize("firmware", ["efi", "bios", "ipxe"])
def test_a_machine_boots(service, firmware):
    """DHCP with an address, TFTP, the boot script and the kernel."""
    words = [str(NETBOOTD), "simulate", "--interface", "eth0", "--firmware", firmware, NODE]
    done = subprocess.run(service.lab.inside("lan", *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + service.daemon.text[-2000:]
    assert "192.0.2.50" in done.stdout


def test_a_large_file_arrives_whole_by_both_protocols(service, tmp_path):
    """sendfile and its thread; windows of datagrams, sent and received together."""
    wanted = hashlib.sha256((service.folders.srv / "big").read_bytes()).hexdigest()
    for name, url in (("http", f"{BASE}/big"), ("tftp", f"tftp://{BOOT_SERVER}/big")):
        got = tmp_path / name
        service.curl("-o", str(got), "--tftp-blksize", "1468", url)
        assert hashlib.sha256(got.read_bytes()).hexdigest() == wanted, name


def test_https_needs_no_memory_that_is_written_and_executed(service, tmp_path):
    """Its libraries call back from C."""
    got = tmp_path / "got"
    trusted = ("--cacert", str(service.authority))
    service.curl(*trusted, "-o", str(got), f"https://{BOOT_SERVER}/big")
    assert got.read_bytes() == (service.folders.srv / "big").read_bytes()
    assert "#!ipxe" in service.curl(*trusted, f"https://{BOOT_SERVER}/boot/{NODE}")


def test_an_overlay_is_built(service):
    found = service.curl("-i", f"{BASE}/overlay/{NODE}.cpio")
    assert "200" in found.splitlines()[0], found[:300]


def test_a_node_that_is_up_is_told_to_a_program(service):
    script = service.curl("-A", "iPXE/1.21", f"{BASE}/boot/{NODE}")
    done = script.split("done=", 1)[1].split()[0]
    service.curl("--data-binary", "all is well", done)
    told = service.folders.state / "told"
    until(lambda: told.exists() and told.read_text().endswith("}"))
    assert json.loads(told.read_text())["machine"]["hostname"] == "node1"


def test_logs_are_taken_kept_and_sent_on(service):
    """By UDP and TCP; kept in the state folder; sent to a Logstash on the network."""
    code = (
        "import socket; s = socket.create_server(('', %d)); s.settimeout(60)\n"
        "while c := s.accept()[0]:\n"
        "    while piece := c.recv(65536): print(piece.decode(), flush=True)" % LOGSTASH
    )
    logstash = service.lab.spawn("lan", "python3", "-c", code)
    for way in ("--udp", "--tcp"):
        service.lab.run("lan", "logger", way, "-n", BOOT_SERVER, "-P", "514", f"hello by {way[2:]}")
    kept = service.folders.state / "logs"
    until(lambda: all(f"hello by {way}" in _texts(kept) for way in ("udp", "tcp")))
    logstash.wait_for("hello by udp", 60)


def _texts(folder: Path) -> str:
    return "".join(one.read_text(errors="replace") for one in folder.glob("*.json*"))


def test_the_socket_takes_a_machine_which_becomes_a_file(service):
    said = json.dumps({"mac": OTHER, "target": "localboot/disk", "hostname": "n2"})
    service.local("/machines", "-X", "POST", "-H", "Content-Type: application/json", "-d", said)
    file = service.folders.etc / MACHINES / Path(service.local("/machines/n2")["file"]).name
    assert '"n2"' in file.read_text()
    assert file.stat().st_uid == UID
    assert service.local("/machines/n2")["target"] == "localboot/disk"


def test_a_file_of_roots_is_changed_all_the_same(service):
    """An import by root leaves such files; the folder is the group's."""
    file = service.folders.etc / MACHINES / "rack.json"
    entry = {"type": "localboot", "name": "disk", "hostname": "n3"}
    file.write_text(json.dumps({"machines": {"52:54:00:00:00:03": entry}}))
    until(lambda: service.local("/machines/n3").get("target") == "localboot/disk")


def test_names_of_leases_are_written_for_others(service):
    busybox = ("busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "9", "-s", "/bin/true")
    service.lab.run("lan", *busybox, "-x", "hostname:laptop")
    hosts = service.folders.run / "hosts"
    until(lambda: hosts.exists() and "laptop.lab.example" in hosts.read_text())


def test_a_reload_opens_another_port_below_1024(service):
    service.config["netbootd"]["http_port"] = [80, 3000]
    service.save()
    service.reload()
    assert "pxe" in service.curl(f"http://{BOOT_SERVER}/boot/{NODE}")


def test_a_large_configuration_is_read_by_another_process(service):
    many = {
        f"52:54:01:00:{number >> 8:02x}:{number & 255:02x}": {
            **{"type": "localboot", "name": "disk", "hostname": f"many{number}"},
            "remark": "x" * 100,
        }
        for number in range(8000)
    }
    (service.folders.etc / MACHINES / "many.json").write_text(json.dumps({"machines": many}))
    until(lambda: service.local("/machines/many7999").get("target") == "localboot/disk", 60)
    assert "no process can read" not in service.daemon.text
    (service.folders.etc / MACHINES / "many.json").unlink()


# --- and what it leaves ---------------------------------------------------------------------------


def test_nothing_lies_outside_its_folders_afterwards(service):
    """Last: what it has of its own for a while, such as /tmp, is as empty as at the start."""
    root = service.main / "root"
    for place in ("tmp", "var/tmp", "dev/shm"):
        assert [one.name for one in (root / place).iterdir() if not is_bound(one)] == []
    assert "Traceback" not in service.daemon.text
    assert "EPERM" not in service.daemon.text
    assert "not permitted" not in service.daemon.text


def is_bound(path: Path) -> bool:
    """Whether this is where the program itself lies, laid into the empty folder."""
    return path.name in ROOT.parts


def test_it_ends_when_it_is_told(service):
    os.kill(int(service.main.name), signal.SIGTERM)
    assert service.daemon.wait(30) == 0
    assert service.processes == []
    service.start()  # another test may come after this one
