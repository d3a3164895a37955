"""
What a system says before it gives up, in the words of those that are booted over a network.
"""

from __future__ import annotations

import re

#: The last lines of a kernel that could not go on (Linux, kernel/panic.c, init/do_mounts.c).
PANIC = re.compile(
    r"kernel panic|not syncing|oops:|unable to handle (kernel|page fault)|general protection fault"
    r"|bad page state|out of memory|initramfs unpacking failed|attempted to kill init",
    re.IGNORECASE,
)
#: Lines of kernels and initramfs that cannot mount their root over NFS.
NFS = re.compile(
    r"unable to mount root.*nfs|root-nfs: |nfs: server \S+ not responding|mount\.nfs"
    r"|nfsmount|nfsroot.*(fail|denied|error)|vfs: unable to mount root fs via nfs"
    r"|access denied by server while mounting|rpcbind|mount: .*nfs.*(fail|refused|denied)",
    re.IGNORECASE,
)


def tells_of_trouble(line: str) -> bool:
    """Whether *line* is the last word of a system that cannot go on."""
    return bool(PANIC.search(line) or NFS.search(line))
