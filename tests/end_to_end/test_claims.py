"""
Secrets on a wire, with the kernel's own neighbour tables: a node that gets what is its own, once,
and all who would like to have it, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import authority, signed
from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab
from tests.end_to_end.process import Daemon, LabError

pytestmark = pytest.mark.wire

BASE = f"http://{BOOT_SERVER}:3000"
NODE, THIEF = "52:54:00:00:00:01", "52:54:00:00:00:66"
DASHED = NODE.replace(":", "-")
AT, ITS = "192.0.2.101", "192.0.2.102"
SECRET = "rootpw hunter2"
IPXE = ("-A", "iPXE/1.21")


class Site:
    """A boot server with a secret installation, the node it is for, and a thief."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        install = folder / "srv" / "install"
        install.mkdir(parents=True)
        (install / "node.cfg.j2").write_text(f"{SECRET}\nlate {{{{ script_url }}}}\n")
        (install / "static.cfg").write_text(f"{SECRET}\n")
        (folder / "srv" / "linux").write_bytes(os.urandom(5000))
        (folder / "scripts").mkdir()
        (folder / "scripts" / "own").write_text(f"# {SECRET}\n")
        debian = {"kernel": "linux", "os": "debian", "secret": True, "scripts": ["own"]}
        self.config = {
            "targets": {
                "install": {
                    "debian": {**debian, "answer": "install/node.cfg"},
                    "static": {**debian, "answer": "install/static.cfg"},
                },
                "linux": {"live": {"kernel": "linux", "secret": True, "scripts": ["own"]}},
                "localboot": {"disk": {}},
            },
            "machines": {NODE: {"type": "install", "name": "debian"}},
            "netbootd": {
                "interfaces": ["eth0"],
                "files": str(folder / "srv"),
                "state": str(folder / "state"),
                "hooks": {"alarm": ["/bin/sh", "-c", f"cat > {folder}/state/alarm"]},
            },
        }
        for place, mac, address in (("node", NODE, AT), ("thief", THIEF, ITS)):
            lab.plug(place, address)
            lab.ip(place, f"link set eth0 address {mac}")
        self.daemon: Daemon = lab.netbootd(self.config)

    def run(self, *words: str) -> str:
        """A command of the operator's."""
        config = str(self.folder / "netbootd.json")
        return self.lab.run("boot", str(NETBOOTD), *words, "--config", config)

    def restart(self) -> None:
        """Killed without a word, and started again."""
        self.daemon.send(signal.SIGKILL)
        self.daemon.wait(10)
        self.daemon = self.lab.netbootd(self.config)

    def get(self, place: str, url: str, *options: str) -> str:
        """The body, and the status on a line of its own."""
        url = url if url.startswith("http") else BASE + url
        words = ("curl", "-sS", "-m", "20", "-w", "\n%{http_code}", *options, url)
        return self.lab.run(place, *words)

    def boot(self, place: str = "node") -> str:
        """The boot script, as iPXE in *place* gets it."""
        return self.get(place, f"/boot/{DASHED}?uuid=x", *IPXE)

    def answer_url(self) -> str:
        """Arm the node, boot it, and tell where its answer file is."""
        self.run("next", NODE)
        found = re.search(r"url=(\S+)", self.boot())
        assert found, "no boot"
        return found[1]

    def held(self) -> str:
        return self.run("status")


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Site:
    return Site(lab, tmp_path)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_node_gets_it_once_and_a_second_time_freezes_it(site):
    url = site.answer_url()
    assert f"/install/{DASHED}/token-" in url
    got = site.get("node", url)
    assert SECRET in got
    assert got.endswith("\n200")
    script = re.search(r"late (\S+)", got)[1]
    assert SECRET in site.get("node", script)  # another secret, asked for with the same token
    again = site.get("node", url)
    assert SECRET not in again
    assert again.endswith("403")
    site.daemon.wait_for("second claimant", 10)
    assert url.partition("token-")[2].partition("/")[0] not in site.daemon.text
    until(
        lambda: (
            (site.folder / "state" / "alarm").exists()
            and NODE in (site.folder / "state" / "alarm").read_text()
        )
    )
    assert 'netbootd_events_total{event="claimed"} 1' in site.get("node", "/metrics")
    assert "is held" in site.boot()
    site.restart()
    assert "is held" in site.boot()
    assert site.get("node", script).endswith("403")
    assert "may boot again" in site.run("release", NODE)
    assert SECRET in site.get("node", site.answer_url())


