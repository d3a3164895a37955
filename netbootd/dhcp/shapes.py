"""
First answers to machines that differ in nothing but who they are.

In a storm each machine of a rack says what its neighbour has just said, but for its own MAC, UUID
and client identifier, and gets what that got, but for the same.  So an answer of the proxy is kept
by the *shape* of its request, the bytes without these, and by the *kind* of its machine: all that
the answer was made of beside its name and place.  Into it is laid what the next such machine has
for itself.

What may be told so is little, and the rest is decided in full: a loader by TFTP, in an offer or
from a boot server, for a machine that is listed by this very MAC, or for a stranger where machines
are known by MACs alone; no Raspberry Pi, which has a shape of its own for each, and no iPXE; and
only while nothing is remembered by which the machine would boot something else than its entry says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from netbootd.boot.decision import why_this_machine
from netbootd.dhcp import proxy, telling
from netbootd.dhcp.destination import Destination, Port, is_beyond
from netbootd.dhcp.kept import Keeping, Key, Kin, Told, Whose
from netbootd.dhcp.lessor import Asked
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.memory import Memory, Sighting
from netbootd.dhcp.message import Message, MessageType, Option
from netbootd.dhcp.proxy import Answer
from netbootd.dhcp.snoop import Heard
from netbootd.events.event import Offered
from netbootd.interfaces import Interface
from netbootd.mac import MAC
from netbootd.record.standing import Standing
from netbootd.record.styles import Chosen, Offer, Past, choose
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

#: What is kept, of some 5 KB each; the ones kept first go first.  No site has so many firmwares and
#: targets.
MOST = 512
_MOST_CUTS = 4  # of requests of one length

# Of a message (RFC 2131, section 2).
_XID_AND_SECS, _CIADDR, _CHADDR = slice(4, 10), slice(12, 16), slice(28, 44)
_MAC, _BEHIND_MAKER = slice(28, 34), slice(31, 34)
_FILE = slice(108, 125)  # where a loader's path has the MAC
_OPTIONS = 240
_UUID_SIZE = 17  # RFC 4578, section 2.3: a type, which is 0, and the UUID
_PI = b"RPi"  # what a Raspberry Pi has for a UUID (pxe.is_raspberry_pi)

_NOWHERE = "0.0.0.0"

_Put = Callable[[Offered, Any], None]

_Shape = tuple[object, ...]


class _Cut(NamedTuple):
    """
    Where requests of one length to one port have what is their machine's own: *uuid* and
    *client_id*, each None where it is no such option.  *common* is all between, which tells one
    shape from another where it has the same *ends*.
    """

    ends: tuple[int, ...]
    common: tuple[slice, ...]
    uuid: slice | None
    client_id: slice | None

    def shape(self, payload: bytes) -> bytes:
        """
        What *payload* has in common with others.

        That holds the codes and lengths of all options, so where it is the same, so are their
        places.
        """
        return b"".join([payload[part] for part in self.common])

    def own(self, payload: bytes) -> tuple[bytes | None, bytes | None]:
        """The options for UUID and client identifier that are cut out of *payload*."""
        return (
            b"\0" + payload[self.uuid] if self.uuid else None,
            payload[self.client_id] if self.client_id else None,
        )


class _Template(NamedTuple):
    """
    What one machine was *told*, and where that repeats its *uuid* and *client_id*.

    Of the event *same* is what others have as well, each behind what puts it there, and *why* the
    reasons that they share.
    """

    told: Told
    uuid: slice | None
    client_id: slice | None
    same: tuple[tuple[_Put, Any], ...]
    why: tuple[str, ...]

    def datagram(self, payload: bytes, mac: MAC, cut: _Cut) -> bytes:
        """The reply to *payload*, of *mac*; its xid is anybody's."""
        laid = bytearray(self.told.datagram)
        laid[_MAC] = mac
        laid[_FILE] = str(mac).encode()
        if self.told.replied == MessageType.ACK:
            laid[_CIADDR] = payload[_CIADDR]
        if self.uuid is not None and cut.uuid is not None:
            laid[self.uuid] = payload[cut.uuid]
        if self.client_id is not None and cut.client_id is not None:
            laid[self.client_id] = payload[cut.client_id]
        return bytes(laid)


class _Kind(NamedTuple):
    """
    Requests of one shape from machines of one kind; *machine* is one of these, *sighting* what it
    said, and *interface* where that was heard.  *templates* are by the style's name.
    """

    machine: Machine
    sighting: Sighting | None
    interface: Interface
    kin: Kin
    templates: dict[str, _Template]


