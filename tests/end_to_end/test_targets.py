"""
Other people's systems boot through netbootd, each as a target of its type.

Here is real: Debian's installer, Xen, memdisk with a CD, a live system that fetches its root, an
iSCSI disk, and a multiboot kernel that tells what it was given.  What the set-up has not made is
skipped, and the reason told.  Not to be had are Windows and ESXi: their targets are tested by their
scripts alone.

Times out at four to eight times what an idle machine with two cores takes.
"""

from __future__ import annotations

import hashlib
import signal
import time
from pathlib import Path

import pytest

from netbootd.boots.boot import Stage
from netbootd.logbook.line import Source
from tests.end_to_end import guest, images, told
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import HTTP, LAN_SERVER, NETBOOTD, Lab
from tests.end_to_end.node import Node
from tests.end_to_end.process import Daemon, Process, now

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
SCRIPT = f"/boot/{NODE}"
BASE = f"http://{HTTP}"
SAN_SERVER = "192.0.2.30"

IPXE_ROM_S = 75
UEFI_S = 150
XEN_S = 120
LIVE_S = 150
INSTALLER_S = 400


def made(name: str) -> Path:
    """The folder with what the set-up made by that *name*; skips the test if it is not there."""
    part = images.PARTS[name]
    if not part.ready:
        pytest.skip(part.unavailable or f"{name} is not in .cache: run tools/setup.sh test")
    return part.folder


# --- multiboot ---------------------------------------------------------------------------------


STAMP = "20260101T000000Z"
PLATFORM = f"os/{STAMP}/platform/i86pc"
ARCHIVE = f"boot archive of {STAMP}"
CHECKSUM = hashlib.sha1(ARCHIVE.encode()).hexdigest()


def smartos(site: Site) -> None:
    """NODE boots a platform image whose kernel tells what it was given."""
    site.put(f"{PLATFORM}/kernel/amd64/unix", made("multiboot") / "multiboot")
    site.put(f"{PLATFORM}/amd64/boot_archive", ARCHIVE.encode())
    site.put(f"{PLATFORM}/amd64/boot_archive.hash", CHECKSUM.encode())
    site.target("smartos", "compute", platform="latest", bootparams={"console": "ttya"})
    site.machine(NODE, "smartos", "compute", hostname="cn7")
    site.lab.dhcp()
    site.serve()


@pytest.mark.ci
def test_smartos_kernel_gets_its_address_its_properties_and_its_modules(site: Site) -> None:
    smartos(site)

    with site.lab.bios(NODE) as node:
        node.wait_for("MB-END", IPXE_ROM_S)
        said = [line.strip() for line in node.console.splitlines() if line.startswith("MB-")]
        told.one_boot(node, Stage.KERNEL, Stage.INITRD)

    assert said == [
        f"MB-KERNEL {BASE}/{PLATFORM}/kernel/amd64/unix"
        ' -B smartos=true,hostname=cn7,console=ttya,ttya-mode="115200,8,n,1,-"',
        f"MB-MODULE {BASE}/{PLATFORM}/amd64/boot_archive type=rootfs name=ramdisk",
        f"MB-CONTENT {ARCHIVE}",
        f"MB-MODULE {BASE}/{PLATFORM}/amd64/boot_archive.hash type=hash name=ramdisk",
        f"MB-CONTENT {CHECKSUM}",
        "MB-END",
    ]


def test_smartos_says_under_uefi_which_ipxe_it_needs(site: Site) -> None:
    smartos(site)

    with site.lab.uefi(NODE) as node:
        node.wait_for("this kernel needs multiboot", UEFI_S)
        assert f"/{PLATFORM}/amd64/boot_archive" not in node.packets().paths()


XEN = """#!ipxe
kernel {{ base }}/xen/xen console=com1 com1=115200,8n1 dom0_mem=256M || goto failed
module {{ base }}/installer/linux console=hvc0 quiet word={{ word }} || goto failed
module {{ base }}/xen/dom0.cpio || goto failed
boot
:failed
echo XEN-FAILED
"""


