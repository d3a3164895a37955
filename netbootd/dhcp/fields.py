"""
The boot part of a reply: header fields and options, in one style.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from netbootd.dhcp.message import Message, Option, dotted
from netbootd.dhcp.styles import Style


@dataclass(frozen=True, slots=True)
class Fields:
    """The boot part of a reply; *options* begin with 54 and stand in the order tested."""

    siaddr: IPv4Address
    sname: bytes
    file: bytes
    options: dict[int, bytes]


def fields(
    request: Message,
    style: Style,
    server: IPv4Address,
    file: str,
    vendor_options: bytes,
    next_server: IPv4Address | None = None,
    wanted: bytes = b"",
) -> Fields:
    """
    Tell the sender of *request* to load *file*, a path or URL, from *next_server*; without that
    from *server*, which answers.  What stands in *wanted* (options 66 and 67 by their codes) is
    told by these options as well.
    """
    next_server = next_server or server
    in_header, in_option = _boot_file(file.encode(), style, twice=Option.BOOT_FILE in wanted)
    by_name = style.server_option or Option.TFTP_SERVER_NAME in wanted
    options: dict[int, bytes] = {
        Option.SERVER_ID: server.packed,
        Option.VENDOR_CLASS: style.vendor_class,
        Option.UUID: _uuid_echo(request),
        Option.VENDOR_OPTIONS: vendor_options,
        Option.TFTP_SERVER_NAME: dotted(next_server).encode() if by_name else b"",
        Option.BOOT_FILE: in_option,
        Option.IPXE: style.ipxe_options,
        Option.CLIENT_ID: request.options.get(Option.CLIENT_ID, b""),  # RFC 6842
        Option.RELAY_AGENT: request.options.get(Option.RELAY_AGENT, b""),  # RFC 3046: the last
    }
    return Fields(
        siaddr=next_server,
        sname=dotted(next_server).encode() if style.named_server else b"",
        file=in_header,
        # An empty option 43 would make EDK2 drop the whole packet; no other is of use either.
        options={code: value for code, value in options.items() if value},
    )


def _uuid_echo(request: Message) -> bytes:
    """Option 97 as it came, if it has the one shape defined (RFC 4578, section 2.3)."""
    value = request.options.get(Option.UUID, b"")
    return value if len(value) == 17 and value[0] == 0 else b""


def _boot_file(name: bytes, style: Style, *, twice: bool) -> tuple[bytes, bytes]:
    """
    The header field and option 67; a name of more than 127 bytes fits the option only, and *twice*
    wants it in both.

    The option ends in a NUL where there is room: EDK2 writes one over the next option otherwise
    (HttpBootDhcp4.c, PxeBcDhcp4.c), and some ROMs need it.
    """
    fits = len(name) <= 127
    if not style.with_file or (fits and not style.boot_file_option and not twice):
        return name if style.with_file else b"", b""
    return name if fits else b"", name if len(name) >= 255 else name + b"\0"
