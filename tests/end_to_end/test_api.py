"""The API on the wire: curl over the Unix socket and from the network, against the running daemon."""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import LabError
from tests.end_to_end.tokens import new_token

pytestmark = pytest.mark.wire

LISTED, NEW = "00:25:90:27:db:b4", "00:25:90:27:db:c0"
BASE = f"http://{BOOT_SERVER}:3000/api/v1"


class Server:
    """The daemon in its namespace; ``local`` asks it by its socket, ``curl`` from the network."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder, self.state = lab, folder, folder / "state"
        (folder / "files").mkdir()
        self.config = {
            "targets": {"localboot": {"disk": {}}},
            "machines": {
                LISTED: {"type": "localboot", "name": "disk", "hostname": "n1", "ip": LAN_SERVER}
            },
            "netbootd": {
                "interfaces": ["eth0"],
                "files": str(folder / "files"),
                "state": str(self.state),
                "admin_networks": "192.0.2.0/24",
            },
        }
        self.daemon = lab.netbootd(self.config)
        self.token = new_token(self.state)

    def local(self, path: str, *options: str) -> tuple[int, dict[str, object]]:
        socket_file = str(self.state / "api.sock")
        return self._curl("boot", f"http://x/api/v1{path}", "--unix-socket", socket_file, *options)

    def curl(self, path: str, *options: str) -> tuple[int, dict[str, object]]:
        return self._curl("lan", BASE + path, *options)

    def authorised(self, path: str, *options: str) -> tuple[int, dict[str, object]]:
        return self.curl(path, "-H", f"Authorization: Bearer {self.token}", *options)

    def _curl(self, place: str, url: str, *options: str) -> tuple[int, dict[str, object]]:
        told = self.lab.run(place, "curl", "-sS", "-m", "60", "-w", "\n%{http_code}", *options, url)
        body, _, status = told.rpartition("\n")
        return int(status), json.loads(body) if body.strip() else {}


def as_json(value: object, method: str = "POST") -> tuple[str, ...]:
    return ("-X", method, "-H", "Content-Type: application/json", "-d", json.dumps(value))


@pytest.fixture
def server(tmp_path):
    with Lab() as lab:
        yield Server(lab, tmp_path)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)
    return found


def test_a_machine_that_was_added_is_answered_at_once(server):
    simulate = [str(NETBOOTD), "simulate", "--interface", "eth0", "--firmware", "bios", NEW]
    with pytest.raises(LabError):
        server.lab.run("lan", *simulate)
    said = {"mac": NEW, "target": "localboot/disk", "hostname": "n2"}
    status, told = server.local("/machines", *as_json(said))
    assert (status, told["key"]) == (201, NEW)
    assert "undionly.kpxe" in server.lab.run("lan", *simulate)
    status, told = server.authorised("/machines/n2/boots")
    assert status == 200
    assert told["boots"][0]["key"] == NEW
    # The daemon's own writing is no reason to read everything a second time.
    time.sleep(1.5)
    assert server.daemon.text.count("configuration reloaded") == 1


def test_who_may_ask_from_the_network(server):
    assert server.curl("/machines")[0] == 401
    assert server.authorised("/machines")[0] == 200
    jar = str(server.folder / "jar")
    assert server.authorised("/session", "-X", "POST", "-c", jar)[0] == 204
    assert server.curl("/machines", "-b", jar)[0] == 200
    assert server.curl("/reload", "-b", jar, "-X", "POST", "-d", "x=1")[0] == 403
    assert (
        server.curl("/reload", "-b", jar, "-X", "POST", "-H", "X-Requested-With: netbootd")[0]
        == 200
    )
    bad = ("-H", "Authorization: Bearer guess")
    assert [server.curl("/status", *bad)[0] for _ in range(11)] == [401] * 11
    assert server.authorised("/status")[0] == 200
    assert server.local("/status")[0] == 200


def test_the_socket_survives_a_kill(server):
    """For whom it is: test_new_user.py."""
    file = server.state / "api.sock"
    server.daemon.send(signal.SIGKILL)
    server.daemon.close()
    assert file.is_socket()
    server.daemon = server.lab.netbootd(server.config)
    assert server.local("/machines")[0] == 200
    server.daemon.close()
    assert not file.exists()


def test_a_file_in_the_place_of_the_socket_is_told_and_the_rest_is_served(server):
    server.daemon.close()
    (server.state / "api.sock").write_text("precious")
    server.daemon = server.lab.netbootd(server.config)
    status, told = server.authorised("/status")
    assert status == 200
    assert any("is no socket" in trouble for trouble in told["troubles"])
    assert (server.state / "api.sock").read_text() == "precious"


def as_user(server, uid, gid, *groups):
    """The status of the API over the socket for a user of these groups; 0 where he gets none."""
    there = ("--reuid", str(uid), "--regid", str(gid))
    more = ("--groups", ",".join(map(str, groups))) if groups else ("--clear-groups",)
    asking = f"curl -sS -o /dev/null -w %{{http_code}} --unix-socket {server.config['netbootd']['api_socket']}"
    done = subprocess.run(
        ["setpriv", *there, *more, *asking.split(), "http://x/api/v1/tokens"],
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.fixture
def folder():
    """One that everybody can enter, as pytest's are not: each run of it closes them anew."""
    with tempfile.TemporaryDirectory(prefix="nb-api-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_another_group_may_have_the_socket_and_its_members_alone_get_in(server, folder):
    settings = server.config["netbootd"]
    settings |= {"api_socket": str(folder / "api.sock"), "api_group": "games"}
    games = grp.getgrnam("games").gr_gid
    write_config(server.lab.folder / "netbootd.json", server.config)
    server.daemon.close()  # which groups it is in is settled when root is given up
    server.daemon = server.lab.netbootd(server.config)
    status = (folder / "api.sock").stat()
    assert (status.st_gid, status.st_mode & 0o777) == (games, 0o660)
    assert as_user(server, 65533, 65533) == 0
    assert as_user(server, 65533, games) == 200
    assert as_user(server, 65533, 65533, games) == 200
    assert as_user(server, 1, 1, 0) == 0
    folder.chmod(0o750)
    said = len(server.daemon.text)
    server.daemon.reload()
    server.daemon.wait_for('group "games" has it, but cannot get into its folder', 10, after=said)
    assert as_user(server, 65533, games) == 0
    folder.chmod(0o751)
    said = len(server.daemon.text)
    settings["api_group"] = "audio"
    write_config(server.lab.folder / "netbootd.json", server.config)
    server.daemon.reload()
    server.daemon.wait_for('the group "audio": .* so a restart will do', 10, after=said)
    said = len(server.daemon.text)
    settings["api_group"] = "no-such-group"
    write_config(server.lab.folder / "netbootd.json", server.config)
    server.daemon.reload()
    server.daemon.wait_for('there is no group "no-such-group"', 10, after=said)


def audited(server):
    """The documents of the audit among those of the nodes' logs, which are sent on."""
    lines = [
        line
        for file in (server.state / "logs").glob("netbootd-*.jsonl")
        for line in file.read_text().splitlines()
    ]
    return "\n".join(line for line in lines if '"dataset":"netbootd.audit"' in line)


def test_nothing_is_changed_from_where_machines_boot(server):
    settings = server.config["netbootd"]
    del settings["admin_networks"]
    write_config(server.lab.folder / "netbootd.json", server.config)
    server.daemon.reload()
    said = len(server.daemon.text)
    status, told = server.authorised("/reload", "-X", "POST")
    assert (status, told["error"]["code"]) == (403, "boot-network")
    line = f'"admin_networks" : ["{LAN_SERVER}"]'
    assert f"{LAN_SERVER} is on the network of eth0" in told["error"]["message"]
    assert told["error"]["message"].endswith(line)
    assert server.authorised("/machines")[0] == 200
    server.daemon.wait_for(f"audit: API token tests from {LAN_SERVER}: POST reload: refused", 10)
    until(lambda: f'"user":{{"name":"API token tests from {LAN_SERVER}"}}' in audited(server))
    bearer = ("-H", f"Authorization: Bearer {server.token}", "-X", "POST")
    # A second network on the same cable, which is known by its route alone.
    server.lab.ip("lan", "address add 198.51.100.1/24 dev eth0")
    server.lab.ip("boot", "route add 198.51.100.0/24 dev eth0")
    url = f"http://{BOOT_SERVER}:3000/api/v1/reload"
    beside = server._curl("lan", url, *bearer, "--interface", "198.51.100.1")
    server.lab.ip("boot", "route del 198.51.100.0/24")
    server.lab.ip("lan", "address del 198.51.100.1/24 dev eth0")
    assert (beside[0], beside[1]["error"]["code"]) == (403, "boot-network")
    assert "198.51.100.1 is on the network of eth0" in beside[1]["error"]["message"]
    for own in (BOOT_SERVER, "127.0.0.1"):
        assert server._curl("boot", f"http://{own}:3000/api/v1/reload", *bearer)[0] == 200
    assert "configuration reloaded" in server.daemon.text[said:]


def test_somebody_without_rights_cannot_open_the_socket(server):
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("needs setpriv, and root")
    for folder in (server.state, server.folder, *server.folder.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    asking = f"curl -sS --unix-socket {server.state}/api.sock http://x/api/v1/machines"
    told = subprocess.run(
        [setpriv, "--reuid=65533", "--regid=65533", "--clear-groups", *asking.split()],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 7, told
    assert told.stdout == ""


def test_a_hand_edit_after_ours_is_still_seen(server):
    said = {"mac": NEW, "target": "localboot/disk", "hostname": "n2"}
    server.local("/machines", *as_json(said))
    _, told = server.local("/machines/n2")
    file = Path(told["file"])
    file.write_text(file.read_text().replace('"n2"', '"n3"'))
    until(lambda: server.local("/machines/n3")[0] == 200)


def test_many_writers_at_once_lose_nothing(server):
    macs = [f"00:25:90:00:00:{n:02x}" for n in range(12)]
    body = '{"mac": "$0", "target": "localboot/disk"}'
    writers = [
        subprocess.Popen(
            server.lab.inside(
                "boot",
                *("curl", "-sS", "-m", "60", "-o", "/dev/null", "-w", "%{http_code}"),
                *("--unix-socket", str(server.state / "api.sock")),
                *("-H", "Content-Type: application/json", "-d", body.replace("$0", mac)),
                "http://x/api/v1/machines",
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        for mac in macs
    ]
    assert [one.communicate(timeout=60)[0] for one in writers] == ["201"] * len(macs)
    _, told = server.local("/machines")
    assert {one["key"] for one in told["machines"]} == {LISTED, *macs}


FLOOD = """
import socket, sys, time
line = b"<13>kernel: " + b"x" * 900
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
    for number in range(1500):
        sending.sendto(line, (sys.argv[1], 514))
        time.sleep(0.001)
"""


def test_a_browser_that_never_reads_is_cut_off_and_others_go_on(server):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(str(server.state / "api.sock"))
        deaf.sendall(b"GET /api/v1/events?machine=n1 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: deaf.recv(1, socket.MSG_PEEK))
        server.lab.run("lan", sys.executable, "-c", FLOOD, BOOT_SERVER)
        server.daemon.wait_for("a listener to events does not read; cut off", 20)
        assert server.local("/machines/n1")[0] == 200
        status, told = server.local("/machines/n1/logs?limit=5")
        assert status == 200
        assert len(told["lines"]) == 5
