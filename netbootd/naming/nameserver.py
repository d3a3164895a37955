"""
The server of names, as it is told of one name: dynamic updates (RFC 2136), signed by TSIG
(RFC 8945).

dnspython is met here alone.  It takes 0.1 s to load, so that is done in the thread that tells, and
not before there is something to tell.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.tsig
import dns.update
from twisted.logger import Logger

from netbootd.config import Ddns
from netbootd.naming.names import Named
from netbootd.naming.wanted import Away, Pointer, Unwanted, Wanted

log = Logger(namespace="netbootd.naming")

_PATIENCE_S = 3.0
_ETHERNET = b"\x01"


class BadKey(Exception):
    """The file has no TSIG key; the text says what is wrong."""


class NameServer:
    """
    The one that *settings* name, with the key that is in its file now.

    ``taken`` counts the names that stay as they are.  Making one and ``tell`` raise Away and
    Unwanted.
    """

    def __init__(self, settings: Ddns) -> None:
        self.taken = 0
        self.settings = settings
        try:
            self._key = _key_in(settings.key) if settings.key else None
        except (OSError, BadKey) as problem:
            raise Away(f"{settings.server}: {problem}") from problem

    def tell(self, wanted: Wanted) -> None:
        """Have it know *wanted*."""
        try:
            if isinstance(wanted, Pointer):
                self._tell_pointer(wanted, self.settings)
            else:
                self._tell_name(wanted, self.settings)
        except (OSError, EOFError, dns.exception.DNSException) as problem:
            told = str(problem) or type(problem).__name__
            raise Away(f"{self.settings.server}: {told}") from problem

    def _tell_name(self, wanted: Named, settings: Ddns) -> None:
        zone = zone_of(wanted.name, settings.zones)
        if not zone:
            return
        name, mark = dns.name.from_text(wanted.name), dhcid(wanted.identity, wanted.name)
        if wanted.addresses:
            new = self._update(zone)
            new.absent(name)
            _add(new, name, wanted, mark, settings.ttl)
            if self._send(new, zone, settings) != dns.rcode.YXDOMAIN:
                return
        ours = self._update(zone)
        ours.present(name, mark)
        for kind in ("A", "AAAA", "DHCID"):
            ours.delete(name, kind)
        _add(ours, name, wanted, mark, settings.ttl)
        if self._send(ours, zone, settings) not in _NOT_OURS or not wanted.addresses:
            return
        if not wanted.listed:
            self.taken += 1
            log.warn("{name} is in DNS already and stays as it is", name=wanted.name)
            return
        taken = self._update(zone)
        kinds = {"A" if address.version == 4 else "AAAA" for address in wanted.addresses}
        for kind in ("CNAME", "DHCID", *sorted(kinds)):
            taken.delete(name, kind)
        _add(taken, name, wanted, mark, settings.ttl)
        self._send(taken, zone, settings)

    def _tell_pointer(self, wanted: Pointer, settings: Ddns) -> None:
        name = dns.reversename.from_address(str(wanted.address))
        zone = zone_of(name.to_text(omit_final_dot=True), settings.zones)
        if not zone:
            return
        update = self._update(zone)
        if wanted.name:
            update.replace(name, settings.ttl, "PTR", f"{wanted.name}.")
        else:
            update.present(name, "PTR", f"{wanted.was}.")
            update.delete(name, "PTR")
        self._send(update, zone, settings)

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        update = dns.update.UpdateMessage(zone)
        if self._key is not None:
            update.use_tsig(self._key)
        return update

    @staticmethod
    def _send(update: dns.update.UpdateMessage, zone: str, settings: Ddns) -> dns.rcode.Rcode:
        """What the server says, where it is an answer to the question."""
        where, port = str(settings.server), settings.port
        answer = dns.query.tcp(update, where, _PATIENCE_S, port)
        said = answer.rcode()
        if said in (dns.rcode.NOERROR, dns.rcode.YXDOMAIN, *_NOT_OURS):
            return said
        raise Unwanted(f"{where} refuses a change of {zone}: {dns.rcode.to_text(said)}")


_NOT_OURS = (dns.rcode.NXRRSET, dns.rcode.NXDOMAIN)


def _add(
    update: dns.update.UpdateMessage,
    name: dns.name.Name,
    wanted: Named,
    mark: dns.rdata.Rdata,
    ttl: int,
) -> None:
    for address in wanted.addresses:
        update.add(name, ttl, "A" if address.version == 4 else "AAAA", str(address))
    if wanted.addresses:
        update.add(name, ttl, mark)


def key_of(text: str) -> dns.tsig.Key:
    """
    The key in a file as tsig-keygen(8) and ddns-confgen(8) write it, or in one line
    ``NAME:ALGORITHM:SECRET``.  Raises BadKey, which quotes nothing: parts may be in another order.
    """
    # A base64 in quotation marks may have what begins a comment elsewhere.
    bare = re.sub(r'("[^"]*")|/\*.*?\*/|(?://|#)[^\n]*', r"\1 ", text, flags=re.DOTALL).strip()
    block = re.search(r'key\s+"?([^\s"{]+)"?\s*\{([^}]*)\}', bare)
    if block:
        words = dict(re.findall(r'(algorithm|secret)\s+"?([^\s";]+)"?\s*;', block[2]))
        found = (block[1], words.get("algorithm", ""), words.get("secret", ""))
    else:
        parts = text.strip().split(":")
        found = tuple(parts) if len(parts) == 3 else ("", "", "")  # type: ignore[assignment]
    name, algorithm, secret = found
    if not all(found):
        raise BadKey('no TSIG key: key "NAME" { algorithm ...; secret "..."; }; expected')
    if algorithm.lower().rstrip(".") not in _ALGORITHMS:
        raise BadKey(f"its algorithm must be one of {', '.join(_ALGORITHMS)}")
    try:
        return dns.tsig.Key(name, base64.b64decode(secret, validate=True), algorithm.lower())
    except (ValueError, dns.exception.DNSException):
        raise BadKey("its secret is not base64, or its name not one of DNS") from None


_ALGORITHMS = ("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1", "hmac-md5")


def zone_of(name: str, zones: tuple[str, ...]) -> str:
    """The narrowest of *zones* that *name* is in; empty for none."""
    inside = (zone for zone in zones if name == zone or name.endswith(f".{zone}"))
    return max(inside, key=len, default="")


def dhcid(identity: str, name: str) -> dns.rdata.Rdata:
    """The mark of *name* for whoever has *identity*, a key of a lease (RFC 4701, section 3)."""
    kind, data = _identifier(identity)
    digest = hashlib.sha256(data + dns.name.from_text(name).to_digestable()).digest()
    text = kind.to_bytes(2, "big") + b"\x01" + digest
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DHCID, text, 0, len(text))


def _identifier(identity: str) -> tuple[int, bytes]:
    """Type code and data (RFC 4701, section 3.3): 0 for a card, 1 for a client identifier."""
    try:
        if identity.startswith("id:"):
            return 1, bytes.fromhex(identity[3:])
        if identity.startswith("hw:"):
            _, kind, address = identity.split(":", 2)
            return 0, bytes([int(kind) & 0xFF]) + bytes.fromhex(address)
        return 0, _ETHERNET + bytes.fromhex(identity.replace(":", ""))
    except ValueError:  # a machine that is known by a name
        return 1, identity.encode("utf-8", "replace")


def _key_in(file: Path) -> dns.tsig.Key:
    return key_of(file.read_text("ascii", "replace"))
