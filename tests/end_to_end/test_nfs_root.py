"""
Diskless machines: a stock Debian over NFS, with the layer in memory that we bring.

Nothing in the image knows netbootd.  What a node is like is told by a fragment of its script, which
it fetches and runs by itself; so each test also sees that road.

Times out at about eight times what an idle machine with two cores takes (seconds, TCG: 45).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netbootd.boots.boot import Outcome, Stage
from tests.end_to_end import nfs, told
from tests.end_to_end.conftest import Site
from tests.end_to_end.node import Node
from tests.end_to_end.process import Daemon

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
OTHER = "52:54:00:12:34:57"
BOOT_S = 400
MEMORY = 768  # MB: kernel, initrd, and what systemd wants

# One line each, and short: the console is a serial line.
REPORT = """\
lower=/run/netbootd/lower
echo "NODE-ROOT $(findmnt -n -o FSTYPE /) over $(findmnt -n -o FSTYPE,SOURCE $lower | xargs)"
echo "NODE-LOWER $(findmnt -n -o OPTIONS $lower | cut -d, -f1)"
echo "NODE-SYSTEM $(systemctl is-active sysinit.target) pid 1 is $(cat /proc/1/comm)"
echo "NODE-NAME $(hostname) $(cat /etc/hostname) $(cat /proc/sys/kernel/hostname)"
echo "NODE-ID $(cat /etc/machine-id)"
echo "NODE-HOSTS $(getent hosts node7.lab.example)"
echo "NODE-FSTAB $(grep -vc '^#' /etc/fstab)"
echo "NODE-OVERLAY $(cat /etc/rack) $(readlink /etc/rack.link) $(stat -c %a /etc/rack)"
for _ in $(seq 60); do # networkd makes it, in its own time
    [ ! -e /sys/class/net/lan7 ] || ip -br address show dev br7 2>/dev/null | grep -q /24 && break
    sleep 1
done
echo "NODE-VLAN $(ip -br link show dev lan7 2>&1 | cut -d@ -f1) on $(ls /sys/class/net/br7/brif)"
echo "NODE-BRIDGE $(ip -br -4 address show dev br7 2>&1 | xargs)"
echo "NODE-FOUND $(cat /srv/written 2>/dev/null || echo nothing)"
echo "{{ hostname }}" >/srv/written
echo "NODE-READS $(cat /srv/written)"
"""

INTERFACES = {
    "boot": {"mac": NODE},
    "lan7": {"link": "boot", "vlan": 7},
    "br7": {"bridge": ["lan7"], "address": "10.7.0.5/24"},
}


class Diskless:
    """A site with a file server, one target for its image, and nodes that boot it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.made = nfs.made()
        for name in (nfs.INITRAMFS_TOOLS, nfs.DRACUT):
            site.put(f"images/{name}", self.made.initrd(name))
        site.put("images/debian", self.made.kernel)
        self.keep = site.lab.folder / "keep"
        self.keep.mkdir()
        self.put("overlays/rack/etc/rack.j2", "rack {{ rack }}\n").chmod(0o640)
        (site.file.parent / "overlays/rack/etc/rack.link").symlink_to("/etc/rack")
        self.put("scripts/report.sh.j2", REPORT)
        self.boots("initramfs-tools", nfs.INITRAMFS_TOOLS)
        self.machine(NODE, "node7")
        nfs.serve(site.lab, root=self.made.root, keep=self.keep)
        site.lab.dhcp()

    def put(self, path: str, content: str) -> Path:
        """A file beside the configuration."""
        file = self.site.file.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def boots(self, initramfs: str, initrd: str, *arguments: str) -> None:
        """What all nodes boot."""
        self.site.target(
            "nfs",
            "debian",
            kernel="images/debian",
            initrd=f"images/{initrd}",
            initramfs=initramfs,
            root=f"{nfs.SERVER}:{nfs.ROOT}",
            overlay="40%",
            overlays=["rack"],
            scripts=["default", "report"],
            boot_args=" ".join(["console=ttyS0", "quiet", *arguments]),
            rack="r1",
        )

    def machine(self, mac: str, name: str, **keys: Any) -> None:
        self.site.machine(mac, "nfs", "debian", hostname=name, domain="lab.example", **keys)

    def serve(self) -> Daemon:
        return self.site.serve()

    def bios(self, mac: str = NODE) -> Node:
        return self.site.lab.bios(mac, memory=MEMORY)


@pytest.fixture
def diskless(site: Site) -> Iterator[Diskless]:
    """The export must be the same after whatever the nodes did."""
    found = Diskless(site)
    before = nfs.checksum(found.made.root)
    yield found
    assert nfs.checksum(found.made.root) == before, "a node has written to the export"


def said(node: Node, what: str) -> str:
    """What NODE-*what* said, once it is complete."""
    return node.wait_for(rf"NODE-{what} ([^\n]*)\n", BOOT_S)[1].strip()


def assert_layered(node: Node) -> None:
    """The root is the NFS export with a layer over it, and the machine is itself on it."""
    root = said(node, "ROOT")
    assert re.fullmatch(rf"overlay over nfs4? {nfs.SERVER}:{nfs.ROOT}", root), root
    assert said(node, "LOWER") == "ro"
    assert said(node, "SYSTEM") == "active pid 1 is systemd"
    assert said(node, "NAME") == "node7 node7 node7"
    assert said(node, "ID") == "b6928491d5855e249794ea3d8550d341"
    assert said(node, "HOSTS").split()[:3] == ["127.0.1.1", "node7.lab.example", "node7"]
    assert said(node, "FSTAB") == "0", "a disk of the image's maker is still in fstab"
    assert said(node, "OVERLAY") == "rack r1 /etc/rack 640"


