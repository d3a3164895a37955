"""
DHCP options as an admin writes them: by the names of ``dhcp-options(5)`` or by number, and a value
as JSON has it, encoded as it goes on the wire.

The names are those of ISC's ``dhcpd.conf``, with IANA's where that has no name (``Dynamic Host
Configuration Protocol (DHCP) and Bootstrap Protocol (BOOTP) Parameters``).  The shapes are those of
RFC 2132 and of the RFC that is named beside an option.

An option that has no name here may be given by its number.  Any option may be given as it goes on
the wire, in hexadecimal: ``"0x0a010005"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple

from netbootd.nearest import did_you_mean
from netbootd.relaxedjson import kind

SUBNET_MASK, ROUTERS, DOMAIN_NAME_SERVERS, HOST_NAME, DOMAIN_NAME = 1, 3, 6, 12, 15
INTERFACE_MTU, BROADCAST_ADDRESS, NTP_SERVERS = 26, 28, 42
DOMAIN_SEARCH, CLASSLESS_STATIC_ROUTES = 119, 121

#: Bytes of one option; what is longer than 255 is split (RFC 3396), and a packet must hold it.
MOST = 1024

_HEX = re.compile(r"0[xX]((?:[0-9A-Fa-f]{2})+)")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253  # characters, RFC 1035, section 2.3.4

#: What a client, a relay or the protocol itself says: an admin does not.
_OURS: Mapping[int, str] = {
    0: "it fills a packet up (pad)",
    50: "the client asks for an address with it",
    51: 'it is the lease time: say "lease_time"',
    52: "it says where else options stand",
    53: "it says what kind of message this is",
    54: "it is our own address",
    55: "the client asks for options with it",
    56: "it says why a client is refused",
    57: "the client says with it what it can take",
    58: 'it is half of the lease time: say "lease_time"',
    59: 'it is seven eighths of the lease time: say "lease_time"',
    61: "it is what the client calls itself",
    80: 'it is rapid commit: say "rapid_commit"',
    82: "it is what a relay says",
    97: "it is the client's UUID",
    118: "a relay chooses a subnet with it",
    255: "it ends a packet",
}
#: What netbootd itself says to whoever boots, and what takes its place there.
_BOOT: Mapping[int, str] = {
    43: "what tells firmware of its boot file",
    60: '"PXEClient" or "HTTPClient"',
    66: "the boot server's address",
    67: "the boot file's name",
}


def note(code: int) -> str:
    """What to know of an option that is given; empty for nothing."""
    if code not in _BOOT:
        return ""
    return (
        f"machines that boot from the network get {_BOOT[code]} there instead, where they need it"
    )


def encode(option: str, value: Any) -> tuple[int, bytes]:
    """
    The code and the bytes of *option*, a name or a number, with *value* as JSON has it.

    Raises ValueError, which says what would be right.
    """
    code = code_of(option)
    if code in _OURS:
        raise ValueError(f"netbootd decides option {_called(code)} itself: {_OURS[code]}")
    if isinstance(value, str) and (written := _HEX.fullmatch(value.strip())):
        data = bytes.fromhex(written[1])
    else:
        data = _encoded(code, value)
    if not data:
        raise ValueError(f"option {_called(code)} cannot be empty; leave it out instead")
    if len(data) > MOST:
        raise ValueError(f"option {_called(code)} has {len(data)} bytes; {MOST} at most")
    return code, data


class Told(NamedTuple):
    """What is to be said of the option *key*, empty for all of them; *wrong* ones are left out."""

    code: str
    key: str
    text: str
    wrong: bool = True


def read(options: Any) -> tuple[dict[int, bytes], list[Told]]:
    """The options of an object by their codes, encoded, and what is to be said of them."""
    if not isinstance(options, dict):
        told = f"options must be an object, not {kind(options)}; left out"
        return {}, [Told("option-invalid", "", told)]
    found: dict[int, bytes] = {}
    said: list[Told] = []
    for key, value in options.items():
        try:
            code, data = encode(key, value)
        except ValueError as problem:
            said.append(Told("option-invalid", key, f"{problem}; left out"))
            continue
        if code in found:
            said.append(Told("option-twice", key, f"option {_called(code)} stands here twice"))
        if remark := note(code):
            said.append(Told("option-boot", key, f"option {_called(code)}: {remark}", wrong=False))
        found[code] = data
    return found, said


def _encoded(code: int, value: Any) -> bytes:
    known = _BY_CODE.get(code)
    shape = known.shape if known else _ANY
    try:
        return shape.encode(value)
    except ValueError as problem:
        detail = f": {problem}" if str(problem) else ""
        told = f"option {_called(code)} must be {shape.wanted}, not {value!r:.60}{detail}"
        raise ValueError(told) from None


def code_of(option: str) -> int:
    """The code of a name or a number.  Raises ValueError for neither."""
    word = option.strip().lower().replace("_", "-")
    if word in _BY_NAME:
        return _BY_NAME[word]
    if word.isascii() and word.isdecimal() and len(word) < 10:
        if int(word) > 255:
            raise ValueError(f"option {word}: the numbers of options are 1 to 254")
        return int(word)
    meant = did_you_mean(word, [one.name for one in _TABLE])
    told = "names are those of dhcp-options(5), and any other option goes by its number"
    raise ValueError(f'no option "{option:.40}"{meant or f"; {told}"}')


def name_of(code: int) -> str:
    """What an option is called, or its number where it has no name here."""
    known = _BY_CODE.get(code)
    return known.name if known else str(code)


def as_text(code: int, data: bytes) -> str:
    """*data* as a person reads it; hexadecimal where its shape is not known or does not fit."""
    known = _BY_CODE.get(code)
    shape = known.shape if known else _ANY
    if shape in (_IP, _IPS) and len(data) % 4 == 0:
        each = (str(IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4))
        return ", ".join(each)
    if shape in (_U8, _U16, _U32, _S32, _MTU) and len(data) <= 4:
        return str(int.from_bytes(data, "big", signed=shape is _S32))
    if shape is _NAMES and (names := _names(data)):
        return ", ".join(names)
    if shape is _ROUTES and (told := _routes(data)):
        return ", ".join(told)
    text = data.decode("ascii", "replace")
    if shape in (_TEXT, _NAME, _ANY) and text.isascii() and text.isprintable():
        return text
    return f"0x{data.hex()}"


def _names(data: bytes) -> list[str]:
    """As domains encodes them; empty for anything else."""
    labels: list[str] = [""]
    while data:
        size, label, data = data[0], data[1 : 1 + data[0]], data[1 + data[0] :]
        if not label.isascii() or len(label) != size:
            return []
        labels[-1] += f"{label.decode()}." if size else ""
        labels += [""] if not size else []
    return [name.removesuffix(".") for name in labels if name]


def _routes(data: bytes) -> list[str]:
    """As routes encodes them; empty for anything else."""
    found = []
    while data:
        length = data[0]
        used = (length + 7) // 8
        if length > 32 or len(data) < used + 5:
            return []
        network = IPv4Address(data[1 : used + 1].ljust(4, b"\0"))
        found.append(f"{network}/{length} via {IPv4Address(data[used + 1 : used + 5])}")
        data = data[used + 5 :]
    return found


def _called(code: int) -> str:
    known = _BY_CODE.get(code)
    return f'{code} ("{known.name}")' if known else str(code)


# -- the shapes of values ------------------------------------------------------------------------


class _Shape(NamedTuple):
    """How a value is encoded, and what the text of a finding says that it must be."""

    wanted: str
    encode: Callable[[Any], bytes]


def addresses(value: Any) -> bytes:
    """One IPv4 address, or an array of them."""
    return b"".join(_address(one) for one in _several(value))


def domains(value: Any) -> bytes:
    """Domain names as RFC 1035 has them, one after the other (RFC 3397, section 2)."""
    return b"".join(_domain(one) for one in _several(value))


def routes(value: Any) -> bytes:
    """
    Networks and their gateways, ``{"10.9.0.0/16": "10.1.0.254"}``: of each network as many bytes
    as its prefix has (RFC 3442).
    """
    if not isinstance(value, dict):
        raise ValueError
    found = b""
    for written, gateway in value.items():
        network = IPv4Network(written.strip())
        used = (network.prefixlen + 7) // 8
        found += bytes([network.prefixlen]) + network.network_address.packed[:used]
        found += _address(gateway)
    return found


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _address(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError
    try:
        return IPv4Address(value.strip()).packed
    except ValueError:
        raise ValueError(f"{value!r:.40} is none") from None


def _one_address(value: Any) -> bytes:
    if isinstance(value, list) and len(value) != 1:
        raise ValueError
    return addresses(value)


def _pairs(value: Any) -> bytes:
    """Two addresses each, as ``"10.0.0.0 255.0.0.0"`` or as a pair of an array."""
    flat: list[str] = []
    for one in _several(value):
        if not isinstance(one, str):
            raise ValueError
        flat += one.split()
    if len(flat) % 2:
        raise ValueError("there is one left over")
    return addresses(flat)


def _text(value: Any) -> bytes:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value.encode()


def _domain(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError
    labels = value.strip().rstrip(".").split(".")
    if len(value) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{value!r:.60} is none")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def _domain_name(value: Any) -> bytes:
    _domain(value)
    return str(value).strip().rstrip(".").encode()


def _flag(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise ValueError
    return bytes([value])


def _number(size: int, low: int, high: int) -> Callable[[Any], bytes]:
    def encoded(value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value.to_bytes(size, "big", signed=low < 0)

    return encoded


def _numbers(size: int, low: int, high: int) -> Callable[[Any], bytes]:
    one = _number(size, low, high)
    return lambda value: b"".join(one(item) for item in _several(value))


def _hex(value: Any) -> bytes:
    """Without the ``0x`` as well: ``"01:02:0a"``."""
    if not isinstance(value, str):
        raise ValueError
    return bytes.fromhex(value.replace(":", " "))


def _any(value: Any) -> bytes:
    """Of an option of which no shape is known: addresses, or else text."""
    if isinstance(value, list):
        return addresses(value)
    if not isinstance(value, str):
        raise ValueError
    try:
        return _address(value)
    except ValueError:
        return _text(value)


def _slp(value: Any) -> bytes:
    """RFC 2610: a byte that says whether the addresses alone count, then the addresses."""
    return b"\0" + addresses(value)


_IP = _Shape("one IPv4 address", _one_address)
_IPS = _Shape("an IPv4 address or an array of them", addresses)
_PAIRS = _Shape('pairs of addresses such as "10.0.0.0 10.1.0.1"', _pairs)
_TEXT = _Shape("text", _text)
_NAME = _Shape('a domain name such as "example.net"', _domain_name)
_NAMES = _Shape('a domain name such as "example.net" or an array of them', domains)
_FLAG = _Shape("true or false", _flag)
_U8 = _Shape("a whole number from 0 to 255", _number(1, 0, 0xFF))
_U16 = _Shape("a whole number from 0 to 65535", _number(2, 0, 0xFFFF))
_U32 = _Shape("a whole number from 0 to 4294967295", _number(4, 0, 0xFFFFFFFF))
_S32 = _Shape("a whole number of seconds", _number(4, -(1 << 31), (1 << 31) - 1))
_MTU = _Shape("a whole number from 68 to 65535", _number(2, 68, 65535))
_U16S = _Shape("a whole number from 0 to 65535 or an array of them", _numbers(2, 0, 0xFFFF))
_ROUTES = _Shape('an object such as {"10.9.0.0/16": "10.1.0.254"}', routes)
_BYTES = _Shape('bytes in hexadecimal such as "0x01020a"', _hex)
_SLP = _Shape("an IPv4 address or an array of them", _slp)
_ANY = _Shape(
    'text, an address, an array of addresses or "0x…" in hexadecimal, as its shape is not known',
    _any,
)


class _Option(NamedTuple):
    code: int
    name: str
    shape: _Shape


_TABLE: tuple[_Option, ...] = tuple(
    _Option(*row)
    for row in (
        (1, "subnet-mask", _IP),
        (2, "time-offset", _S32),
        (3, "routers", _IPS),
        (4, "time-servers", _IPS),
        (5, "ien116-name-servers", _IPS),
        (6, "domain-name-servers", _IPS),
        (7, "log-servers", _IPS),
        (8, "cookie-servers", _IPS),
        (9, "lpr-servers", _IPS),
        (10, "impress-servers", _IPS),
        (11, "resource-location-servers", _IPS),
        (12, "host-name", _TEXT),
        (13, "boot-size", _U16),
        (14, "merit-dump", _TEXT),
        (15, "domain-name", _NAME),
        (16, "swap-server", _IP),
        (17, "root-path", _TEXT),
        (18, "extensions-path", _TEXT),
        (19, "ip-forwarding", _FLAG),
        (20, "non-local-source-routing", _FLAG),
        (21, "policy-filter", _PAIRS),
        (22, "max-dgram-reassembly", _U16),
        (23, "default-ip-ttl", _U8),
        (24, "path-mtu-aging-timeout", _U32),
        (25, "path-mtu-plateau-table", _U16S),
        (26, "interface-mtu", _MTU),
        (27, "all-subnets-local", _FLAG),
        (28, "broadcast-address", _IP),
        (29, "perform-mask-discovery", _FLAG),
        (30, "mask-supplier", _FLAG),
        (31, "router-discovery", _FLAG),
        (32, "router-solicitation-address", _IP),
        (33, "static-routes", _PAIRS),
        (34, "trailer-encapsulation", _FLAG),
        (35, "arp-cache-timeout", _U32),
        (36, "ieee802-3-encapsulation", _FLAG),
        (37, "default-tcp-ttl", _U8),
        (38, "tcp-keepalive-interval", _U32),
        (39, "tcp-keepalive-garbage", _FLAG),
        (40, "nis-domain", _TEXT),
        (41, "nis-servers", _IPS),
        (42, "ntp-servers", _IPS),
        (43, "vendor-encapsulated-options", _BYTES),
        (44, "netbios-name-servers", _IPS),
        (45, "netbios-dd-server", _IPS),
        (46, "netbios-node-type", _U8),
        (47, "netbios-scope", _TEXT),
        (48, "font-servers", _IPS),
        (49, "x-display-manager", _IPS),
        (50, "dhcp-requested-address", _IP),
        (51, "dhcp-lease-time", _U32),
        (52, "dhcp-option-overload", _U8),
        (53, "dhcp-message-type", _U8),
        (54, "dhcp-server-identifier", _IP),
        (55, "dhcp-parameter-request-list", _BYTES),
        (56, "dhcp-message", _TEXT),
        (57, "dhcp-max-message-size", _U16),
        (58, "dhcp-renewal-time", _U32),
        (59, "dhcp-rebinding-time", _U32),
        (60, "vendor-class-identifier", _TEXT),
        (61, "dhcp-client-identifier", _BYTES),
        (62, "nwip-domain", _TEXT),
        (63, "nwip-suboptions", _BYTES),
        (64, "nisplus-domain", _TEXT),
        (65, "nisplus-servers", _IPS),
        (66, "tftp-server-name", _TEXT),
        (67, "bootfile-name", _TEXT),
        (68, "mobile-ip-home-agent", _IPS),
        (69, "smtp-server", _IPS),
        (70, "pop-server", _IPS),
        (71, "nntp-server", _IPS),
        (72, "www-server", _IPS),
        (73, "finger-server", _IPS),
        (74, "irc-server", _IPS),
        (75, "streettalk-server", _IPS),
        (76, "streettalk-directory-assistance-server", _IPS),
        (77, "user-class", _TEXT),
        (78, "slp-directory-agent", _SLP),  # RFC 2610
        (79, "slp-service-scope", _BYTES),
        (80, "rapid-commit", _FLAG),
        (81, "fqdn", _BYTES),
        (82, "relay-agent-information", _BYTES),
        (85, "nds-servers", _IPS),  # RFC 2241
        (86, "nds-tree-name", _TEXT),
        (87, "nds-context", _TEXT),
        (88, "bcms-controller-names", _NAMES),  # RFC 4280
        (89, "bcms-controller-address", _IPS),
        (97, "uuid", _BYTES),
        (98, "uap-servers", _TEXT),
        (100, "pcode", _TEXT),  # RFC 4833: a time zone as POSIX has it
        (101, "tcode", _TEXT),  # and as the database of zones has it
        (108, "v6-only-preferred", _U32),  # RFC 8925
        (112, "netinfo-server-address", _IPS),
        (113, "netinfo-server-tag", _TEXT),
        (114, "default-url", _TEXT),  # RFC 8910: of a captive portal
        (116, "auto-config", _U8),
        (117, "name-service-search", _U16S),
        (118, "subnet-selection", _IP),
        (119, "domain-search", _NAMES),  # RFC 3397
        (120, "sip-servers", _BYTES),
        (121, "classless-static-routes", _ROUTES),  # RFC 3442
        (124, "vivco", _BYTES),
        (125, "vivso", _BYTES),
        (136, "pana-agent", _IPS),
        (137, "v4-lost", _NAME),
        (138, "capwap-ac-v4", _IPS),  # RFC 5417
        (141, "sip-ua-cs-domains", _NAMES),
        (143, "sztp-redirect", _BYTES),  # RFC 8572
        (150, "tftp-server-address", _IPS),  # RFC 5859
        (159, "v4-portparams", _BYTES),
        (175, "ipxe-encapsulated-options", _BYTES),
        (208, "loader-pxelinux-magic", _BYTES),  # RFC 5071, and below
        (209, "loader-configfile", _TEXT),
        (210, "loader-pathprefix", _TEXT),
        (211, "loader-reboottime", _U32),
        (213, "v4-access-domain", _NAME),
        (249, "ms-classless-static-routes", _ROUTES),  # 121 as Windows XP asks for it
        (252, "wpad", _TEXT),
    )
)
#: What others call them: IANA, dnsmasq, Kea, and dhcpd.conf files all over the world.
_ALIASES: Mapping[str, int] = {
    **dict.fromkeys(("netmask", "dhcp-subnet-mask"), 1),
    **dict.fromkeys(("router", "gateway", "gateways"), 3),
    "time-server": 4,
    **dict.fromkeys(("dns", "dns-server", "dns-servers", "name-servers"), 6),
    **dict.fromkeys(("log-server", "syslog-server", "syslog-servers"), 7),
    **dict.fromkeys(("hostname",), 12),
    **dict.fromkeys(("domain",), 15),
    **dict.fromkeys(("mtu",), 26),
    **dict.fromkeys(("broadcast",), 28),
    **dict.fromkeys(("static-route",), 33),
    **dict.fromkeys(("ntp-server", "ntp"), 42),
    **dict.fromkeys(("vendor-encap", "vendor-options"), 43),
    **dict.fromkeys(("netbios-ns", "wins", "wins-servers"), 44),
    "netbios-dd-servers": 45,
    "netbios-nodetype": 46,
    **dict.fromkeys(("vendor-class",), 60),
    **dict.fromkeys(("tftp-server",), 66),
    **dict.fromkeys(("bootfile", "boot-file-name", "filename"), 67),
    "smtp-servers": 69,
    "posix-timezone": 100,
    **dict.fromkeys(("tzdb-timezone",), 101),
    **dict.fromkeys(("captive-portal", "v4-captive-portal"), 114),
    **dict.fromkeys(("search", "search-list"), 119),
    "sip-server": 120,
    **dict.fromkeys(("rfc3442-classless-static-routes", "classless-static-route"), 121),
    **dict.fromkeys(("tftp-servers", "voip-tftp-server"), 150),
    "pxelinux.configfile": 209,
    "pxelinux.pathprefix": 210,
    "pxelinux.reboottime": 211,
    **dict.fromkeys(("wpad-url", "web-proxy-auto-discovery"), 252),
}
_BY_CODE: Mapping[int, _Option] = {one.code: one for one in _TABLE}
_BY_NAME: Mapping[str, int] = {**_ALIASES, **{one.name: one.code for one in _TABLE}}
