"""
Logs in one place, with the senders that nodes have: util-linux' logger, BusyBox, rsyslog; and what
somebody sends who means no good.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from netbootd.logbook.reader import Tape
from tests.end_to_end.lab import BOOT_SERVER, Lab, write_config
from tests.end_to_end.process import LabError

pytestmark = pytest.mark.wire

NODE, ADDRESS = "00:25:90:27:db:b4", "192.0.2.7"
#: Runs in a namespace of the lab: a socket to the boot server, and what is sent over it.
SENDER = f"""
import socket, sys, time
tcp = lambda port=514: socket.create_connection(("{BOOT_SERVER}", port), 5)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("{BOOT_SERVER}", 514))
"""


@pytest.fixture
def lab():
    with Lab() as lab:
        lab.plug("node", ADDRESS)
        yield lab


@pytest.fixture
def config(tmp_path: Path) -> dict:
    return {
        "targets": {"localboot": {"disk": {}}},
        "machines": {NODE: {"type": "localboot", "name": "disk", "ip": ADDRESS, "hostname": "n7"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
        },
    }


def send(lab: Lab, program: str, place: str = "node") -> str:
    return lab.run(place, "python3", "-c", SENDER + program)


def lines(config: dict) -> list[dict]:
    """All that is in the log."""
    tape = Tape(Path(config["netbootd"]["state"]) / "logs")
    found = [json.loads(line) for _, line in tape.read(1_000_000, 1 << 30)]
    tape.close()
    return found


def documents(config: dict) -> list[dict]:
    """What nodes sent."""
    return [one for one in lines(config) if one["event"]["dataset"] != "netbootd.boot"]


def arrived(config: dict, count: int, timeout: float = 20.0) -> list[dict]:
    deadline = time.monotonic() + timeout
    while len(found := documents(config)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def counts(lab: Lab) -> dict:
    told = lab.run("lan", "curl", "-sS", "-m", "20", f"http://{BOOT_SERVER}:3000/status")
    return json.loads(told)["logs"]


def eventually(true, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "options",
    [
        ["--udp", "--rfc3164"],
        ["--udp", "--rfc5424"],
        ["--tcp", "--rfc3164"],
        ["--tcp", "--rfc5424"],
        ["--tcp", "--octet-count"],
        ["--tcp", "--octet-count", "--rfc3164"],
    ],
    ids=" ".join,
)
def test_logger_is_understood_in_every_form(lab, config, options):
    lab.netbootd(config)
    for text in ("first", "second"):
        lab.run(
            *("node", "logger", "-n", BOOT_SERVER, "-P", "514", *options),
            *("-t", "tag", "-p", "daemon.warning", text),
        )
    one, other = arrived(config, 2)
    assert (one["message"], other["message"]) == ("first", "second")
    assert one["log"]["syslog"]["facility"]["name"] == "daemon"
    assert one["log"]["level"] == "warning"
    assert one["log"]["syslog"]["appname"] == "tag"
    assert one["log"]["syslog"]["hostname"] == os.uname().nodename
    assert one["host"] == {
        "name": "n7",
        "hostname": "n7",
        "mac": [NODE.replace(":", "-").upper()],
        "ip": [ADDRESS],
    }
    assert one["netbootd"]["mapped_by"] == "ip"
    assert "tags" not in one


def test_busybox_has_no_host_name(lab, config, tmp_path):
    lab.netbootd(config)
    # Its syslogd always has /dev/log: one of its own, in a mount namespace of its own.
    script = (
        "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && "
        f"busybox syslogd -n -R {BOOT_SERVER}:514 & "
        "while ! [ -S /dev/log ]; do sleep 0.1; done; "
        "busybox logger -t app -p daemon.warn 'hello from busybox'; sleep 1; kill $!"
    )
    lab.run("node", "unshare", "--mount", "sh", "-c", script)
    said = next(one for one in arrived(config, 1) if one["message"] == "hello from busybox")
    assert "hostname" not in said["log"]["syslog"]
    assert said["log"]["syslog"]["appname"] == "app"
    assert said["host"]["name"] == "n7"


@pytest.mark.parametrize(
    "action",
    [
        f"@{BOOT_SERVER}",
        f"@@{BOOT_SERVER}",
        f"@@(o){BOOT_SERVER};RSYSLOG_SyslogProtocol23Format",
        f"@@{BOOT_SERVER};RSYSLOG_ForwardFormat",
    ],
    ids=["udp", "tcp", "counted", "forward"],
)
def test_rsyslog_forwards(lab, config, tmp_path, action):
    lab.netbootd(config)
    file = tmp_path / "rsyslog.conf"
    file.write_text(
        f'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{tmp_path}/log")\n'
        f"*.* {action}\n"
    )
    lab.spawn("node", "rsyslogd", "-n", "-f", str(file), "-i", str(tmp_path / "pid"))
    eventually((tmp_path / "log").exists)
    lab.run("node", "logger", "-u", str(tmp_path / "log"), "-t", "installer", "--id=77", "hello")

    def hello() -> list[dict]:
        # In the form of RFC 5424 rsyslog keeps the blank that stood behind the tag's colon.
        return [one for one in documents(config) if one["message"].strip() == "hello"]

    eventually(hello)
    (said,) = hello()
    assert said["process"] == {"name": "installer", "pid": 77}
    assert said["netbootd"]["machine"] == NODE
    assert "tags" not in said


def test_netconsole_is_put_together(lab, config):
    lab.netbootd(config)
    send(
        lab,
        "udp.connect((udp.getpeername()[0], 6666))\n"
        "udp.send(b'[    1.0] Linux ver')\n"
        "udp.send(b'sion 6.1\\n')\n"
        "udp.send(b'0,2,3,-,ncfrag=6/19;panic - not so\\n'[:26])\n"
        "udp.send(b'6.1.0,0,9,3,-,ncfrag=7/26; panic - not syncing')\n"
        "udp.send(b'6.1.0,0,9,3,-,ncfrag=0/26;Kernel ')\n",
    )
    found = arrived(config, 3)
    texts = [one["message"] for one in found]
    assert "[    1.0] Linux version 6.1" in texts
    assert {one["event"]["dataset"] for one in found} == {"netbootd.netconsole"}
    assert any("tags" in one and "incomplete" in one["tags"] for one in found)


def test_a_stranger_is_kept_by_his_address_and_listed(lab, config):
    lab.netbootd(config)
    send(lab, "udp.send(b'<13>tag: who am I')", place="lan")
    (said,) = arrived(config, 1)
    assert said["source"]["ip"] == "192.0.2.1"
    assert "host" not in said
    assert counts(lab)["unknown_senders"] == {"192.0.2.1": 1}


def test_only_the_networks_that_may_send_are_heard(lab, config):
    config["netbootd"]["syslog"] = {"senders": [f"{ADDRESS}/32"]}
    lab.netbootd(config)
    send(lab, "udp.send(b'<13>tag: no')", place="lan")
    with contextlib.suppress(LabError):  # it is reset at once
        send(lab, "c = tcp(); c.send(b'<13>tag: no\\n'); time.sleep(0.3)", place="lan")
    send(lab, "udp.send(b'<13>tag: yes')")
    assert [one["message"] for one in arrived(config, 1)] == ["yes"]
    assert counts(lab)["lost_refused"] == 2


def test_what_is_no_text_and_what_is_too_long_becomes_valid_json(lab, config):
    lab.netbootd(config)
    send(
        lab,
        "import random\n"
        "chance = random.Random(4)\n"
        "for size in (0, 1, 10, 1000, 60000, 65507):\n"
        "    udp.send(chance.randbytes(size)); time.sleep(0.01)\n"
        "udp.send(b'<13>tag: \\x1b]0;title\\x07\\x1b[31mred\\n')\n"
        "c = tcp()\n"
        "c.sendall(b'<13>tag: ' + b'x' * 100_000 + b'\\n<13>tag: behind\\n')\n"
        "c.sendall(chance.randbytes(300_000) + b'\\n')\n"
        "c.close()\n"
        "c = tcp(); c.sendall(b'300000 <13>tag: never'); c.close()\n"
        "c = tcp(); c.sendall(b'<13>tag: no end'); c.close()\n",
    )
    eventually(lambda: any(one["message"] == "no end" for one in documents(config)))
    found = documents(config)
    texts = [one["message"] for one in found]
    assert "behind" in texts
    assert "\x1b]0;title\x07\x1b[31mred" in texts
    long = next(one for one in found if one["message"].startswith("xxxx"))
    assert (len(long["message"]), long["tags"]) == ((1 << 16) - 9, ["truncated"])
    assert any("300000 bytes" in text for text in texts)


def test_a_flood_is_told_and_others_are_heard(lab, config):
    config["netbootd"]["syslog"] = {"rate": 50}
    daemon = lab.netbootd(config)
    send(lab, "for n in range(3000): udp.send(b'<13>tag: %d' % n)")
    send(lab, "udp.send(b'<13>tag: still here')", place="lan")
    daemon.wait_for(r"floods the log: of more than 50", 10)
    eventually(lambda: any(one["message"] == "still here" for one in documents(config)))
    daemon.wait_for(r"floods the log no more: \d+ lines were dropped", 20)
    told = counts(lab)
    assert told["lost_flood"] + told["stored"] + told["lost_kernel"] >= 3000
    assert 250 <= len(documents(config)) < 1000


def test_ten_thousand_connections_leave_room_for_the_rest(lab, config):
    lab.netbootd(config)
    told = send(
        lab,
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))\n"
        "kept = []\n"
        "for n in range(10_000):\n"
        "    c = tcp(); c.send(b'<13>slow'); kept.append(c)\n"
        "print('all')\n"
        "c = tcp(); c.sendall(b'<13>tag: last of all\\n'); time.sleep(0.5)\n",
    )
    assert "all" in told
    eventually(lambda: any(one["message"] == "last of all" for one in documents(config)))
    told = counts(lab)
    assert told["connections"] <= 16
    assert told["connections_refused"] >= 9_900


def test_ports_follow_the_configuration(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    assert f"UDP and TCP 514 on {BOOT_SERVER}" in daemon.text
    assert f"UDP 6666 on {BOOT_SERVER}" in daemon.text
    config["netbootd"]["syslog"] = {"port": 5514, "netconsole": 0}
    write_config(lab.folder / "netbootd.json", config)
    daemon.reload()
    daemon.wait_for(f"not listening  netconsole +UDP 6666 on {BOOT_SERVER}", 10)
    send(lab, "udp.connect((udp.getpeername()[0], 5514)); udp.send(b'<13>tag: there')")
    assert [one["message"] for one in arrived(config, 1)] == ["there"]
    config["netbootd"]["syslog"] = False
    write_config(lab.folder / "netbootd.json", config)
    daemon.reload()
    daemon.wait_for(f"not listening  syslog +UDP and TCP 5514 on {BOOT_SERVER}", 10)


def test_a_port_that_is_taken_is_told_and_had_when_it_is_free(lab, config):
    other = lab.spawn("boot", "python3", "-c", _taker(514))
    other.wait_for("taken", 10)
    daemon = lab.netbootd(config)
    assert "UDP port 514" in daemon.text
    assert '"syslog.port"' in daemon.text
    send(lab, "c = tcp(); c.sendall(b'<13>tag: by TCP\\n'); c.close()")
    arrived(config, 1)
    other.close()
    daemon.wait_for(f"listening      syslog +UDP and TCP 514 on {BOOT_SERVER}", 20)


def _taker(port: int) -> str:
    return (
        "import socket, time\n"
        "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"udp.bind(('{BOOT_SERVER}', {port}))\n"
        "print('taken', flush=True); time.sleep(600)\n"
    )


def test_what_was_received_is_written_when_the_daemon_ends(lab, config):
    daemon = lab.netbootd(config)
    send(lab, "c = tcp()\nfor n in range(3000): c.sendall(b'<13>tag: %d\\n' % n)\ntime.sleep(0.5)")
    daemon.send(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert [one["message"] for one in documents(config)] == [str(n) for n in range(3000)]


def test_datagrams_that_came_before_the_end_are_not_thrown_away(lab, config):
    """They wait in the kernel, for the daemon stands still while they come."""
    daemon = lab.netbootd(config)
    daemon.send(signal.SIGSTOP)
    send(lab, "for n in range(2000): udp.send(b'<13>tag: %d' % n)")
    daemon.send(signal.SIGTERM)
    daemon.send(signal.SIGCONT)
    assert daemon.wait(20) == 0
    assert [one["message"] for one in documents(config)] == [str(n) for n in range(2000)]


def test_a_full_disk_loses_lines_and_no_boot_and_recovers(lab, config, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    ballast = folder / "ballast"
    config["netbootd"]["logs"] = {"folder": str(folder)}
    daemon = lab.netbootd(config)
    try:
        with contextlib.suppress(OSError):
            ballast.write_bytes(b"x" * (1 << 21))
        send(lab, "for n in range(50): udp.send(b'<10>tag: %d' % n)")
        daemon.wait_for("what nodes log is not written", 20)
        assert json.loads(lab.run("lan", "curl", "-sS", f"http://{BOOT_SERVER}:3000/status"))[
            "troubles"
        ]
        script = lab.run("lan", "curl", "-sS", f"http://{BOOT_SERVER}:3000/{NODE}")
        assert "#!ipxe" in script
        assert daemon.text.count("what nodes log is not written") == 1
        ballast.unlink()
        daemon.wait_for("is written again", 20)
        found = [json.loads(text) for file in folder.glob("*.jsonl") for text in file.open()]
        assert [one["message"] for one in found if one["log"]["level"] == "critical"] == [
            str(n) for n in range(50)
        ]
    finally:
        daemon.close()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_netbootd_saw_stands_among_the_lines_of_the_machine(lab, config):
    lab.netbootd(config)
    lab.run("node", "curl", "-sS", f"http://{BOOT_SERVER}:3000/{NODE}")

    def own() -> list[dict]:
        return [one for one in lines(config) if one["event"]["dataset"] == "netbootd.boot"]

    eventually(own)
    said = own()[0]
    assert said["event"]["action"] == "scripted"
    assert said["message"].startswith("got its boot script")
    assert said["host"]["name"] == "n7"


@pytest.mark.e2e
@pytest.mark.slow
def test_every_one_of_a_hundred_thousand_messages_is_kept_or_counted(lab, config):
    config["netbootd"]["syslog"] = {"rate": 1_000_000}
    lab.netbootd(config)
    send(
        lab,
        "begin = time.monotonic()\n"
        "for n in range(100_000):\n"
        "    if n % 10 == 0: time.sleep(max(0, begin + n / 5000 - time.monotonic()))\n"
        "    udp.send(b'<30>Nov 21 18:40:24 node3 systemd[1]: Started Session %d of root' % n)\n",
    )
    send(
        lab,
        "c = tcp()\n"
        "for n in range(100):\n"
        "    c.sendall(b'<30>Nov 21 18:40:24 node3 systemd[1]: Stopped.\\n' * 1000)\n"
        "c.close()\n",
    )

    def all_there() -> bool:
        told = counts(lab)
        assert told["lost_full"] == 0
        return told["stored"] + told["lost_kernel"] >= 200_000

    eventually(all_there, 120)
    assert counts(lab)["received_tcp"] == 100_000