def test_xen_and_its_first_domain_boot_by_a_script_of_ones_own(site: Site) -> None:
    """The installer's kernel is Debian's usual one, which can be Xen's first domain."""
    for name in ("xen", "dom0.cpio"):
        site.put(f"xen/{name}", made("xen") / name)
    site.put("installer/linux", made("installer") / "linux")
    (site.file.parent / "xen.ipxe").write_text(XEN)
    site.target("ipxe", "xen", script="xen.ipxe")
    site.machine(NODE, "ipxe", "xen", word="seven")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE, memory=512) as node:
        node.wait_for(f"{images.DOM0_UP} xen", XEN_S)
        words = node.wait_for(rf"{images.DOM0_ARGUMENTS} ([^\n]*)\n", XEN_S)[1].split()
        told.one_boot(node, Stage.KERNEL, Stage.INITRD)

    assert "word=seven" in words


# --- images ------------------------------------------------------------------------------------


@pytest.mark.ci
def test_a_cd_image_boots_under_memdisk(site: Site) -> None:
    site.put("cd/cd.iso", made("cd") / "cd.iso")
    site.target("memdisk", "cd", initrd="cd/cd.iso")
    site.machine(NODE, "memdisk", "cd")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for(images.CD_LINE, IPXE_ROM_S)
        paths = node.packets().paths()
        told.one_boot(node, Stage.KERNEL, Stage.INITRD)

    assert [path for path in paths if path != SCRIPT] == ["/memdisk", "/cd/cd.iso"]


def test_a_cd_image_boots_over_http_without_being_fetched_whole(site: Site) -> None:
    """iPXE reads the sectors that the BIOS asks for, by range requests."""
    site.put("cd/cd.iso", made("cd") / "cd.iso")
    site.target("sanboot", "cd", sanboot="cd/cd.iso")
    site.machine(NODE, "sanboot", "cd")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for(images.CD_LINE, IPXE_ROM_S)
        requests = [get for get in node.packets().http if get.path == "/cd/cd.iso"]
        boot = told.one_boot(node, Stage.FILES)

    assert {get.method for get in requests} == {"HEAD", "GET"}
    assert all("range" in get.headers for get in requests if get.method == "GET")
    assert told.stages(boot) == ["ipxe-discover", "ipxe-offer", "script", "files"]


def offer_disk(lab: Lab, name: str, image: Path) -> Process:
    """A server of its own on the LAN, which offers *image* by iSCSI: its logical unit 1."""
    tree = made("tgt") / "tree"
    libraries = (*tree.glob("usr/lib/*-gnu"), *tree.glob("lib/*-gnu"))
    environment = (
        "env",
        f"LD_LIBRARY_PATH={':'.join(map(str, libraries))}",
        f"TGT_IPC_SOCKET={lab.folder}/tgtd",
    )
    lab.plug("san", SAN_SERVER)
    daemon = f"{tree}/usr/sbin/tgtd"
    portal = f"portal={SAN_SERVER}:3260"
    server = lab.spawn("san", *environment, daemon, "--foreground", "--iscsi", portal)

    def admin(words: str) -> None:
        program = (f"{tree}/usr/sbin/tgtadm", "--lld", "iscsi", "--tid", "1")
        lab.run("san", *environment, *program, *words.split())

    deadline = now() + 30
    while not (lab.folder / "tgtd.0").exists():  # it says nothing when it is ready
        assert now() < deadline, server.text
        time.sleep(0.1)
    admin(f"--op new --mode target --targetname {name}")
    admin(f"--op new --mode logicalunit --lun 1 --backing-store {image}")
    admin("--op bind --mode target --initiator-address ALL")
    return server