def test_a_stolen_token_is_no_good_in_other_hands(site):
    url = site.answer_url()
    stolen = site.get("thief", url)
    assert SECRET not in stolen
    assert stolen.endswith("403")
    assert THIEF in site.run("status")
    assert site.get("node", url).endswith("403")  # frozen, before it had anything


def test_a_stolen_address_is_not_enough(site):
    url = site.answer_url()
    site.lab.ip("node", "link set eth0 down")
    site.lab.ip("thief", "address flush dev eth0")
    site.lab.ip("thief", f"address add {AT}/24 dev eth0")
    time.sleep(1.5)  # the kernel takes no other card for an address sooner (arp(7), locktime)
    assert SECRET not in site.get("thief", url)
    site.daemon.wait_for(f"{AT}, and is {THIEF}", 10)
    site.lab.ip("thief", "address flush dev eth0")
    site.lab.ip("node", "link set eth0 up")
    time.sleep(1.5)
    assert SECRET in site.get("node", url)  # nothing was lost, and nobody is held


#: Says by ARP to all that its first word, an address, is at its second, a card (RFC 826).
_ARP = r"""
import socket, sys
own = bytes.fromhex(sys.argv[2].replace(":", ""))
at = socket.inet_aton(sys.argv[1])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
packet = bytes.fromhex("0001080006040002") + own + at + b"\xff" * 6 + at
wire.send(b"\xff" * 6 + own + b"\x08\x06" + packet)
"""
#: Opens a connection, waits for a line, and sends its request then.
_SLOW = r"""
import socket, sys
wire = socket.create_connection((sys.argv[1], 3000), 20)
print("open", flush=True)
sys.stdin.readline()
wire.sendall(f"GET {sys.argv[2]} HTTP/1.0\r\n\r\n".encode())
print(b"".join(iter(lambda: wire.recv(9999), b"")).decode(), flush=True)
"""


def test_forged_arp_freezes_nobody(site):
    url = site.answer_url()
    node = site.lab.spawn("node", "python3", "-c", _SLOW, BOOT_SERVER, url.removeprefix(BASE))
    node.wait_for("open", 20)
    time.sleep(1.5)  # as above
    site.lab.run("thief", "python3", "-c", _ARP, AT, THIEF)
    until(lambda: THIEF in site.lab.run("boot", "ip", "neigh", "show", AT))
    node.write("now\n")
    site.daemon.wait_for(f"{AT}, and is {THIEF}, where {NODE} should be", 20)
    time.sleep(1.5)
    site.lab.run("node", "python3", "-c", _ARP, AT, NODE)
    node.wait_for("503 Service", 30)
    assert "Retry-After" in node.text
    assert "second claimant" not in site.daemon.text
    assert SECRET in site.get("node", url)


#: Sends the request for its first word on ten connections at once; prints how each answer begins.
_AT_ONCE = r"""
import socket, sys
wires = [socket.create_connection((sys.argv[1], 3000), 20) for _ in range(10)]
for wire in wires:
    wire.sendall(f"GET {sys.argv[2]} HTTP/1.0\r\n\r\n".encode())
for wire in wires:
    print(b"".join(iter(lambda: wire.recv(9999), b"")).decode())
"""


def test_of_ten_who_ask_at_once_one_gets_it(site):
    path = site.answer_url().removeprefix(BASE)
    got = site.lab.run("node", "python3", "-c", _AT_ONCE, BOOT_SERVER, path)
    assert got.count(SECRET) == 1
    assert got.count("HTTP/1.0 200") == 1
    assert got.count("HTTP/1.0 503") == 9
    assert got.count("Retry-After") == 9
    assert "second claimant" not in site.daemon.text
    assert site.get("node", path).endswith("403")
    site.daemon.wait_for("second claimant", 10)


