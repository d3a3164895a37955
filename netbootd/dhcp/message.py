"""
A BOOTP/DHCP message in the words of RFC 2131, and what its options say.

Options are kept as they travelled, code to bytes, in the order of first appearance; the properties
read them.  Nothing here raises: an option of the wrong shape counts as absent, since firmware that
writes one badly still wants to boot.  Text loses trailing NULs, which many ROMs count in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import NamedTuple

from netbootd.arch import TABLE, Arch, arch_of
from netbootd.mac import MAC

NO_ADDRESS = IPv4Address(0)
BROADCAST_FLAG = 0x8000  # RFC 2131, section 2, figure 2

#: A message nobody gave a limit for: 576 bytes of IP datagram (RFC 2131, section 2).
SMALLEST_LIMIT = 548
#: Ethernet's 1,500 without IP and UDP headers; EDK2 drops offers above it.
LARGEST_LIMIT = 1472
_IP_AND_UDP_HEADERS = 28


class Op(IntEnum):
    """RFC 951, field ``op``."""

    REQUEST = 1
    REPLY = 2


class HardwareType(IntEnum):
    """RFC 1700, "Number Hardware Type"; those we have a name for."""

    ETHERNET = 1
    IEEE_802 = 6
    INFINIBAND = 32  # RFC 4391


class MessageType(IntEnum):
    """RFC 2132, section 9.6."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """The options we read or write, by RFC 2132 unless another is named."""

    PAD = 0
    SUBNET_MASK = 1
    ROUTERS = 3
    DOMAIN_NAME_SERVERS = 6
    LOG_SERVERS = 7
    HOST_NAME = 12
    DOMAIN_NAME = 15
    MTU = 26
    BROADCAST_ADDRESS = 28
    NTP_SERVERS = 42
    VENDOR_OPTIONS = 43  # PXE 2.1, section 2.2
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    WANTED = 55  # the parameter request list
    MESSAGE = 56
    MAX_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    TFTP_SERVER_NAME = 66
    BOOT_FILE = 67
    USER_CLASS = 77  # RFC 3004
    RAPID_COMMIT = 80  # RFC 4039
    CLIENT_NAME = 81  # RFC 4702
    RELAY_AGENT = 82  # RFC 3046
    ARCH = 93  # RFC 4578, section 2.1
    INTERFACE = 94  # RFC 4578, section 2.2
    UUID = 97  # RFC 4578, section 2.3
    DOMAIN_SEARCH = 119  # RFC 3397
    ROUTES = 121  # RFC 3442
    TFTP_SERVERS = 150  # RFC 5859
    IPXE = 175  # https://ipxe.org/howto/dhcpd
    CONFIGURATION_FILE = 209  # RFC 5071
    PATH_PREFIX = 210  # RFC 5071
    MICROSOFT_ROUTES = 249  # as ROUTES, by [MS-DHCPE], section 2.2.8
    END = 255


def sub_options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """
    The code-length-value triples inside options 43, 82 and 175.

    PAD and END have their meaning there too (RFC 2132, section 8.4), and are no codes of 82
    (RFC 3046, section 2.0); a length that runs past the end stops the walk.
    """
    at = 0
    while at < len(data) and data[at] != Option.END:
        if data[at] == Option.PAD:
            at += 1
            continue
        end = at + 2 + data[at + 1] if at + 1 < len(data) else len(data) + 1
        if end > len(data):
            return
        yield data[at], data[at + 2 : end]
        at = end


class Message(NamedTuple):
    """
    One message.  *chaddr* has all 16 bytes; *sname* and *file* end before their first NUL, and are
    empty where the field carried options instead (option 52).

    A tuple, since two are made for each packet: a frozen dataclass takes three times as long.
    """

    op: int
    htype: int = HardwareType.ETHERNET
    hlen: int = 6
    hops: int = 0
    xid: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = NO_ADDRESS
    yiaddr: IPv4Address = NO_ADDRESS
    siaddr: IPv4Address = NO_ADDRESS
    giaddr: IPv4Address = NO_ADDRESS
    chaddr: bytes = bytes(16)
    sname: bytes = b""
    file: bytes = b""
    options: Mapping[int, bytes] = MappingProxyType({})

    @property
    def mac(self) -> MAC | None:
        """The sender's Ethernet address, None for InfiniBand, a GUID and whatever else."""
        if self.hlen != 6 or self.htype not in (HardwareType.ETHERNET, HardwareType.IEEE_802):
            return None
        return MAC(self.chaddr[:6])

    @property
    def message_type(self) -> int | None:
        """Option 53 as a number; None is BOOTP."""
        return self._number(Option.MESSAGE_TYPE, 1)

    @property
    def message_name(self) -> str:
        """The message type for people: ``DISCOVER``."""
        number = self.message_type
        if number is None:
            return "BOOTP request"
        return MessageType(number).name if number in _NAMED_TYPES else f"message type {number}"

    @property
    def server_id(self) -> IPv4Address | None:
        """Option 54."""
        number = self._number(Option.SERVER_ID, 4)
        return None if number is None else IPv4Address(number)

    @property
    def limit(self) -> int:
        """Bytes of message, IP and UDP headers not counted, that the sender takes (option 57)."""
        asked = self._number(Option.MAX_SIZE, 2) or 0
        return min(max(asked - _IP_AND_UDP_HEADERS, SMALLEST_LIMIT), LARGEST_LIMIT)

    @property
    def vendor_class(self) -> str:
        """Option 60: ``PXEClient:Arch:00007:UNDI:003000``."""
        return self.text(Option.VENDOR_CLASS)

    @property
    def user_classes(self) -> tuple[str, ...]:
        """
        Option 77, as RFC 3004's list of counted strings where it is one, else as one plain string.

        iPXE and most others send plain text, which RFC 3004 does not know.
        """
        return _user_classes(self.options.get(Option.USER_CLASS, b""))

    @property
    def arch(self) -> Arch | None:
        """Option 93: the first number with a name of the list, else the first; None without one."""
        return _arch(self.options.get(Option.ARCH, b""))

    @property
    def uuid(self) -> str:
        """
        Option 97 in the standard text form, empty where absent or of another type than 0.

        The first three fields are little-endian on the wire, as in SMBIOS (RFC 4578, section 2.3).
        """
        return uuid_of(self.options.get(Option.UUID, b""))

    @property
    def vendor_options(self) -> dict[int, bytes]:
        """Option 43 taken apart."""
        return dict(sub_options(self.options.get(Option.VENDOR_OPTIONS, b"")))

    @property
    def ipxe_options(self) -> dict[int, bytes]:
        """Option 175 taken apart."""
        return dict(sub_options(self.options.get(Option.IPXE, b"")))

    def text(self, code: int) -> str:
        """An option as text, byte for byte (Latin-1); empty where absent."""
        return _text(self.options.get(code, b""))

    def _number(self, code: int, size: int) -> int | None:
        data = self.options.get(code, b"")
        return int.from_bytes(data, "big") if len(data) == size else None


