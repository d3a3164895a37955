"""
A DHCPv6 message in the words of RFC 8415, and what its options say.

Options are kept as they travelled, in their order, and some may come more than once.  The
properties read them, and nothing here raises: an option of the wrong shape counts as absent, since
firmware that writes one badly still wants to boot.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from ipaddress import IPv6Address
from typing import NamedTuple
from uuid import UUID

from netbootd.arch import TABLE, Arch, arch_of
from netbootd.mac import MAC

NO_ADDRESS = IPv6Address(0)


class MessageType(IntEnum):
    """RFC 8415, section 7.3."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    RECONFIGURE = 10
    INFORMATION_REQUEST = 11
    RELAY_FORW = 12
    RELAY_REPL = 13


class Option(IntEnum):
    """The options we read or write, by RFC 8415 unless another is named."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_ADDRESS = 5
    OPTION_REQUEST = 6
    PREFERENCE = 7
    ELAPSED_TIME = 8
    RELAY_MESSAGE = 9
    STATUS_CODE = 13
    RAPID_COMMIT = 14
    USER_CLASS = 15
    VENDOR_CLASS = 16
    INTERFACE_ID = 18
    DNS_SERVERS = 23  # RFC 3646
    DOMAIN_LIST = 24  # RFC 3646
    FQDN = 39  # RFC 4704
    NTP_SERVER = 56  # RFC 5908
    BOOT_FILE_URL = 59  # RFC 5970, section 3.1
    BOOT_FILE_PARAMETERS = 60  # RFC 5970, section 3.2
    ARCH = 61  # RFC 5970, section 3.3
    INTERFACE = 62  # RFC 5970, section 3.4: as option 94 of DHCPv4
    LINK_LAYER_ADDRESS = 79  # RFC 6939


class Status(IntEnum):
    """RFC 8415, section 21.13."""

    SUCCESS = 0
    UNSPEC_FAIL = 1
    NO_ADDRS_AVAIL = 2
    NO_BINDING = 3
    NOT_ON_LINK = 4
    USE_MULTICAST = 5


class Duid(IntEnum):
    """The kinds of identifiers: RFC 8415, section 11, and RFC 6355."""

    LLT = 1
    EN = 2
    LL = 3
    UUID = 4


Options = tuple[tuple[int, bytes], ...]

_ETHERNET = 1  # hardware types of RFC 826
_IA = struct.Struct("!III")
_IA_ADDRESS = struct.Struct("!16sII")
#: RFC 8415, section 11.1: an identifier has at most 128 bytes beside its type.
LONGEST_DUID = 130


def options_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option in *data*; a length that runs past the end stops the walk."""
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("!HH", data, at)
        end = at + 4 + length
        if end > len(data):
            return
        yield code, data[at + 4 : end]
        at = end


def encoded(options: Options) -> bytes:
    """Undo ``options_of``."""
    return b"".join(struct.pack("!HH", code, len(value)) + value for code, value in options)


class Association(NamedTuple):
    """
    An IA_NA: the client's number for one interface of its, and the *addresses* that it names.

    *lifetimes* are those of each address, preferred and valid, in seconds.
    """

    iaid: int
    addresses: tuple[IPv6Address, ...] = ()
    lifetimes: tuple[tuple[int, int], ...] = ()
    status: tuple[int, str] | None = None


class Relay(NamedTuple):
    """One relay on the way: what it says of where the client is (RFC 8415, section 9)."""

    hops: int
    link: IPv6Address
    peer: IPv6Address
    options: Options = ()


