"""
DHCP options as an admin writes them: by the names of ``dhcp-options(5)`` or by number, and a value
as JSON has it, encoded as it goes on the wire.

The names are those of ISC's ``dhcpd.conf``, with IANA's where that has no name (``Dynamic Host
Configuration Protocol (DHCP) and Bootstrap Protocol (BOOTP) Parameters``).  What shape the value of
each has is in RFC 2132, or in the RFC that is named beside an option.

An option that has no name here may be given by its number.  Any option may be given as it goes on
the wire, in hexadecimal: ``"0x0a010005"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from netbootd import optionshapes
from netbootd.nearest import did_you_mean
from netbootd.optionshapes import (
    ANY,
    BYTES,
    FLAG,
    IP,
    IPS,
    MTU,
    NAME,
    NAMES,
    PAIRS,
    ROUTES,
    S32,
    SLP,
    TEXT,
    U8,
    U16,
    U16S,
    U32,
    Shape,
)
from netbootd.relaxedjson import kind

SUBNET_MASK, ROUTERS, DOMAIN_NAME_SERVERS, HOST_NAME, DOMAIN_NAME = 1, 3, 6, 12, 15
INTERFACE_MTU, BROADCAST_ADDRESS, NTP_SERVERS = 26, 28, 42
DOMAIN_SEARCH, CLASSLESS_STATIC_ROUTES = 119, 121

#: Bytes of one option; what is longer than 255 is split (RFC 3396), and a packet must hold it.
MOST = 1024

_HEX = re.compile(r"0[xX]((?:[0-9A-Fa-f]{2})+)")


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
    shape = known.shape if known else ANY
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
    return optionshapes.as_text(known.shape if known else ANY, data)


def _called(code: int) -> str:
    known = _BY_CODE.get(code)
    return f'{code} ("{known.name}")' if known else str(code)


class _Option(NamedTuple):
    code: int
    name: str
    shape: Shape


_TABLE: tuple[_Option, ...] = tuple(
    _Option(*row)
    for row in (
        (1, "subnet-mask", IP),
        (2, "time-offset", S32),
        (3, "routers", IPS),
        (4, "time-servers", IPS),
        (5, "ien116-name-servers", IPS),
        (6, "domain-name-servers", IPS),
        (7, "log-servers", IPS),
        (8, "cookie-servers", IPS),
        (9, "lpr-servers", IPS),
        (10, "impress-servers", IPS),
        (11, "resource-location-servers", IPS),
        (12, "host-name", TEXT),
        (13, "boot-size", U16),
        (14, "merit-dump", TEXT),
        (15, "domain-name", NAME),
        (16, "swap-server", IP),
        (17, "root-path", TEXT),
        (18, "extensions-path", TEXT),
        (19, "ip-forwarding", FLAG),
        (20, "non-local-source-routing", FLAG),
        (21, "policy-filter", PAIRS),
        (22, "max-dgram-reassembly", U16),
        (23, "default-ip-ttl", U8),
        (24, "path-mtu-aging-timeout", U32),
        (25, "path-mtu-plateau-table", U16S),
        (26, "interface-mtu", MTU),
        (27, "all-subnets-local", FLAG),
        (28, "broadcast-address", IP),
        (29, "perform-mask-discovery", FLAG),
        (30, "mask-supplier", FLAG),
        (31, "router-discovery", FLAG),
        (32, "router-solicitation-address", IP),
        (33, "static-routes", PAIRS),
        (34, "trailer-encapsulation", FLAG),
        (35, "arp-cache-timeout", U32),
        (36, "ieee802-3-encapsulation", FLAG),
        (37, "default-tcp-ttl", U8),
        (38, "tcp-keepalive-interval", U32),
        (39, "tcp-keepalive-garbage", FLAG),
        (40, "nis-domain", TEXT),
        (41, "nis-servers", IPS),
        (42, "ntp-servers", IPS),
        (43, "vendor-encapsulated-options", BYTES),
        (44, "netbios-name-servers", IPS),
        (45, "netbios-dd-server", IPS),
        (46, "netbios-node-type", U8),
        (47, "netbios-scope", TEXT),
        (48, "font-servers", IPS),
        (49, "x-display-manager", IPS),
        (50, "dhcp-requested-address", IP),
        (51, "dhcp-lease-time", U32),
        (52, "dhcp-option-overload", U8),
        (53, "dhcp-message-type", U8),
        (54, "dhcp-server-identifier", IP),
        (55, "dhcp-parameter-request-list", BYTES),
        (56, "dhcp-message", TEXT),
        (57, "dhcp-max-message-size", U16),
        (58, "dhcp-renewal-time", U32),
        (59, "dhcp-rebinding-time", U32),
        (60, "vendor-class-identifier", TEXT),
        (61, "dhcp-client-identifier", BYTES),
        (62, "nwip-domain", TEXT),
        (63, "nwip-suboptions", BYTES),
        (64, "nisplus-domain", TEXT),
        (65, "nisplus-servers", IPS),
        (66, "tftp-server-name", TEXT),
        (67, "bootfile-name", TEXT),
        (68, "mobile-ip-home-agent", IPS),
        (69, "smtp-server", IPS),
        (70, "pop-server", IPS),
        (71, "nntp-server", IPS),
        (72, "www-server", IPS),
        (73, "finger-server", IPS),
        (74, "irc-server", IPS),
        (75, "streettalk-server", IPS),
        (76, "streettalk-directory-assistance-server", IPS),
        (77, "user-class", TEXT),
        (78, "slp-directory-agent", SLP),  # RFC 2610
        (79, "slp-service-scope", BYTES),
        (80, "rapid-commit", FLAG),
        (81, "fqdn", BYTES),
        (82, "relay-agent-information", BYTES),
        (85, "nds-servers", IPS),  # RFC 2241
        (86, "nds-tree-name", TEXT),
        (87, "nds-context", TEXT),
        (88, "bcms-controller-names", NAMES),  # RFC 4280
        (89, "bcms-controller-address", IPS),
        (97, "uuid", BYTES),
        (98, "uap-servers", TEXT),
        (100, "pcode", TEXT),  # RFC 4833: a time zone as POSIX has it
        (101, "tcode", TEXT),  # and as the database of zones has it
        (108, "v6-only-preferred", U32),  # RFC 8925
        (112, "netinfo-server-address", IPS),
        (113, "netinfo-server-tag", TEXT),
        (114, "default-url", TEXT),  # RFC 8910: of a captive portal
        (116, "auto-config", U8),
        (117, "name-service-search", U16S),
        (118, "subnet-selection", IP),
        (119, "domain-search", NAMES),  # RFC 3397
        (120, "sip-servers", BYTES),
        (121, "classless-static-routes", ROUTES),  # RFC 3442
        (124, "vivco", BYTES),
        (125, "vivso", BYTES),
        (136, "pana-agent", IPS),
        (137, "v4-lost", NAME),
        (138, "capwap-ac-v4", IPS),  # RFC 5417
        (141, "sip-ua-cs-domains", NAMES),
        (143, "sztp-redirect", BYTES),  # RFC 8572
        (150, "tftp-server-address", IPS),  # RFC 5859
        (159, "v4-portparams", BYTES),
        (175, "ipxe-encapsulated-options", BYTES),
        (208, "loader-pxelinux-magic", BYTES),  # RFC 5071, and below
        (209, "loader-configfile", TEXT),
        (210, "loader-pathprefix", TEXT),
        (211, "loader-reboottime", U32),
        (213, "v4-access-domain", NAME),
        (249, "ms-classless-static-routes", ROUTES),  # 121 as Windows XP asks for it
        (252, "wpad", TEXT),
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
