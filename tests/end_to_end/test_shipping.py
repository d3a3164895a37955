"""
The whole way of a node's line: by syslog to the daemon, into its files, out to Elasticsearch and
Logstash, with the daemon killed and the destinations away in between.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from netbootd.logbook import files
from tests.dhcp.namespaces import Namespace
from tests.end_to_end.lab import NETBOOTD
from tests.end_to_end.process import Daemon
from tests.shipping.elastic import Elastic
from tests.shipping.test_logstash import TcpInput
from tests.shipping.writing import until

pytestmark = pytest.mark.wire

HERE = "192.0.2.1"


class Site:
    """A namespace with the daemon and what it ships to."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.space = Namespace()
        stack.callback(self.space.remove)
        self.space.run("link", "add", "eth0", "type", "veth", "peer", "name", "port")
        self.space.run("link", "set", "port", "up")
        self.space.run("link", "set", "eth0", "up")
        self.space.run("address", "add", f"{HERE}/24", "dev", "eth0")
        self.folder = folder
        self._stack = stack
        self.elastic = Elastic(authorization="ApiKey a2V5")
        with self.space.entered():
            self.elastic.start()  # the port is ours from now on
            self.logstash = TcpInput()
        self.elastic.stop()
        stack.callback(self.elastic.stop)
        stack.callback(self.logstash.close)

    def start_elastic(self) -> None:
        with self.space.entered():
            self.elastic.start()

    def daemon(self) -> Daemon:
        (self.folder / "key").write_text("ApiKey a2V5\n")
        config = {
            "targets": {"localboot": {"disk": {}}},
            "machines": {"default": {"type": "localboot", "name": "disk"}},
            "netbootd": {
                "interfaces": ["eth0"],
                "files": str(self.folder),
                "state": str(self.folder / "state"),
                "ship": {
                    "elasticsearch": self.elastic.url,
                    "logstash": self.logstash.where,
                    "credentials": "key",
                },
            },
        }
        (self.folder / "c.json").write_text(json.dumps(config))
        command = self.space.command(str(NETBOOTD), "run", "--config", str(self.folder / "c.json"))
        daemon = Daemon(command)
        self._stack.callback(daemon.close)
        daemon.wait_for("ready", 30)
        return daemon

    def say(self, texts: list[str]) -> None:
        """As a node: by syslog over TCP, so that none is lost before it is ours."""
        with self.space.entered():
            connection = socket.create_connection((HERE, 514), 5)
        with connection:
            connection.sendall("".join(f"<13>node app: {text}\n" for text in texts).encode())
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            connection.recv(1)

    def stored(self) -> list[str]:
        """What the daemon has on disk, of what nodes said."""
        folder = self.folder / "state" / "logs"
        found = []
        for identity in files.identities(folder):
            with files.opened(folder, identity) as file:
                documents = [json.loads(line) for line in file if line.endswith(b"\n")]
            found += [one["message"] for one in documents if "syslog" in one["event"]["dataset"]]
        return found

    def get(self, path: str) -> str:
        command = self.space.command("curl", "-sS", "-m", "10", f"http://{HERE}:3000{path}")
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def metric(self, name: str) -> float:
        (line,) = [one for one in self.get("/metrics").splitlines() if one.startswith(name + " ")]
        return float(line.rpartition(" ")[2])


@pytest.fixture
def site(tmp_path):
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_a_killed_daemon_and_a_cluster_that_was_away_cost_nothing(site):
    waiting = 'netbootd_spool_lines{destination="elasticsearch"}'
    first = site.daemon()
    before = [f"before {number}" for number in range(300)]
    site.say(before)
    until(lambda: site.stored() == before)
    until(lambda: site.metric(waiting) >= 300)
    until(lambda: "the log is not sent to Elasticsearch" in site.get("/healthz"))
    until(lambda: set(before) <= set(site.logstash.lines))

    site.start_elastic()
    until(lambda: set(before) <= set(site.elastic.texts))
    between = [f"between {number}" for number in range(2500)]
    site.say(between)
    until(lambda: len(site.elastic.texts) > 1500)  # in the middle of it
    first.send(signal.SIGKILL)
    first.wait(10)
    site.elastic.stop()

    second = site.daemon()
    after = [f"after {number}" for number in range(300)]
    site.say(after)
    until(lambda: site.stored()[-300:] == after)
    second.send(signal.SIGKILL)
    second.wait(10)

    third = site.daemon()
    site.start_elastic()
    kept = site.stored()
    until(lambda: set(kept) <= set(site.elastic.texts), 30)
    until(lambda: site.metric(waiting) == 0)
    ours = Counter(text for text in site.elastic.texts if text in set(kept))
    assert ours == Counter(kept), "each line once"
    assert set(kept) <= set(site.logstash.lines), "and to Logstash at least once"
    assert site.elastic.complaints == site.logstash.complaints == []
    until(lambda: site.get("/healthz") == "ok\n")
    third.send(signal.SIGTERM)
    assert third.wait(15) == 0


def test_a_daemon_that_cannot_ship_stops_within_its_time(site):
    daemon = site.daemon()
    site.logstash.reads.clear()
    site.say(["x" * 60_000] * 200)
    until(lambda: site.metric('netbootd_spool_lines{destination="elasticsearch"}') >= 200)
    until(lambda: site.logstash.connections > 0)
    daemon.send(signal.SIGTERM)
    assert daemon.wait(15) == 0
