"""
VM descriptions on the wire: curl against the running daemon, the hostile and the hasty among them.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.tokens import new_token
from tests.vms.descriptions import IMAGE, WEB

pytestmark = pytest.mark.wire

NODE, OTHER = "00:25:90:27:db:b4", "00:25:90:27:db:b5"
BASE = f"http://{BOOT_SERVER}:3000"
ODD = b'{ "b" : 512.0,"a":1e400, "big":%d,\r\n\t"b" : "\\u00e9\xc3\xa9" }\n\n' % (10**60)


class Server:
    """The daemon in its namespace, and curl in that of a node."""

    def __init__(self, lab: Lab, folder: Path, **settings: object) -> None:
        self.lab = lab
        self.folder = folder
        self.state = folder / "state"
        self.config = {
            "targets": {"localboot": {"disk": {}}},
            "machines": {
                "default": {"type": "localboot", "name": "disk"},
                NODE: {"vms": ["web01", "db"]},
                OTHER: {},
            },
            "vms": {"fixed": {"brand": "bhyve"}},
            "netbootd": {
                "interfaces": ["eth0"],
                "files": str(folder),
                "state": str(self.state),
                "admin_networks": "192.0.2.0/24",
                **settings,
            },
        }
        self.daemon = lab.netbootd(self.config)

    @functools.cached_property
    def token(self) -> str:
        return new_token(self.state)

    def curl(self, path: str, *options: str, authorised: bool = False) -> tuple[int, bytes]:
        """Status and body of one request."""
        out = self.folder / f"out-{threading.get_ident()}"
        out.write_bytes(b"")
        bearer = ("-H", f"Authorization: Bearer {self.token}") if authorised else ()
        code = self.lab.run(
            *("lan", "curl", "-sS", "-m", "60", "--path-as-is", "-o", str(out)),
            *("-w", "%{http_code}", *bearer, *options, f"{BASE}{path}"),
        )
        return int(code), out.read_bytes()

    def put(self, key: str, body: bytes, *options: str) -> tuple[int, bytes]:
        """As the README has it: ``curl -T``."""
        file = self.folder / f"in-{threading.get_ident()}"
        file.write_bytes(body)
        return self.curl(f"/vms/{key}.json", "-T", str(file), *options, authorised=True)

    def restart(self) -> None:
        self.daemon.close()
        self.daemon = self.lab.netbootd(self.config)


@pytest.fixture
def server(lab: Lab, tmp_path: Path) -> Server:
    return Server(lab, tmp_path)


@pytest.fixture
def quiet(server: Server):
    """The server, in whose log no fault may stand at the end."""
    yield server
    assert server.curl("/status")[0] == 200, "it lives"
    assert "Traceback" not in server.daemon.text


def test_what_is_put_comes_out_over_a_reload_and_a_restart(quiet):
    assert quiet.put("web01", ODD)[0] == 201
    assert quiet.curl("/vms/web01.json") == (200, ODD)
    quiet.daemon.reload()
    assert quiet.curl("/vms/web01.json") == (200, ODD)
    quiet.restart()
    assert quiet.curl("/vms/web01.json") == (200, ODD)
    assert (quiet.state / "vms" / "web01.json").read_bytes() == ODD


def test_a_node_takes_its_descriptions(quiet):
    web = json.dumps(WEB, indent=3).encode()
    assert quiet.put("web01", web)[0] == 201
    assert quiet.put("other", b"{}")[0] == 201
    status, body = quiet.curl(f"/machines/{NODE}/vms", "-f")
    assert (status, json.loads(body)) == (200, [WEB])
    assert web in body
    assert quiet.curl(f"/machines/{OTHER}/vms") == (200, b"[]\n")
    assert quiet.curl("/machines/52-54-00-12-34-56/vms")[0] == 404
    assert [row["key"] for row in json.loads(quiet.curl("/vms/")[1])] == ["fixed", "other", "web01"]


def test_the_advice_comes_with_the_answer_and_refuses_nothing(quiet):
    status, told = quiet.put("web01", json.dumps({**WEB, "brand": "vmware"}).encode())
    assert status == 201
    assert b"brand: bad brand" in told
    status, told = quiet.put("web01", b'{\n "brand": "joyent",\n}')
    assert status == 400
    assert b"web01.json:2:19: strict JSON has no comma after the last element" in told
    assert b"vmware" in quiet.curl("/vms/web01.json")[1]


def test_only_the_token_writes(quiet):
    path = "/vms/web01.json"
    assert quiet.token not in (quiet.state / "api.token").read_text()
    assert (quiet.state / "api.token").stat().st_mode & 0o777 == 0o600
    status, _ = quiet.curl(path, "-X", "PUT", "-d", "{}")
    assert status == 401
    assert quiet.curl(path, "-X", "PUT", "-d", "{}", "-H", "Authorization: Bearer x")[0] == 403
    assert quiet.curl(path)[0] == 404
    assert quiet.put("fixed", b"{}")[0] == 409
    assert quiet.put("web01", b"{}")[0] == 201
    assert quiet.curl(path, "-X", "DELETE")[0] == 401
    assert quiet.curl(path, "-X", "DELETE", authorised=True) == (204, b"")
    assert not (quiet.state / "vms" / "web01.json").exists()


def test_conditions(quiet):
    assert quiet.put("web01", b'{"n": 1}', "-H", "If-None-Match: *")[0] == 201
    assert quiet.put("web01", b'{"n": 2}', "-H", "If-None-Match: *")[0] == 412
    etag = json.loads(quiet.curl("/vms/")[1])[1]["etag"]
    assert quiet.curl("/vms/web01.json", "-H", f'If-None-Match: "{etag}"') == (304, b"")
    assert quiet.put("web01", b'{"n": 3}', "-H", f'If-Match: "{etag}"')[0] == 200
    assert quiet.put("web01", b'{"n": 4}', "-H", f'If-Match: "{etag}"')[0] == 412
    assert quiet.curl("/vms/web01.json") == (200, b'{"n": 3}')


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"a": "\xff"}', b"web01.json:1:8: byte 0xff"),
        (b"[" * 10_000, b"nested deeper than 512 levels"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"nested deeper than 512 levels"),
        (b'{"a": NaN}', b"JSON has no such number"),
        (b"", b"the file is empty"),
        (random.Random(1).randbytes(5000), b"web01.json:1:"),
    ],
    ids=["utf-8", "brackets", "braces", "nan", "empty", "noise"],
)
def test_bytes_that_are_no_description_are_refused(quiet, body, told):
    status, answer = quiet.put("web01", body)
    assert status == 400
    assert told in answer
    assert not (quiet.state / "vms").exists()


def test_keys_that_stand_twice_are_kept_and_told_of(quiet):
    status, told = quiet.put("web01", b'{"a": 1, "a": 2}')
    assert status == 201
    assert b"stands twice" in told
    assert quiet.curl("/vms/web01.json") == (200, b'{"a": 1, "a": 2}')


@pytest.mark.parametrize("size", [(1 << 20) + 1, 2 << 20])
def test_a_body_that_is_too_large_is_refused(quiet, size):
    status, told = quiet.put("web01", b'{"a": "%s"}' % (b"x" * size))
    assert status == 413
    assert b"1048576" in told
    assert quiet.curl("/vms/web01.json")[0] == 404


def test_the_largest_is_kept(quiet):
    body = b'{"a": "%s"}' % (b"x" * ((1 << 20) - 9))
    assert len(body) == 1 << 20
    assert quiet.put("web01", body)[0] == 201
    assert quiet.curl("/vms/web01.json") == (200, body)


@pytest.mark.parametrize(
    "key",
    ["../x", "%2e%2e%2fx", "..%5cx", "a%2fb", "%00", ".x", "%20", "%c3%a4", "x" * 129, "%ff", ""],
)
def test_path_tricks_lead_nowhere(quiet, key):
    assert quiet.put(key, b"{}")[0] in (400, 403, 404, 405)
    assert sorted(path.name for path in quiet.state.rglob("*.json")) in ([], ["record.json"])


def test_of_many_puts_of_one_key_one_is_kept_whole(quiet):
    bodies = [b'{"n": %d, "pad": "%s"}' % (n, b"x" * (n * 1000)) for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda b: quiet.put("web01", b), bodies)]
    assert sorted(set(statuses)) == [200, 201]
    assert statuses.count(201) == 1
    kept = quiet.curl("/vms/web01.json")[1]
    assert kept in bodies
    assert (quiet.state / "vms" / "web01.json").read_bytes() == kept
    assert os.listdir(quiet.state / "vms") == ["web01.json"]


def test_others_are_answered_while_somebody_sends_slowly(quiet):
    slow = (
        "import socket, time\n"
        f"s = socket.create_connection(('{BOOT_SERVER}', 3000))\n"
        "s.sendall(b'PUT /vms/web01.json HTTP/1.1\\r\\nContent-Length: 2\\r\\n"
        f"Authorization: Bearer {quiet.token}\\r\\n\\r\\n{{')\n"
        "print('sent', flush=True)\n"
        "import sys; sys.stdin.readline()\n"
        "s.sendall(b'}')\n"
        "print(s.recv(100).split()[1].decode())\n"
    )
    with subprocess.Popen(
        quiet.lab.inside("lan", "python3", "-c", slow),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout.readline() == "sent\n"
        assert quiet.put("db", b"{}")[0] == 201
        assert quiet.curl("/vms/web01.json")[0] == 404
        print("now", file=client.stdin, flush=True)
        assert client.stdout.readline() == "201\n"
    assert quiet.curl("/vms/web01.json") == (200, b"{}")


def test_a_client_that_leaves_while_its_body_is_stored_makes_no_fault(quiet):
    leave = (
        "import socket\n"
        "for n in range(50):\n"
        f"    s = socket.create_connection(('{BOOT_SERVER}', 3000))\n"
        "    s.sendall(b'PUT /vms/v%d.json HTTP/1.1\\r\\nContent-Length: 2\\r\\n"
        f"Authorization: Bearer {quiet.token}\\r\\n\\r\\n{{}}' % n)\n"
        "    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0')\n"
        "    s.close()\n"
    )
    quiet.lab.run("lan", "python3", "-c", leave)
    quiet.put("last", b"{}")
    assert quiet.curl("/vms/last.json") == (200, b"{}")


def test_a_full_disk_is_507_and_changes_nothing(lab, tmp_path):
    """A file system of 1 MiB, in a mount namespace of the daemon's own."""
    state = tmp_path / "state"
    state.mkdir()
    config = write_config(
        tmp_path / "netbootd.json",
        {
            "targets": {"localboot": {"disk": {}}},
            "machines": {"default": {"type": "localboot", "name": "disk"}},
            "netbootd": {
                **{"interfaces": ["eth0"], "files": str(tmp_path), "state": str(state)},
                "admin_networks": "192.0.2.0/24",
            },
        },
    )
    daemon = lab.spawn(
        *("boot", "unshare", "--mount", "sh", "-c"),
        f"mount -t tmpfs -o size=1m tmpfs {state} && echo secret > {state}/api.token && "
        f"exec {NETBOOTD} run --config {config}",
    )
    daemon.wait_for(r"\bready\b", 30)

    def put(size: int) -> tuple[int, bytes]:
        (tmp_path / "in").write_bytes(b'{"a": "%s"}' % (b"x" * size))
        code = lab.run(
            *("lan", "curl", "-sS", "-o", str(tmp_path / "out"), "-w", "%{http_code}"),
            *("-H", "Authorization: Bearer secret", "-T", str(tmp_path / "in")),
            f"{BASE}/vms/web01.json",
        )
        return int(code), (tmp_path / "out").read_bytes()

    assert put(600_000)[0] == 201
    before = lab.run("lan", "curl", "-sS", f"{BASE}/vms/web01.json")
    status, told = put(700_000)
    assert status == 507
    assert b"No space left on device; nothing has changed" in told
    assert lab.run("lan", "curl", "-sS", f"{BASE}/vms/web01.json") == before
    assert "Traceback" not in daemon.text