@pytest.mark.parametrize("token", ["", "token-" + "0" * 32 + "/"])
def test_nobody_freezes_a_machine_without_its_token(site, token):
    url = site.answer_url()
    wrong = f"/install/{DASHED}/{token}node.cfg"
    for place in ("thief", "node"):
        for _ in range(3):
            assert site.get(place, wrong).endswith("403")
    assert site.get("thief", wrong, "-I").endswith("403")
    assert site.get("thief", url, "-I").endswith("403")  # looking takes nothing, and alarms nobody
    assert SECRET in site.get("node", url)


def test_nobody_else_gets_a_token_or_uses_up_what_is_armed(site):
    site.run("next", NODE)
    for _ in range(2):
        script = site.boot("thief")
        assert "token" not in script
        assert f"{ITS} is {THIEF}" in script
    assert site.get("thief", f"/boot/{DASHED}").endswith("403")
    assert "token-" in site.boot()


def test_a_boot_that_was_not_armed_gets_nothing(site):
    assert "was not armed" in site.boot()
    site.config["machines"][NODE] = {"type": "linux", "name": "live"}
    site.restart()
    assert "token" not in site.boot("thief")
    assert "kernel" in site.boot()  # boots, and is not given its script
    assert site.get("node", f"/scripts/{DASHED}").endswith("403")
    site.config["netbootd"]["secrets"] = {"armed": False}
    site.config["targets"]["linux"]["live"]["boot_args"] = "netbootd.script=__script__"
    site.restart()
    url = re.search(r"netbootd.script=(\S+)", site.boot())[1]
    assert SECRET in site.get("node", url)


def test_it_is_too_late_after_the_window_and_a_reload_changes_nothing(site):
    url = site.answer_url()
    site.daemon.reload()
    assert SECRET in site.get("node", url)
    site.config["netbootd"]["secrets"] = {"window": 10}
    site.restart()
    url = site.answer_url()
    time.sleep(11)
    for place in ("node", "thief"):
        assert site.get(place, url).endswith("403")
    site.daemon.wait_for("within 10 s of the boot script", 10)
    assert "is held" not in site.boot()


def test_a_transfer_that_broke_off_is_no_delivery(site):
    (site.folder / "srv" / "install" / "node.cfg.j2").write_text(SECRET + "x" * 900_000)
    site.daemon.reload()
    path = site.answer_url().removeprefix(BASE)
    code = (
        "import socket, struct\n"
        "s = socket.socket()\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n"
        f"s.connect(({BOOT_SERVER!r}, 3000))\n"
        f"s.sendall(b'GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "assert s.recv(1000).startswith(b'HTTP/1.1 200')\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "s.close()\n"
    )
    site.lab.run("node", "python3", "-c", code)
    assert site.get("node", path).startswith(SECRET)
    assert site.get("node", path).endswith("403")


def test_by_https_a_receipt_is_one_as_well(site):
    pair = signed("boot", BOOT_SERVER, signer=authority()).write(site.folder / "pair.pem")
    site.config["netbootd"]["tls"] = {"port": 3443, "certificate": str(pair)}
    (site.folder / "srv" / "install" / "node.cfg.j2").write_text(SECRET + "x" * 900_000)
    site.restart()
    site.run("next", NODE)
    script = site.get("node", f"https://{BOOT_SERVER}:3443/boot/{DASHED}", *IPXE, "-k")
    url = re.search(r"url=(https://\S+)", script)[1]
    code = (
        "import socket, ssl, struct, sys\n"
        "s = socket.socket()\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n"
        f"s.connect(({BOOT_SERVER!r}, 3443))\n"
        "tls = ssl._create_unverified_context().wrap_socket(s)\n"
        f"tls.sendall(b'GET {url.partition(':3443')[2]} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "assert tls.recv(1000).startswith(b'HTTP/1.1 200')\n"
        "tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "tls.close()\n"
    )
    site.lab.run("node", "python3", "-c", code)
    whole = site.get("node", url, "-k")
    assert whole.startswith(SECRET)
    assert whole.endswith("\n200")
    until(lambda: '"whole":1' in recorded(site))
    assert site.get("node", url, "-k").endswith("403")
    site.daemon.wait_for("second claimant", 10)