class Shapes:
    """One for all interfaces; what it tells is kept in *keeping* for who asks again."""

    def __init__(
        self, live: LiveRegistry, memory: Memory, keeping: Keeping, most: int = MOST
    ) -> None:
        self._live = live
        self._memory = memory
        self._keeping = keeping
        self._most = most
        self._registry: Registry | None = None
        #: How requests of some length to some port are cut.
        self._cuts: dict[tuple[int, Port], list[_Cut]] = {}
        self._kinds: dict[_Shape, _Kind] = {}

    # -- what the next machine is told ---------------------------------------------------------

    def find(self, heard: Heard, key: Key, to: Listener, registry: Registry) -> Told | None:
        """
        What is to be told to what was *heard* by *to*, which is kept as *key*; None: it must be
        decided.
        """
        if registry is not self._registry:
            self._forget(registry)
        payload = heard.payload
        cuts = self._cuts.get((len(payload), to.port))
        where = _where(heard, to, registry) if cuts else None
        if cuts is None or where is None:
            return None
        mac = MAC(payload[_MAC])
        listed = registry.machines.get(mac)
        for cut in cuts:
            kind = self._kinds.get((where, cut.ends, cut.shape(payload), *_alike(listed)))
            if kind is not None:
                return self._tell(kind, cut, mac, listed, heard, key, to)
        return None

    def _tell(
        self,
        kind: _Kind,
        cut: _Cut,
        mac: MAC,
        listed: Machine | None,
        heard: Heard,
        key: Key,
        to: Listener,
    ) -> Told | None:
        payload = heard.payload
        if _is_odd(payload, cut):
            return None
        name = listed.key if listed is not None else str(mac)
        standing = self._live.record.of(name)
        chosen = self._chosen(mac, kind.kin)
        template = kind.templates.get(chosen.style if chosen else "")
        if template is None or _boots_another(standing):
            return None
        if chosen and chosen.after and template.told.offer is not None:
            return None  # another style than before is an event of its own
        because = (why_this_machine(listed or kind.machine), *template.why)
        told = _laid_in(template, heard, to.port, mac, cut, because, chosen)
        sighting = kind.sighting
        if sighting is not None:
            own = cut.own(payload)
            sighting = self._memory.of_another(sighting, payload[_CHADDR], mac, *own)
        marks = self._memory.note(sighting, mac)
        self._keeping.put(key, to, Whose(mac, name, sighting, marks, standing), kind.kin, told)
        return told

    def _chosen(self, mac: MAC, kin: Kin) -> Chosen | None:
        if not kin.order:
            return None
        styles = self._live.styles
        past = Past(styles.tried(mac), styles.kinds.get(kin.kind), styles.now())
        return choose(kin.order, past)

    # -- what one machine was told -------------------------------------------------------------

    def keep(
        self, heard: Heard, asked: Asked, sighting: Sighting | None, answer: Answer, told: Told
    ) -> None:
        """
        Make a template of what is *told* to what was *heard*, where it may be one; *sighting* is
        what the sender said of itself.
        """
        request, _, to, registry, *_ = asked
        machine, mac = answer.decision.machine, answer.client.mac
        if machine is None or mac is None or mac != request.mac or not self._most:
            return
        listed = registry.machines.get(mac)
        cut, where = _cut(request, heard.payload, to.port), _where(heard, to, registry)
        if cut is None or where is None or _boots_another(self._live.record.of(machine.key)):
            return
        if listed is None and not _by_macs_alone(registry):
            return
        template = _template(answer, told, heard.payload, cut)
        if template is None or told.event.peer != telling.peer_of(heard.source):
            return
        key = where, cut.ends, cut.shape(heard.payload), *_alike(listed)
        kind = self._kinds.get(key)
        if kind is None:
            kind = _Kind(machine, sighting, to.interface, Kin.of(answer), {})
            self._kinds[key] = kind
            self._cut(cut, len(heard.payload), to.port)
        kind.templates[told.chosen.style if told.chosen else ""] = template
        if len(self._kinds) > self._most:
            del self._kinds[next(iter(self._kinds))]

    def _cut(self, cut: _Cut, size: int, port: Port) -> None:
        """From now on cut what has that *size* so as well."""
        cuts = self._cuts.setdefault((size, port), [])
        if cut not in cuts:
            cuts.append(cut)
            del cuts[:-_MOST_CUTS]

    def _forget(self, registry: Registry) -> None:
        self._cuts.clear()
        self._kinds.clear()
        self._registry = registry


# -- what makes one request like another -------------------------------------------------------


def _where(heard: Heard, to: Listener, registry: Registry) -> _Shape | None:
    """
    What counts of how a request came; None where that may be like nobody else's.

    A boot server is asked by clients that have an address, so what their networks have in common
    counts: the subnet, and whether a router lies between.
    """
    payload, source, addressed = heard
    if to.port is not Port.BOOT_SERVER:
        ours = -1 if addressed is None else int(addressed)
        return source, ours, id(to.interface)
    address = _dotted(payload[_CIADDR])
    if addressed is None or address == _NOWHERE or source[0] == _NOWHERE:
        return None
    beyond = is_beyond(address, to.interface.addresses)
    return int(addressed), id(to.interface), id(registry.subnets.of(address)), beyond


def _dotted(address: bytes) -> str:
    return "%d.%d.%d.%d" % tuple(address)