def test_private_ones_are_for_the_machine_that_booted_from_there(lab, tmp_path):
    server = Server(lab, tmp_path, private=True)
    assert server.put("web01", b"{}")[0] == 201
    assert server.curl("/vms/web01.json")[0] == 401
    assert server.curl("/vms/web01.json", authorised=True) == (200, b"{}")
    assert server.curl(f"/boot/{NODE}")[0] == 200
    assert server.curl("/vms/web01.json") == (200, b"{}")
    assert server.curl(f"/machines/{NODE}/vms") == (200, b"[{}]\n")
    assert server.curl(f"/machines/{OTHER}/vms")[0] == 401


def test_a_file_beside_the_configuration_is_served_as_it_is_and_watched(quiet):
    folder = quiet.folder / "vms"
    folder.mkdir()
    (folder / "web01.json").write_bytes(ODD)
    quiet.daemon.wait_for("reloaded", 10)
    assert quiet.curl("/vms/web01.json") == (200, ODD)
    said = len(quiet.daemon.text)
    (folder / "web01.json").write_bytes(b'{"a": 1,}')
    quiet.daemon.wait_for(r"web01\.json:1:8: error: vm-invalid", 10, after=said)
    quiet.daemon.wait_for("reload refused", 10, after=said)
    assert quiet.curl("/vms/web01.json") == (200, ODD)
    assert quiet.put("web01", b"{}")[0] == 409
    assert quiet.curl(f"/vms/{IMAGE}.json")[0] == 404


