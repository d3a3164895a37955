"""
The names of leases in DNS: dynamic updates (RFC 2136), signed by TSIG (RFC 8945).

What is told is always how a name shall be now, not what happened: so a name that changes ten times
while the server is away is told once.  A name that we made is marked by a DHCID (RFC 4701) beside
its addresses, and changed only where that is still there (RFC 4703, section 5.3): what somebody
else wrote stays, unless it stands for a machine of the file::

    nobody has the name        --> addresses and mark
    it has our mark            --> other addresses, or none and no mark
    it has another or no mark  --> a machine's of the file is taken; else it stays, and is told of

Everything is done in one thread, which waits for the network; whoever wants something does not.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
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
from netbootd.leases.lease import Address
from netbootd.naming.names import Named
from netbootd.printable import printable

log = Logger(namespace="netbootd.naming")

#: All leases of a /16, each with its name and its pointer, which are told anew at each start.
MOST_WAITING = 131_072
_PATIENCE_S = 3.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_MOST_TRIES = 8  # of one name that the server does not want; one that is away is waited for
_ETHERNET = b"\x01"


class BadKey(Exception):
    """The file has no TSIG key; the text says what is wrong."""


class _Unwanted(Exception):
    """The server says no; the text says to what."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """What *address* shall be called: *name*, or nothing where it is called *was* still."""

    address: Address
    name: str
    was: str = ""


Wanted = Named | Pointer


def key_of(text: str) -> dns.tsig.Key:
    """
    The key in a file as tsig-keygen(8) and ddns-confgen(8) write it, or in one line
    ``NAME:ALGORITHM:SECRET``.  Raises BadKey.
    """
    bare = re.sub(r"/\*.*?\*/|(?://|#)[^\n]*", " ", text, flags=re.DOTALL).strip()
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
        raise BadKey(f"algorithm must be one of {', '.join(_ALGORITHMS)}, not {algorithm:.40}")
    try:
        return dns.tsig.Key(name, base64.b64decode(secret, validate=True), algorithm.lower())
    except (ValueError, dns.exception.DNSException) as problem:
        raise BadKey(f"the key {name:.60} cannot be read: {problem}") from None


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


class Updates(threading.Thread):
    """
    Tells the server what it is to know.  *told* is called, in this thread, when ``trouble`` is
    another; ``counts`` are for whoever wants figures.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__(name="ddns", daemon=True)
        self.trouble = ""
        self.counts = {"done": 0, "taken": 0, "failed": 0, "dropped": 0}
        self._told = told
        self._settings = Ddns()
        self._waiting: OrderedDict[tuple[type, str], Wanted] = OrderedDict()
        self._tries: dict[tuple[type, str], int] = {}
        self._key: dns.tsig.Key | None = None
        self._stale = True  # the key has to be read
        self._renewed = False  # the settings, since the last try
        self._at_work = self._stopping = False
        self._changed = threading.Condition()

    # -- from any thread -----------------------------------------------------------------------

    def configure(self, settings: Ddns) -> None:
        """*settings* count from now on."""
        with self._changed:
            self._settings, self._stale, self._renewed = settings, True, True
            if settings.server is None:
                self._waiting.clear()
            self._changed.notify()

    def want(self, wanted: Wanted) -> None:
        """Have the server know *wanted*, which replaces what was wanted of the same before."""
        name = wanted.name if isinstance(wanted, Named) else str(wanted.address)
        which = (type(wanted), name)
        with self._changed:
            if self._settings.server is None:
                return
            if which not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self._drop()
                return
            self._waiting[which] = wanted
            self._changed.notify()

    def stop(self, patience: float) -> None:
        """Begin nothing more; what runs has *patience* seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self.is_alive():
            self.join(patience)

    def idle(self) -> bool:
        """Whether nothing is left to be told, or is being told."""
        with self._changed:
            return not self._waiting and not self._at_work

    def _drop(self) -> None:
        if self.counts["dropped"] % 1000 == 0:
            log.warn("updates of DNS are lost: {most} wait already", most=MOST_WAITING)
        self.counts["dropped"] += 1

    # -- in the thread -------------------------------------------------------------------------

    def run(self) -> None:
        """One after another, until stopped."""
        pause = 0.0
        while (next_one := self._next(pause)) is not None:
            which, wanted, settings = next_one
            try:
                self._tell(wanted, settings)
            except _Unwanted as problem:
                pause = self._unwanted(which, wanted, str(problem))
            except (OSError, EOFError, dns.exception.DNSException, BadKey) as problem:
                pause = self._away(which, wanted, problem, pause)
            except Exception:  # the thread must go on whatever a server sends
                log.failure("an update of DNS failed")
                self.counts["failed"] += 1
                pause = _FIRST_PAUSE_S
            else:
                self._tries.pop(which, None)
                self.counts["done"] += 1
                pause = 0.0
                self._say("")

    def _next(self, pause: float) -> tuple[tuple[type, str], Wanted, Ddns] | None:
        with self._changed:
            self._at_work = False
            if pause:
                self._changed.wait_for(lambda: self._stopping or self._renewed, pause)
            self._renewed = False
            self._changed.wait_for(lambda: self._stopping or bool(self._waiting))
            if self._stopping:
                return None
            which, wanted = self._waiting.popitem(last=False)
            self._at_work = True
            return which, wanted, self._settings

    def _again(self, which: tuple[type, str], wanted: Wanted, *, last: bool) -> None:
        """Unless something newer is wanted by now."""
        with self._changed:
            if which not in self._waiting and self._settings.server is not None:
                self._waiting[which] = wanted
                self._waiting.move_to_end(which, last=last)

    def _away(
        self, which: tuple[type, str], wanted: Wanted, problem: Exception, pause: float
    ) -> float:
        """The server cannot be had: the same again after a while, which grows."""
        self._stale = True
        self._again(which, wanted, last=False)
        server = self._settings.server
        self._say(
            f"DNS updates: {server}: {printable(str(problem) or type(problem).__name__, 200)}"
        )
        return min(max(pause * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _unwanted(self, which: tuple[type, str], wanted: Wanted, problem: str) -> float:
        """The server says no to this one: others first, and not for ever."""
        self._say(f"DNS updates: {problem}")
        tries = self._tries.pop(which, 0) + 1
        if tries >= _MOST_TRIES:
            self.counts["failed"] += 1
            log.warn("an update of DNS is given up: {problem}", problem=problem)
            return 0.0
        self._tries[which] = tries
        self._again(which, wanted, last=True)
        return min(_FIRST_PAUSE_S * 2.0**tries, _LONGEST_PAUSE_S) if self._alone() else 0.1

    def _alone(self) -> bool:
        """Whether all that waits was refused before."""
        with self._changed:
            return all(which in self._tries for which in self._waiting)

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._told()

    def _tell(self, wanted: Wanted, settings: Ddns) -> None:
        if self._stale:
            self._stale = False
            self._key = _key_in(settings.key) if settings.key else None
        if isinstance(wanted, Pointer):
            self._tell_pointer(wanted, settings)
        else:
            self._tell_name(wanted, settings)

    # -- what is told --------------------------------------------------------------------------

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
            self.counts["taken"] += 1
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
        raise _Unwanted(f"{where} refuses a change of {zone}: {dns.rcode.to_text(said)}")


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


def _key_in(file: Path) -> dns.tsig.Key:
    return key_of(file.read_text("ascii", "replace"))