class Message(NamedTuple):
    """
    One message of a client or to one, and the *relays* between, the one nearest to us first.

    *type* is that of the message inside; *xid* has 24 bits.
    """

    type: int
    xid: int = 0
    options: Options = ()
    relays: tuple[Relay, ...] = ()

    def option(self, code: int) -> bytes | None:
        """The first of that *code*."""
        return next((value for found, value in self.options if found == code), None)

    @property
    def name(self) -> str:
        """The message type for people: ``SOLICIT``."""
        known = self.type in _NAMED_TYPES
        return (
            MessageType(self.type).name.replace("_", "-") if known else f"message type {self.type}"
        )

    @property
    def client_id(self) -> bytes:
        """The client's DUID; empty for none, and for one that is too long or too short."""
        return _duid(self.option(Option.CLIENT_ID))

    @property
    def server_id(self) -> bytes | None:
        """The DUID of the server that is meant; None where the option is absent."""
        return self.option(Option.SERVER_ID)

    @property
    def requested(self) -> tuple[int, ...]:
        """The codes in the option request."""
        data = self.option(Option.OPTION_REQUEST) or b""
        return struct.unpack_from(f"!{len(data) // 2}H", data)

    @property
    def rapid_commit(self) -> bool:
        """Whether a SOLICIT would take a REPLY at once."""
        return self.option(Option.RAPID_COMMIT) is not None

    @property
    def associations(self) -> tuple[Association, ...]:
        """All of type IA_NA, in order; of an IAID that comes twice the first."""
        found: dict[int, Association] = {}
        for code, value in self.options:
            if code == Option.IA_NA and len(value) >= _IA.size:
                one = _association(value)
                found.setdefault(one.iaid, one)
        return tuple(found.values())

    @property
    def user_classes(self) -> tuple[str, ...]:
        """Option 15: counted strings."""
        return _counted(self.option(Option.USER_CLASS) or b"")

    @property
    def vendor_classes(self) -> tuple[str, ...]:
        """Option 16: counted strings behind the number of an enterprise."""
        return _counted((self.option(Option.VENDOR_CLASS) or b"")[4:])

    @property
    def enterprise(self) -> bytes:
        """Whose vendor class option 16 is, four bytes; zeros where there is none."""
        return (self.option(Option.VENDOR_CLASS) or b"")[:4].ljust(4, b"\0")

    @property
    def arch(self) -> Arch | None:
        """Option 61: the first number with a name of the list, else the first; None without one."""
        data = self.option(Option.ARCH) or b""
        if len(data) < 2:
            return None
        numbers = struct.unpack_from(f"!{len(data) // 2}H", data)
        return arch_of(next((number for number in numbers if number in TABLE), numbers[0]))

    @property
    def uuid(self) -> str:
        """
        What SMBIOS calls the machine, from a DUID of type 4; empty for another.

        EDK2 copies the table's bytes, whose first three fields are little-endian (Dhcp6Dxe,
        Dhcp6GenerateClientId); iPXE and Linux may turn them.  ``registry/marks`` takes both.
        """
        duid = self.client_id
        kind, rest = int.from_bytes(duid[:2], "big"), duid[2:]
        return str(UUID(bytes_le=rest)) if kind == Duid.UUID and len(rest) == 16 else ""

    @property
    def duid_mac(self) -> MAC | None:
        """The Ethernet address that the client's DUID is made of, which may be another card's."""
        duid = self.client_id
        kind, hardware = int.from_bytes(duid[:2], "big"), int.from_bytes(duid[2:4], "big")
        behind = {Duid.LLT: 8, Duid.LL: 4}.get(Duid(kind)) if kind in _KINDS else None
        if behind is None or hardware not in _ETHERNETS or len(duid) != behind + 6:
            return None
        return MAC(duid[behind:])

    @property
    def link(self) -> IPv6Address:
        """
        The address that tells on which link the client is, as the relays say: the first that says
        one, from the client on (RFC 8415, section 13.1).  Zero without a relay.
        """
        for relay in reversed(self.relays):
            if int(relay.link) and not relay.link.is_link_local:
                return relay.link
        return NO_ADDRESS

    @property
    def relayed_mac(self) -> MAC | None:
        """The card's address as the relay next to it saw it (RFC 6939)."""
        if not self.relays:
            return None
        for code, value in self.relays[-1].options:
            if code == Option.LINK_LAYER_ADDRESS and len(value) == 8:
                return MAC(value[2:]) if value[:2] == b"\0\1" else None
        return None

    @property
    def host_name(self) -> str:
        """
        The first label of what the client calls itself (option 39, RFC 4704, section 4): flags, and
        a name in the encoding of DNS.
        """
        data = (self.option(Option.FQDN) or b"")[1:]
        label = data[1 : 1 + data[0]] if data and data[0] < 64 else b""
        return label.decode("latin-1") if label and len(label) == data[0] else ""


_NAMED_TYPES = frozenset(MessageType)
_KINDS = frozenset(Duid)
#: Old iPXE may write its number in the byte order of the host.
_ETHERNETS = (_ETHERNET, _ETHERNET << 8)


def _duid(data: bytes | None) -> bytes:
    return data if data and 3 <= len(data) <= LONGEST_DUID else b""


def _counted(data: bytes) -> tuple[str, ...]:
    """
    Strings behind their lengths of two bytes; none at all unless these add up.
    """
    found: list[str] = []
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            return ()
        found.append(data[at + 2 : end].rstrip(b"\0").decode("latin-1"))
        at = end
    return tuple(found)


def _association(value: bytes) -> Association:
    iaid, _, _ = _IA.unpack_from(value)
    addresses, lifetimes = [], []
    for code, inner in options_of(value[_IA.size :]):
        if code == Option.IA_ADDRESS and len(inner) >= _IA_ADDRESS.size:
            address, preferred, valid = _IA_ADDRESS.unpack_from(inner)
            addresses.append(IPv6Address(address))
            lifetimes.append((preferred, valid))
    return Association(iaid, tuple(addresses), tuple(lifetimes))


def association(one: Association, renew: int = 0, rebind: int = 0) -> tuple[int, bytes]:
    """The option that says *one*; *renew* and *rebind* are T1 and T2, seconds."""
    inner: list[tuple[int, bytes]] = [
        (Option.IA_ADDRESS, _IA_ADDRESS.pack(address.packed, preferred, valid))
        for address, (preferred, valid) in zip(one.addresses, one.lifetimes, strict=True)
    ]
    if one.status is not None:
        inner.append(status(*one.status))
    return Option.IA_NA, _IA.pack(one.iaid, renew, rebind) + encoded(tuple(inner))


def status(code: int, text: str) -> tuple[int, bytes]:
    """The option that says how it went, *text* for people."""
    return Option.STATUS_CODE, struct.pack("!H", code) + text.encode("utf-8")


def card_of(address: IPv6Address) -> MAC | None:
    """
    The MAC that a link-local *address* is made of (RFC 4291, appendix A), None for one that is not.

    All firmware makes its own so; systems often do not.
    """
    identifier = address.packed[8:]
    if not address.is_link_local or identifier[3:5] != b"\xff\xfe":
        return None
    mac = MAC(bytes((identifier[0] ^ 2,)) + identifier[1:3] + identifier[5:])
    return None if mac.reserved else mac