@pytest.mark.ci
def test_a_disk_boots_by_iscsi(site: Site, tmp_path: Path) -> None:
    image, name = tmp_path / "disk.img", "iqn.2026-01.example:seven"
    # A BIOS counts in cylinders of 8 MB: iPXE finds no first sector on a disk with less than one.
    image.write_bytes(guest.disk("ISCSI-DISK-RUNS", 16 << 20))
    server = offer_disk(site.lab, name, image)
    disk = {"server": SAN_SERVER, "target": "iqn.2026-01.example:__hostname__", "lun": "1"}
    site.target("iscsi", "disk", iscsi=disk)
    site.machine(NODE, "iscsi", "disk", hostname="seven")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for("ISCSI-DISK-RUNS", IPXE_ROM_S)
        told.one_boot(node, Stage.SCRIPT)
    server.send(signal.SIGKILL)  # a polite one it does not heed while it offers a disk


# --- Linux -------------------------------------------------------------------------------------

PRESEED = """#_preseed_V1
d-i preseed/early_command string wget -q -O /dev/null {{ base }}/early/$(hostname)/{{ rack }}
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i mirror/country string manual
d-i mirror/http/hostname string {{ server }}
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
"""


def debian_installer(site: Site, **machine: object) -> Daemon:
    """NODE boots Debian's installer, which has PRESEED for its answers."""
    for name in ("linux", "initrd.gz"):
        site.put(f"installer/{name}", made("installer") / name)
    site.put("install/preseed.cfg.j2", PRESEED.encode())
    site.put("early/seven/r4", b"")  # if it asks for another, it stops with an error
    site.target(
        *("install", "debian"),
        os="Debian",
        kernel="installer/linux",
        initrd="installer/initrd.gz",
        answer="install/preseed.cfg",
        boot_args="console=ttyS0 DEBIAN_FRONTEND=text quiet ipv6.disable=1",
        send_logs=True,
    )
    site.machine(NODE, "install", "debian", hostname="seven", rack="r4", **machine)
    # It asks when DHCP tells no router or no name server, whatever the answer file says: it has
    # not been fetched by then.
    site.lab.dhcp(f"--dhcp-option=3,{LAN_SERVER}", f"--dhcp-option=6,{LAN_SERVER}")
    return site.serve()


def test_the_debian_installer_asks_nothing_and_goes_on_to_its_mirror(site: Site) -> None:
    """
    Language, keyboard, network and mirror are answered: all that comes before the disks.

    It sends its log, and with it stands the boot from the ROM to the mirror, as one.
    """
    daemon = debian_installer(site)

    with site.lab.bios(NODE, memory=1024) as node:
        daemon.wait_for("/debian/dists/", INSTALLER_S)
        paths = node.packets().paths()
        boot = told.one_boot(node, Stage.FILES)
        logged = told.logged(node, Source.SYSLOG, "Menu item 'choose-mirror' selected")

    answers = paths.index(f"/install/{NODE}/preseed.cfg")
    early = paths.index("/early/seven/r4")
    assert answers < early
    assert any(path.startswith("/debian/dists/") for path in paths[early:])
    way = ["script", "kernel", "initrd", "system", "answer-file", "files"]
    assert told.stages(boot) == ["ipxe-discover", "ipxe-offer", *way]
    assert {line["netbootd"]["boot_id"] for line in logged} == {boot["number"]}
    assert {line["host"]["name"] for line in logged} == {"seven"}
    assert {"netcfg", "main-menu", "preseed"} <= {line["process"]["name"] for line in logged}


def test_the_debian_installer_reads_a_secret_answer_file_once(site: Site) -> None:
    daemon = debian_installer(site, secret=True)
    site.lab.run("boot", str(NETBOOTD), "next", NODE, "--config", str(site.file))

    with site.lab.bios(NODE, memory=1024) as node:
        daemon.wait_for("/debian/dists/", INSTALLER_S)
        paths = node.packets().paths()

    asked = [path for path in paths if path.endswith("/preseed.cfg")]
    assert len(asked) == 1
    assert "/token-" in asked[0]
    assert "/early/seven/r4" in paths[paths.index(asked[0]) :]  # it went by what it had read
    assert "second claimant" not in daemon.text


