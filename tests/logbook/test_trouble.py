from __future__ import annotations

import json
from pathlib import Path

import pytest

from netbootd.logbook.trouble import kind_of
from netbootd.syslog.wire import read

CAPTURES = Path(__file__).parents[1] / "captures"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs on", "panic"),
        ("Kernel panic - not syncing: No working init found.  Try passing init=", "panic"),
        ("BUG: unable to handle kernel NULL pointer dereference at 0000", "panic"),
        ('VFS: Cannot open root device "nfs" or unknown-block(0,255): error -6', "no-root"),
        ("VFS: Unable to mount root fs via NFS, trying floppy.", "no-root"),
        ("Gave up waiting for root file system device.", "no-root"),
        ("No working init found.", "no-init"),
        ("run-init: can't execute '/sbin/init': No such file or directory", "no-init"),
        ("Warning: dracut-initqueue timeout - starting timeout scripts", "dracut"),
        ("Entering emergency mode. Exit the shell to continue.", "dracut"),
        ("mount.nfs: access denied by server while mounting 192.0.2.1:/srv", "nfs"),
        ("NFS: server 192.0.2.1 not responding, timed out", "nfs"),
        ("NFS over TCP not available from 192.0.2.1", "nfs"),
        ("IP-Config: Auto-configuration of network failed", "no-address"),
        ("Could not boot: Error 0x040ee119 (http://ipxe.org/040ee119)", "ipxe"),
        ("http://192.0.2.1/vmlinuz... No such file (https://ipxe.org/2d0c613b)", "ipxe"),
        ("tg3 0000:02:00.0 eth0: Link is down", "link"),
        ("ixgbe 0000:01:00.0 eth0: NIC Link is Down", "link"),
        ("Initramfs unpacking failed: write error", "memory"),
        ("Out of memory: Killed process 1 (init)", "memory"),
        ("WARNING **: Configuring 'netcfg' failed with error code 1", "installer"),
        ("(process:1): main-menu: Menu item 'bootstrap-base' failed.", "installer"),
    ],
)
def test_trouble_is_known_by_its_words(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)",
        "VFS: Mounted root (nfs filesystem) readonly on device 0:18.",
        "tg3 0000:02:00.0 eth0: Link is up at 1000 Mbps, full duplex",
        "Run /init as init process",
        "INFO: Menu item 'network-preseed' selected",
        "NFS: server 192.0.2.1 ok",
        "RPC: Registered named UNIX socket transport module.",
        "",
    ],
)
def test_what_is_well_is_none(text):
    assert kind_of(text) == ""


def test_an_installation_that_goes_well_tells_of_no_trouble():
    packets = json.loads((CAPTURES / "debian-installer-syslog.json").read_text())
    assert {kind_of(read(bytes.fromhex(packet["hex"])).text) for packet in packets} == {""}
