"""
Whose configuration a file is.  Its content says so, not its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from netbootd.dropins.reading import bytes_of
from netbootd.errors import MediaError
from netbootd.migrating import dhcpd, dnsmasq, held, kea, pfsense
from netbootd.migrating.files import MOST, Files, decoded
from netbootd.migrating.found import Found
from netbootd.printable import printable

Reader: TypeAlias = Callable[[Path, Files], Found]

#: What tells media from text: control characters that no text has.
_LOOKED_AT = 4096
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
#: Characters of text that are looked at, which comments may fill.
_MOST_OF_IT = 1 << 20
_COMMENTS = re.compile(r"(?:\s+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_BEFORE_ROOT = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<![A-Z].*?>", re.DOTALL)
_ROOT = re.compile(r"<(\w+)[\s>/]")
_ANY = re.MULTILINE | re.IGNORECASE
_ISC_LEASE = re.compile(r"^[ \t]*lease\s+[0-9.]+\s*\{", _ANY)
_DNSMASQ_LEASE = re.compile(
    r"\d{1,12} (?:[0-9a-f]{2}-)?[0-9a-f]{2}(:[0-9a-f]{2})+ [0-9.]+ \S+", re.I
)
_DHCPD = re.compile(
    r"^[ \t]*(?:(?:subnet\s+[0-9.]+\s+netmask\s+[0-9.]+|shared-network\s+\S+|group(?:\s+\S+)?|pool"
    r"|host\s+\S+)\s{0,99}(?:#[^\n]*\s{0,99})?\{|(?:option\s+[a-z]|default-lease-time\s|max-lease-time\s"
    r"|hardware\s+ethernet\s|range\s+[0-9]|include\s+\"|authoritative|ddns-update-style\s)[^;\n]*;)",
    _ANY,
)
_DNSMASQ = re.compile(
    r"^[ \t]*(?:dhcp-(?:host|range|option|hostsfile|hostsdir|optsfile|boot|authoritative)\b"
    r"|(?:interface|domain|server|address|local|conf-(?:dir|file)|listen-address|port|read-ethers"
    r"|domain-needed|bogus-priv|no-resolv|expand-hosts|bind-interfaces)\s*(?:=|$))",
    re.MULTILINE,
)


def reader_of(file: Path) -> Reader | None:
    """
    Who reads *file*; None where it may be a medium.

    Raises MediaError where it is text of anything else, and OSError.
    """
    if not file.is_file() or file.stat().st_size > MOST:
        return None
    with file.open("rb") as opened:
        begin = opened.read(_LOOKED_AT)
    if not begin or _BINARY.search(begin):
        return None
    raw = bytes_of(file)
    if b"\0" in raw:
        return None
    reader = _reader_of(decoded(raw, file))
    if reader is None:
        raise MediaError(
            f"{printable(file.name)} is text, but of no DHCP server that is known (dhcpd, dnsmasq, "
            "Kea, pfSense, OPNsense), or it says nothing of DHCP"
        )
    return reader


def _reader_of(text: str) -> Reader | None:
    text = text[:_MOST_OF_IT]
    if (root := _root(text)) is not None:
        return pfsense.found_in if root in pfsense.ROOTS else None
    gap = _COMMENTS.match(text)
    begin = text[gap.end() if gap else 0 :]
    if begin.startswith(("{", "<?include")) and re.search(r'"Dhcp[46]"|<\?include', text):
        return kea.found_in
    if text.startswith("address,hwaddr,client_id,"):
        return held.kea
    if _ISC_LEASE.search(text):
        return held.isc
    if _DNSMASQ_LEASE.match(begin):
        return held.dnsmasq
    if _DHCPD.search(text):
        return dhcpd.found_in
    return dnsmasq.found_in if _DNSMASQ.search(text) else None


def _root(text: str) -> str | None:
    """The name of an XML document's root; None for what is no XML."""
    at = 0
    while found := _BEFORE_ROOT.match(text, at):
        at = found.end()
    root = _ROOT.match(text, at)
    return root[1] if root else None