_NAMED_TYPES = frozenset(MessageType)


def uuid_of(data: bytes) -> str:
    """What option 97 says, as ``Message.uuid`` has it."""
    if len(data) != 17 or data[0] != 0:
        return ""
    first, rest = data[4:0:-1] + data[6:4:-1] + data[8:6:-1], data[9:].hex()
    text = first.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:]}-{rest[:4]}-{rest[4:]}"


def dotted(address: IPv4Address) -> str:
    """*address* as text; a packet asks for that of the same few again and again."""
    return _dotted(int(address))


@lru_cache(maxsize=4096)
def _dotted(number: int) -> str:
    return str(IPv4Address(number))


@lru_cache(maxsize=1024)
def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("latin-1")


@lru_cache(maxsize=1024)
def _arch(data: bytes) -> Arch | None:
    if len(data) < 2:
        return None
    numbers = struct.unpack_from(f"!{len(data) // 2}H", data)
    return arch_of(next((number for number in numbers if number in TABLE), numbers[0]))


@lru_cache(maxsize=1024)
def _user_classes(data: bytes) -> tuple[str, ...]:
    if not data.rstrip(b"\0"):
        return ()
    return _counted_strings(data) or (_text(data),)


def _counted_strings(data: bytes) -> tuple[str, ...]:
    """The strings of RFC 3004, section 4; none at all unless the lengths add up exactly."""
    found: list[str] = []
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if data[at] == 0 or end > len(data):
            return ()
        found.append(data[at + 1 : end].rstrip(b"\0").decode("latin-1"))
        at = end
    return tuple(found)
