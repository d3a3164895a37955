r"""
Lines by which a console tells that a boot goes wrong.

Each kind has words, all in lower case, one of which is in the line; they are looked for in every
line there is, so they are plain words and no patterns.  Sources: the kernel's init/main.c,
init/do_mounts.c, kernel/panic.c, mm/oom_kill.c, fs/nfs; dracut's rdsosreport and dracut-lib.sh;
debian-installer's main-menu and its "Configuration failed" lines; anaconda; iPXE's errors.
"""

from __future__ import annotations

#: By kind, the words.
KINDS: dict[str, tuple[str, ...]] = {
    "panic": ("kernel panic", "not syncing:", "unable to handle kernel", "kernel bug at"),
    "no-root": (
        "unable to mount root",
        "cannot open root device",
        "vfs: unable to",
        "gave up waiting for root",
        "does not exist.  dropping to a shell",
        "no root device found",
        "unable to find a live file system",
        "could not find root filesystem",
        "failed to mount /sysroot",
        "can't mount root filesystem",
    ),
    "no-init": ("no working init found", "no init found", "run-init:", "failed to execute /init"),
    "ipxe": ("ipxe.org/", "could not boot image", "could not start download"),
    "dracut": (
        "entering emergency mode",
        "could not boot",
        "dropping to debug shell",
        "dracut-initqueue timeout",
        "starting timeout scripts",
        "emergency shell",
        "(initramfs)",
    ),
    "nfs": (
        "nfs: server",
        "root-nfs:",
        "mount.nfs",
        "nfs over",
        "nfsmount:",
        "nfs4_discover_server_trunking",
        "rpc.statd is not running",
    ),
    "no-address": (
        "ip-config: auto-configuration of network failed",
        "ip-config: no response",
        "ip-config: no devices to configure",
        "no network devices available",
        "network autoconfiguration failed",
        "no dhcpoffers received",
    ),
    "link": ("link is down", "link down", "carrier lost", "nic link is down"),
    "memory": (
        "out of memory",
        "initramfs unpacking failed",
        "no space left on device",
        "system halted",
    ),
    "installer": (
        "configuring '",
        "menu item '",
        "preconfiguration file could not be retrieved",
        "failed to retrieve the preconfiguration file",
        "bad archive mirror",
        "installation step failed",
        "error in kickstart",
        "error parsing kickstart",
        "kickstart error",
        "an unknown error has occurred",
        "failed to set up installation source",
        "traceback (most recent call last)",
        "no kernel modules were found",
    ),
    "driver": ("firmware: failed to load", "no suitable driver", "no ethernet card was detected"),
}
_LOOKED_AT = 1000  # characters
#: Words of these kinds, or these words, tell of trouble only where something failed.
_IF_FAILED = frozenset({"nfs", "configuring '", "menu item '"})
_FAILED = ("fail", "error", "not ", "timed out", "timeout", "unable", "refused", "denied")
#: What the words find as well, and is no trouble.
_HARMLESS = ("still trying", "mounted root", "unloading nfs")


def kind_of(text: str) -> str:
    """What kind of trouble the line *text* tells of, one of ``KINDS``; empty for none."""
    lower = text[:_LOOKED_AT].lower()
    for kind, words in KINDS.items():
        for word in words:
            if word in lower and _is_grave(kind, word, lower):
                return kind
    return ""


def _is_grave(kind: str, word: str, lower: str) -> bool:
    if (kind in _IF_FAILED or word in _IF_FAILED) and not any(one in lower for one in _FAILED):
        return False
    return not any(one in lower for one in _HARMLESS)
