"""
Several initrds as one file.

U-Boot and petitboot know one initrd and take ``a,b``, by which PXELINUX means two, for a name.
Asked for that, we send both, one behind the other, as the kernel reads them: zeros fill each up to
a multiple of four bytes (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

from collections.abc import Sequence

from netbootd.content import Content

SEPARATOR = ","
#: More than anybody writes into a target.
MOST = 16
_ALIGNMENT = 4


class Joined(Content):
    """*parts* in order; closing it closes them."""

    __slots__ = ("parts",)

    def __init__(self, name: str, parts: Sequence[Content]) -> None:
        super().__init__(name, held=b"")
        self.held = self.stamp = None
        self.parts = tuple(parts)
        self.size = sum(_filled(part) for part in self.parts)

    @property
    def etag(self) -> str:
        """Of all of them."""
        return "+".join(part.etag for part in self.parts)

    def read(self, offset: int, count: int) -> bytes:
        """As of one file; fewer bytes than announced where a part shrank, never moved ones."""
        found = bytearray()
        for part in self.parts:
            room = _filled(part)
            if offset < room and len(found) < count:
                wanted = min(room - offset, count - len(found))
                read = part.read(offset, min(wanted, max(0, part.size - offset)))
                if len(read) < min(wanted, part.size - offset):
                    return bytes(found + read)
                found += read.ljust(wanted, b"\0")
                offset += wanted
            offset -= room
        return bytes(found)

    def close(self) -> None:
        for part in self.parts:
            part.close()


def _filled(part: Content) -> int:
    """The bytes that *part* takes."""
    return part.size + -part.size % _ALIGNMENT