def recorded(site):
    """What is on disk of the node."""
    with contextlib.closing(sqlite3.connect(site.folder / "state" / "record.sqlite")) as record:
        rows = record.execute("SELECT value FROM standing WHERE key = ?", (NODE,)).fetchall()
    return rows[0][0] if rows else ""


@pytest.mark.parametrize("client", [("wget",), ("busybox", "wget"), ("curl", "--http1.0", "-sS")])
def test_every_client_acknowledges_what_it_got(site, client):
    url = site.answer_url()
    words = client if client[0] == "curl" else (*client, "-q", "-O", "-")
    assert SECRET in site.lab.run("node", *words, url)
    assert site.get("node", url).endswith("403")


def test_a_plain_file_is_kept_as_well_and_nothing_goes_by_tftp(site, tmp_path):
    site.config["machines"][NODE]["name"] = "static"
    site.restart()
    url = site.answer_url()
    for path in ("/install/static.cfg", f"/{DASHED}/install/static.cfg", "//install/./static.cfg",
                 "/install%2fstatic.cfg"):  # fmt: skip
        for place in ("node", "thief"):
            assert SECRET not in site.get(place, path, "--path-as-is")
    for name in ("install/static.cfg", f"{NODE}/install/static.cfg", "/install//static.cfg"):
        with pytest.raises(LabError):
            site.lab.run(
                "node", "atftp", "-g", "-r", name, "-l", str(tmp_path / "got"), BOOT_SERVER
            )
        assert not (tmp_path / "got").exists() or not (tmp_path / "got").read_bytes()
    assert SECRET in site.get("node", url)


def test_by_tftp_no_log_has_a_token(site, tmp_path):
    got = str(tmp_path / "got")
    token = re.search(r"token-(\w+)", site.answer_url())[1]
    overlay = f"overlay/{DASHED}.cpio?token={token}"
    for name in (f"install/{DASHED}/token-{token}/node.cfg", overlay, f"{overlay},linux"):
        with pytest.raises(LabError):
            site.lab.run("node", "atftp", "-g", "-r", name, "-l", got, BOOT_SERVER)
    site.daemon.wait_for(f"refused overlay/{DASHED}.cpio,linux by TFTP", 10)
    assert token not in site.daemon.text
    site.config["targets"]["linux"]["live"] = {"kernel": "linux", "overlays": ["own"]}
    site.config["machines"][NODE] = {"type": "linux", "name": "live"}
    site.config["netbootd"]["private"] = True
    (site.folder / "overlays" / "own").mkdir(parents=True)
    site.restart()
    usual = re.search(r"token=(\w+)", site.boot())[1]
    overlay = f"overlay/{DASHED}.cpio?token={usual}"
    site.lab.run("node", "atftp", "-g", "-r", overlay, "-l", got, BOOT_SERVER)
    site.daemon.wait_for(f"overlay/{DASHED}.cpio by TFTP", 10)
    assert usual not in site.daemon.text


def test_an_installer_that_reads_its_file_twice_may(site):
    site.config["targets"]["install"]["debian"]["os"] = "suse"
    site.restart()
    site.run("next", NODE)
    url = re.search(r"autoyast=(\S+)", site.boot())[1]
    assert site.get("node", url, "-I").endswith("200")  # a look, which counts for nothing
    for _ in range(2):
        assert SECRET in site.get("node", url)
    assert site.get("node", url).endswith("403")