def test_without_a_state_folder_nothing_can_be_put_and_it_is_said(lab, tmp_path):
    (tmp_path / "state").write_text("a file in its place")
    server = Server(lab, tmp_path)
    server.daemon.wait_for("no API token", 5)
    status, told = server.curl("/vms/web01.json", "-X", "PUT", "-d", "{}")
    assert status == 503
    assert b"no API token" in told
    assert server.curl("/vms/fixed.json")[0] == 200


def test_another_token_file_may_be_named_and_comes_into_force_with_a_reload(lab, tmp_path):
    file = tmp_path / "token"
    server = Server(lab, tmp_path, api_token=str(file))
    server.daemon.wait_for("no API token", 5)
    put = ("-X", "PUT", "-d", "{}", "-H", "Authorization: Bearer secret")
    assert server.curl("/vms/web01.json", *put)[0] == 503
    file.write_text("secret\n")
    server.daemon.reload()
    assert server.curl("/vms/web01.json", *put)[0] == 201
    file.write_text("changed\n")
    server.daemon.reload()
    assert server.curl("/vms/web01.json", *put)[0] == 403
    assert not (server.state / "api.token").exists()


def test_the_user_of_the_service_needs_no_more_than_its_folder(lab, tmp_path):
    """
    With the rights, the umask and the folder that the systemd unit gives.

    To read is allowed as well here, since Python itself may lie where only root gets in.
    """
    state = tmp_path / "state"
    state.mkdir(mode=0o750)
    os.chown(state, 65534, 65534)
    config = write_config(
        tmp_path / "netbootd.json",
        {
            "machines": {"default": {"type": "localboot", "name": "disk"}},
            "targets": {"localboot": {"disk": {}}},
            "netbootd": {
                **{"interfaces": ["eth0"], "files": str(tmp_path), "state": str(state)},
                "admin_networks": "192.0.2.0/24",
            },
        },
    )
    rights = "+net_bind_service,+net_raw,+dac_read_search"
    daemon = lab.spawn(
        *("boot", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"),
        *(
            f"--inh-caps=-all,{rights}",
            f"--ambient-caps=-all,{rights}",
            f"--bounding-set=-all,{rights}",
        ),
        *("sh", "-c", f"umask 0077; exec {NETBOOTD} run --config {config}"),
    )
    daemon.wait_for(r"\bready\b", 30)
    made, token = new_token(state), state / "api.token"
    assert (token.stat().st_uid, token.stat().st_mode & 0o777) == (65534, 0o600)
    bearer = f"Authorization: Bearer {made}"
    put = ("curl", "-sS", "-X", "PUT", "-H", bearer, "-d", "{}", "-w", "%{http_code}")
    assert lab.run("lan", *put, f"{BASE}/vms/web01.json").endswith("201")
    kept = state / "vms" / "web01.json"
    assert kept.read_bytes() == b"{}"
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (65534, 0o600)
    assert lab.run("lan", "curl", "-sS", f"{BASE}/vms/web01.json") == "{}"