def _alike(listed: Machine | None) -> _Shape:
    """
    What the answer for a machine depends on, beside who it is.  A stranger's depends on where it
    is alone.
    """
    if listed is None:
        return ()
    return id(listed.target), id(listed.loader), listed.reply_style


def _by_macs_alone(registry: Registry) -> bool:
    """Whether nobody is found but by a whole MAC."""
    return not registry.wildcards and not any(registry.marked.values())


def _boots_another(standing: Standing) -> bool:
    """Whether something may be remembered that changes what it boots (``decision.boots_now``)."""
    return standing.armed is not None or bool(standing.completed)


def _is_odd(payload: bytes, cut: _Cut) -> bool:
    """Whether what a machine has for itself tells more of it than who it is."""
    if payload[_MAC] == bytes(6):
        return True
    return cut.uuid is not None and payload[cut.uuid].startswith(_PI)


def _cut(request: Message, payload: bytes, port: Port) -> _Cut | None:
    """How *request*, which was *payload*, is cut; None where it is not clear where options are."""
    values = _values(payload)
    if values is None:
        return None
    uuid, client_id = values.get(Option.UUID), values.get(Option.CLIENT_ID)
    for code, value in ((Option.UUID, uuid), (Option.CLIENT_ID, client_id)):
        if value is not None and payload[value] != request.options[code]:
            return None  # more of it is elsewhere
    if uuid is not None:
        is_uuid = uuid.stop - uuid.start == _UUID_SIZE and payload[uuid.start] == 0
        uuid = slice(uuid.start + 1, uuid.stop) if is_uuid else None
    own = [_XID_AND_SECS, _BEHIND_MAKER, *(one for one in (uuid, client_id) if one is not None)]
    if port is Port.BOOT_SERVER:
        own.insert(1, _CIADDR)
    own.sort(key=lambda part: part.start)
    begins = [0, *(part.stop for part in own)]
    ends = [*(part.start for part in own), len(payload)]
    return _Cut(tuple(ends), tuple(map(slice, begins, ends)), uuid, client_id)


def _values(message: bytes) -> dict[int, slice] | None:
    """Where the last value of each option is; None where one is cut short."""
    found: dict[int, slice] = {}
    at = _OPTIONS
    while at < len(message) and message[at] != Option.END:
        code = message[at]
        if code == Option.PAD:
            at += 1
            continue
        end = at + 2 + message[at + 1] if at + 1 < len(message) else len(message) + 1
        if end > len(message):
            return None
        found[code] = slice(at + 2, end)
        at = end
    return found


# -- an answer, taken apart and put together ---------------------------------------------------

#: What puts something into an event while it is made: a frozen dataclass takes twice as long.
_PUTS: Mapping[str, _Put] = {
    field.name: getattr(Offered, field.name).__set__ for field in fields(Offered)
}
#: What an event tells of its machine alone; the target is that of its kind.
_PUT_MAC, _PUT_PEER, _PUT_BECAUSE = _OWN = [_PUTS[name] for name in ("mac", "peer", "because")]


def _template(answer: Answer, told: Told, payload: bytes, cut: _Cut) -> _Template | None:
    """*told*, to be laid into; None where it is not clear what of it is the machine's own."""
    event, values, mac = told.event, _values(told.datagram), answer.client.mac
    if values is None or mac is None or not isinstance(event, Offered) or event.mac is None:
        return None
    uuid = values.get(Option.UUID) if cut.uuid is not None else None
    template = _Template(
        told,
        slice(uuid.start + 1, uuid.stop) if uuid is not None else None,
        values.get(Option.CLIENT_ID) if cut.client_id is not None else None,
        tuple((put, getattr(event, name)) for name, put in _PUTS.items() if put not in _OWN),
        answer.decision.because[1:],
    )
    # So its MAC stands where the path of a loader by TFTP has it, and in no URL.
    return template if template.datagram(payload, mac, cut) == told.datagram else None


def _laid_in(
    template: _Template,
    heard: Heard,
    port: Port,
    mac: MAC,
    cut: _Cut,
    because: tuple[str, ...],
    chosen: Chosen | None,
) -> Told:
    told = template.told
    to, offer = told.to, told.offer
    if port is Port.BOOT_SERVER:
        to = Destination(*heard.source)
    if to.card is not None:
        to = to._replace(card=bytes(mac))
    if chosen and told.replied == MessageType.OFFER:
        because = (*because[:-1], proxy.told_in(chosen.style, chosen.why))
    if offer is not None and chosen is not None:
        offer = Offer(mac, offer.kind, offer.first, chosen, offer.names)
    event = _event(template, mac, telling.peer_of(heard.source), "; ".join(because))
    datagram = template.datagram(heard.payload, mac, cut)
    return Told(datagram, told.ours, to, event, told.asked, told.replied, None, offer, chosen)


def _event(template: _Template, mac: MAC, peer: str, because: str) -> Offered:
    event = object.__new__(Offered)
    for put, value in template.same:
        put(event, value)
    _PUT_MAC(event, mac)
    _PUT_PEER(event, peer)
    _PUT_BECAUSE(event, because)
    return event