def test_the_extra_initrd_and_the_vms_are_kept_as_well(site, tmp_path):
    live = site.config["targets"]["linux"]["live"]
    live |= {"initrd": "linux", "overlays": ["own"], "boot_args": "vms=__vms_url__"}
    (site.folder / "overlays" / "own" / "etc").mkdir(parents=True)
    (site.folder / "overlays" / "own" / "etc" / "shadow").write_text(SECRET)
    web = {"brand": "joyent", "alias": "web", "customer_metadata": {"root_pw": SECRET}}
    site.config["vms"] = {"web": web}
    entry = {"type": "linux", "name": "live", "vms": ["web"]}
    site.config["machines"] = {NODE: entry, THIEF: {**entry, "type": "localboot", "name": "disk"}}
    site.restart()
    paths = (f"/overlay/{DASHED}.cpio", f"/machines/{DASHED}/vms", "/vms/web.json",
             f"/machines/{THIEF}/vms")  # fmt: skip
    for path in paths:
        for place in ("node", "thief"):
            assert SECRET not in site.get(place, path, "-a")
    got = str(tmp_path / "got")
    with pytest.raises(LabError):
        site.lab.run("node", "atftp", "-g", "-r", paths[0][1:], "-l", got, BOOT_SERVER)
    site.run("next", NODE)
    script = site.boot()
    overlay = re.search(r"(/overlay/\S+)", script)[1]
    token = overlay.partition("token=")[2]
    for path in paths[:3]:
        assert SECRET in site.get("node", f"{path}?token={token}", "-a"), path
    assert site.get("node", overlay).endswith("403")
    assert f"{NODE}: its secret has a second claimant" in site.run("status")


def test_what_cannot_be_noted_on_disk_is_not_given(site):
    url = site.answer_url()
    record = sqlite3.connect(site.folder / "state" / "record.sqlite", isolation_level=None)
    record.execute("BEGIN IMMEDIATE")  # nobody else can write now
    refused = site.get("node", url)
    record.close()
    assert SECRET not in refused
    assert refused.endswith("503")
    assert SECRET in site.get("node", url)


def test_a_neighbour_by_ipv6_is_known_as_well(site):
    for place, address in (("boot", "fd00::10"), ("node", "fd00::1"), ("thief", "fd00::2")):
        site.lab.ip(place, f"address add {address}/64 dev eth0 nodad")
    site.config["subnets"] = {"fd00::/64": {"dhcp": "proxy"}}
    site.restart()
    site.run("next", NODE)
    script = site.get("node", f"http://[fd00::10]:3000/boot/{DASHED}", *IPXE)
    assert "token" not in site.get("thief", f"http://[fd00::10]:3000/boot/{DASHED}", *IPXE)
    url = re.search(r"url=(\S+)", script)[1]
    assert "[fd00::10]" in url
    assert SECRET in site.get("node", url)


def test_a_look_at_what_it_boots_next_does_not_end_its_boot(site, tmp_path):
    site.config["machines"][NODE] = {"type": "localboot", "name": "disk"}
    site.restart()
    site.run("next", NODE, "install/debian")
    url = re.search(r"url=(\S+)", site.boot())[1]
    for options in (IPXE, ("-A", "GRUB 2")):
        assert "disk" in site.get("thief", f"/boot/{DASHED}", *options)
        assert "exit" in site.get("thief", f"/grub.cfg-01-{DASHED}", *options)
    got = str(tmp_path / "got")
    for place in ("thief", "node"):  # an address that anybody can write on a datagram
        for name in ("boot.ipxe.01525400000001", f"pxelinux.cfg/01-{DASHED}"):
            site.lab.run(place, "atftp", "-g", "-r", name, "-l", got, BOOT_SERVER)
    assert SECRET in site.get("node", url)
    assert "disk" in site.boot()  # the next boot, which is the machine's own
    assert "earlier boot" in site.get("node", url)
    assert "second claimant" not in site.daemon.text


def test_a_machine_gets_no_secret_that_its_target_does_not_name(site):
    site.config["machines"][THIEF] = {"type": "install", "name": "static"}
    site.restart()
    site.run("next", THIEF)
    script = site.get("thief", f"/boot/{THIEF}", *IPXE)
    own = re.search(r"url=(\S+)", script)[1]
    other = own.replace("static.cfg", "node.cfg")
    assert other != own
    assert site.get("thief", other).endswith("403")
    site.daemon.wait_for("install/static, which it boots, does not name it", 10)
    assert SECRET in site.get("thief", own)
