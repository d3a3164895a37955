"""
What the kernel dropped because a socket's buffer was full: the last column of ``/proc/net/udp``
(proc(5); net/ipv4/udp.c of Linux).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_INODE, _DROPS = 9, 12  # columns


def drops_in(table: Path, inodes: Collection[int]) -> dict[int, int]:
    """By the *inodes* of our sockets, the datagrams dropped; none where *table* cannot be read."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        columns = line.split()
        if len(columns) > _DROPS and int(columns[_INODE]) in inodes:
            found[int(columns[_INODE])] = int(columns[_DROPS])
    return found
