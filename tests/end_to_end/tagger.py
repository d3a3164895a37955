"""
A VLAN in user space, for kernels that are built without 802.1Q: ``tagger.py TAG TRUNK PORT …``.

Each of TRUNK and PORT is ``NAMESPACE:TAP``, a tap device that is there.  Frames with the tag leave
the trunk for the ports without it, frames of a port go to the trunk with it, and to other ports.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import selectors
import struct
import sys

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_TPID = b"\x81\x00"
_ADDRESSES = 12  # bytes: the two at the beginning of a frame
_LONGEST_FRAME = 65536


def opened(place: str) -> int:
    """The descriptor of a tap device of another namespace."""
    namespace, _, name = place.partition(":")
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as inside:
        if libc.setns(inside.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap


def untagged(frame: bytes, tag: int) -> bytes | None:
    """*frame* without its tag; None for one of another network."""
    kind, control = frame[_ADDRESSES : _ADDRESSES + 2], frame[_ADDRESSES + 2 : _ADDRESSES + 4]
    if kind != _TPID or int.from_bytes(control, "big") & 0x0FFF != tag:
        return None
    return frame[:_ADDRESSES] + frame[_ADDRESSES + 4 :]


def tagged(frame: bytes, tag: int) -> bytes:
    """*frame* with its tag."""
    return frame[:_ADDRESSES] + _TPID + tag.to_bytes(2, "big") + frame[_ADDRESSES:]


def main(tag: int, *places: str) -> None:
    trunk, *ports = map(opened, places)
    selector = selectors.DefaultSelector()
    for tap in (trunk, *ports):
        selector.register(tap, selectors.EVENT_READ)
    print("tagging", flush=True)
    while True:
        for key, _ in selector.select():
            frame: bytes | None = os.read(key.fd, _LONGEST_FRAME)
            assert frame is not None
            if key.fd == trunk:
                frame = untagged(frame, tag)
            else:
                os.write(trunk, tagged(frame, tag))
            for port in ports if frame else ():
                if port != key.fd:
                    os.write(port, frame)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