def reported(daemon: Daemon, mac: str = NODE) -> str:
    """What the log says of the node's report, which comes when its script has ended."""
    return daemon.wait_for(rf"{mac}[^\n]* (reported [^\n]*)\n", BOOT_S)[1]


@pytest.mark.ci
def test_a_stock_image_comes_up_as_the_machine_it_is_on(diskless: Diskless) -> None:
    diskless.machine(NODE, "node7", interfaces=INTERFACES)
    daemon = diskless.serve()

    with diskless.bios() as node:
        assert_layered(node)
        assert said(node, "VLAN") == "lan7 on lan7"
        assert said(node, "BRIDGE") == "br7 UP 10.7.0.5/24"
        assert said(node, "READS") == "node7"
        assert reported(daemon) == "reported that it is up"
        told.one_boot(node, Stage.SYSTEM, Stage.NODE_SCRIPT, outcome=Outcome.DONE)
        paths = {path.partition("?")[0] for path in node.packets().paths()}

    assert {f"/overlay/{NODE}.cpio", f"/scripts/{NODE}"} <= paths


def test_the_same_under_uefi(diskless: Diskless) -> None:
    daemon = diskless.serve()

    with diskless.site.lab.uefi(NODE, memory=MEMORY) as node:
        assert_layered(node)
        assert reported(daemon) == "reported that it is up"


def test_the_same_with_an_initramfs_made_by_dracut(diskless: Diskless) -> None:
    diskless.boots("dracut", nfs.DRACUT, "rd.shell=0")
    daemon = diskless.serve()

    with diskless.bios() as node:
        assert_layered(node)
        assert reported(daemon) == "reported that it is up"
        told.one_boot(node, Stage.SYSTEM, Stage.NODE_SCRIPT, outcome=Outcome.DONE)


def test_what_nodes_write_is_theirs_and_is_gone_after_a_power_cut(diskless: Diskless) -> None:
    diskless.machine(OTHER, "node8")
    daemon = diskless.serve()

    with diskless.bios() as node, diskless.bios(OTHER) as other:
        assert [said(each, "FOUND") for each in (node, other)] == ["nothing", "nothing"]
        assert [said(each, "READS") for each in (node, other)] == ["node7", "node8"]
        assert said(node, "ID") != said(other, "ID")
        for mac in (NODE, OTHER):
            assert reported(daemon, mac) == "reported that it is up"
    with diskless.bios() as node:
        assert said(node, "FOUND") == "nothing"


def test_a_path_that_is_named_survives_and_its_neighbour_does_not(diskless: Diskless) -> None:
    diskless.put("scripts/report.sh.j2", KEPT)
    store = f"{nfs.SERVER}:{nfs.KEEP}"
    diskless.machine(NODE, "node7", persist=["/var/lib/one", "/etc/default"], persist_from=store)
    diskless.serve()

    with diskless.bios() as node:
        assert said(node, "KEPT") == "first"
        assert said(node, "LOST") == "first"
        assert int(said(node, "IMAGE")) > 0, "a new path begins with what the image has there"
    with diskless.bios() as node:
        assert said(node, "KEPT") == "again"
        assert said(node, "LOST") == "first"
    assert (diskless.keep / "var/lib/one/kept").read_text() == "again\n"


KEPT = """\
note() { [ -e "$1" ] && echo again | tee "$1" || echo first | tee "$1"; }
echo "NODE-KEPT $(note /var/lib/one/kept)"
echo "NODE-LOST $(note /var/lib/kept)"
echo "NODE-IMAGE $(ls /etc/default | wc -l)"
"""


@pytest.mark.parametrize("store", [f"{nfs.SERVER}:/no/such/export", "192.0.2.99:/keep"])
def test_a_store_that_is_away_is_said_and_nothing_empty_takes_its_place(
    diskless: Diskless, store: str
) -> None:
    diskless.put("scripts/report.sh.j2", AWAY)
    diskless.machine(NODE, "node7", persist=["/var/lib/one"], persist_from=store)
    diskless.serve()

    with diskless.bios() as node:
        node.wait_for(rf"netbootd: persist: {store} is AWAY", BOOT_S)
        assert said(node, "LISTS") == "AWAY"
        assert said(node, "WRITES") == "no"


AWAY = """\
echo "NODE-LISTS $(ls /var/lib/one)"
echo "NODE-WRITES $(touch /var/lib/one/x 2>/dev/null && echo yes || echo no)"
"""


def test_without_the_kernel_module_the_node_says_so_and_comes_up_read_only(
    diskless: Diskless,
) -> None:
    diskless.boots("initramfs-tools", nfs.INITRAMFS_TOOLS, "module_blacklist=overlay")
    diskless.serve()

    with diskless.bios() as node:
        node.wait_for("the root stays READ-ONLY", BOOT_S)
        node.wait_for(r"Debian GNU/Linux 12 \S+ ttyS0", BOOT_S)


def test_a_script_that_fails_is_reported_with_its_output(diskless: Diskless) -> None:
    diskless.put("scripts/report.sh.j2", "echo about to fail\nexit 7\n")
    daemon = diskless.serve()

    with diskless.bios() as node:
        node.wait_for("about to fail", BOOT_S)
        assert reported(daemon).startswith("reported a failure with status 7")
