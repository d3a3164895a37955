"""
The header of an x86 Linux kernel (Documentation/arch/x86/boot.rst): how long its file must be.

Pure.
"""

from __future__ import annotations

import struct

#: Bytes from the beginning of the file that ``shortage`` wants.
HEAD = 0x264
_MAGIC_AT, _MAGIC = 0x202, b"HdrS"
_SETUP_SECTORS_AT = 0x1F1
_SYSSIZE_AT = 0x1F4  # paragraphs of 16 bytes, 32 bits since protocol 2.04
_SECTOR = 512
_PARAGRAPH = 16


def shortage(head: bytes, size: int) -> str:
    """
    Why a kernel of *size* bytes that begins with *head* is not whole; empty for one that is, and
    for what is no such kernel.
    """
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        return ""
    sectors = head[_SETUP_SECTORS_AT] or 4
    (paragraphs,) = struct.unpack_from("<I", head, _SYSSIZE_AT)
    wanted = (1 + sectors) * _SECTOR + paragraphs * _PARAGRAPH
    # The last paragraph, and the checksum behind it, may be counted or not.
    if size + _PARAGRAPH >= wanted:
        return ""
    return f"it has {size} bytes, and its header tells of {wanted}"