def test_a_live_system_fetches_its_root_into_memory(site: Site) -> None:
    for name in ("vmlinuz", "initrd.img", "filesystem.squashfs"):
        site.put(f"live/{name}", made("live") / name)
    site.target(
        *("ramroot", "live"),
        kernel="live/vmlinuz",
        initrd="live/initrd.img",
        image="live/filesystem.squashfs",
        initramfs="live-boot",
        boot_args="console=ttyS0 quiet",
    )
    site.machine(NODE, "ramroot", "live")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE, memory=512) as node:
        node.wait_for(f"{images.LIVE_UP} overlay", LIVE_S)
        assert "/live/filesystem.squashfs" in node.packets().paths()
        boot = told.one_boot(node, Stage.SYSTEM, Stage.FILES)
    assert told.stages(boot)[-4:] == ["kernel", "initrd", "system", "files"]


# --- choosing ----------------------------------------------------------------------------------


def arguments(node: Node) -> list[str]:
    """The kernel command line that the small Linux found."""
    return node.wait_for(rf"{guest.ARGUMENTS} ([^\n]*)\n", 2 * IPXE_ROM_S)[1].split()


@pytest.mark.ci
def test_a_menu_that_nobody_touches_takes_its_default(site: Site) -> None:
    choices = [{"target": "linux/one", "label": "First"}, {"target": "linux/two", "key": "t"}]
    site.target("menu", "choose", choices=choices, default="linux/two", timeout=2)
    site.machine(NODE, "menu", "choose")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE) as node:
        assert "netbootd.word=two" in arguments(node)
        assert "First" in node.console
        paths = node.packets().paths()
        boot = told.one_boot(node, Stage.INITRD)

    assert paths[:2] == [SCRIPT, f"{SCRIPT}?choice=2"]
    scripts = [step["note"] for step in boot["steps"] if step["stage"] == Stage.SCRIPT]
    assert scripts == ["menu/choose", "linux/two"]


@pytest.mark.ci
def test_an_armed_boot_happens_once_even_if_the_daemon_restarts(site: Site) -> None:
    site.machine(NODE, "linux", "one")
    site.lab.dhcp()
    daemon = site.serve()
    config = str(site.file)
    site.lab.run("boot", str(NETBOOTD), "next", "--config", config, NODE, "biosupdate/floppy")
    daemon.close()
    daemon = site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for(guest.FLOPPY_LINE, IPXE_ROM_S)
    daemon.close()
    site.serve()

    with site.lab.bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node)


def test_bios_machine_told_to_go_back_to_its_firmware_boots_its_disk(
    site: Site, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(guest.disk("DISK-RUNS", 1 << 20))
    site.target("localboot", "exit", bios="exit")
    site.machine(NODE, "localboot", "exit")
    site.lab.dhcp()
    site.serve()

    with site.lab.bios(NODE, disk=disk) as node:
        node.wait_for("DISK-RUNS", IPXE_ROM_S)


def test_uefi_machine_boots_its_disk_by_a_loader_of_ours(site: Site) -> None:
    """The loader is an iPXE of its own, which asks once more where it is to boot from."""
    site.put("loaders/disk.efi", Path("/usr/lib/ipxe/ipxe.efi"))
    site.target("localboot", "loader", efi="loaders/disk.efi")
    site.machine(NODE, "localboot", "loader")
    site.lab.dhcp()
    site.serve()

    with site.lab.uefi(NODE) as node:
        first = node.wait_for("iPXE initialising devices", UEFI_S)
        node.wait_for("iPXE initialising devices", UEFI_S, after=first.end())
        assert "/loaders/disk.efi" in node.packets().paths()
