"""
What is answered over DHCPv6 (RFC 8415, section 18.3).

Pure but for the table of leases: a request, how it arrived and the registry in; what is given, or
Ignored, out.  As a proxy we answer INFORMATION-REQUEST alone, and only who boots from the network:
all else is for the site's own server.  As a server::

    SOLICIT              ADVERTISE (an offer is held), or REPLY where both sides want rapid commit
    REQUEST RENEW REBIND REPLY with the lease, once it is written down
    CONFIRM              REPLY: whether the addresses are of this link
    RELEASE DECLINE      REPLY
    INFORMATION-REQUEST  REPLY without addresses

A machine that may not boot gets its address all the same, without a boot file; but where its subnet
serves nobody, or it is not listed and had to be, it gets nothing at all.

A card gets one address.  Prefixes (IA_PD) and temporary addresses (IA_TA) are not given: such an
association is left out of the reply.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from netbootd.addressing import Serving
from netbootd.boot.client import Client
from netbootd.boot.decision import Decision, Refusal, identify
from netbootd.dhcp6 import boot, telling
from netbootd.dhcp6.allot import (
    OFFER_S,
    Allotment,
    Asker,
    Place,
    asker_of,
    link_of,
    place_of,
    serving,
)
from netbootd.dhcp6.given import NOTHING_KNOWN, Arrival, Given, Ignored, Known
from netbootd.dhcp6.message import (
    Association,
    Message,
    MessageType,
    Option,
    Options,
    Status,
    association,
    status,
)
from netbootd.events.event import Event, Offered
from netbootd.events.lease import AddressInUse, Leased, LeaseEnded, LeaseOffered, NoAddress
from netbootd.leases import names
from netbootd.leases.lease import Lease, State
from netbootd.leases.table import Leases
from netbootd.registry.hostnames import own_label
from netbootd.registry.machine import Machine
from netbootd.registry.marks import UNMARKED, Marks
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

#: Seconds for which an address that somebody else uses is given to nobody.
DECLINED_S = 900
_TICK_S = 0.001  # what is lost where a clock's seconds are added and taken off again
#: Parts of a lease after which it is renewed, and rebound (RFC 8415, section 21.4).
_T1, _T2 = 0.5, 0.8

_M = MessageType
#: They go to all servers, and are to be discarded where they do not (section 18.4).
_TO_ALL = frozenset({_M.SOLICIT, _M.CONFIRM, _M.REBIND, _M.INFORMATION_REQUEST})
_TO_ONE = frozenset({_M.REQUEST, _M.RENEW, _M.RELEASE, _M.DECLINE})
_HOW = {_M.REQUEST: "new", _M.SOLICIT: "new", _M.RENEW: "renewed", _M.REBIND: "rebound"}


def answer(
    request: Message,
    arrival: Arrival,
    registry: Registry,
    leases: Leases,
    *,
    duid: bytes,
    now: float,
    marks: Marks = UNMARKED,
    known: Known = NOTHING_KNOWN,
    saving: bool = True,
) -> Given | Ignored:
    """
    What is said to *request*; *now* is by the clock of *leases*, *duid* is ours.

    Offers and leases are put into *leases* here.  *saving* False: they cannot be written down, so
    nobody new is given one, and nothing is promised for longer than it was.
    """
    if reason := _invalid(request, arrival, duid):
        return Ignored(reason)
    link = link_of(request, arrival, registry)
    subnet = registry.subnets.of(str(link))
    mode = serving(registry, subnet, arrival.interface)
    if mode is Serving.OFF:
        return Ignored(f"DHCP is off on {arrival.interface}")
    if not subnet.served:
        told = f"in subnet {subnet.name}, where nobody is served"
        return Ignored(told, unserved=boot.stage_of(request) is not None, code="subnet")
    client = boot.client_of(request, arrival, link, marks)
    machine = identify(client, registry)
    listed_only = registry.config.known_only if subnet.known_only is None else subnet.known_only
    if listed_only and not (machine and machine.known):
        netboots = boot.stage_of(request) is not None
        return Ignored("not in the configuration, and known_only is set", netboots, "unlisted")
    if mode is not Serving.SERVER and request.type != _M.INFORMATION_REQUEST:
        return Ignored(f"{request.name}: for the site's DHCPv6 server")
    turn = _Turn(
        request=request,
        arrival=arrival,
        registry=registry,
        leases=leases,
        duid=duid,
        now=now,
        known=known,
        saving=saving,
        subnet=subnet,
        place=place_of(request, arrival, registry),
        client=client,
        machine=machine,
    )
    if mode is not Serving.SERVER:
        return turn.inform_netbooter()
    return turn.served()


def _invalid(request: Message, arrival: Arrival, duid: bytes) -> str:
    """Why *request* is not to be answered by anybody, or by us (section 16); empty where it is."""
    kind, server = request.type, request.server_id
    if kind not in _TO_ALL and kind not in _TO_ONE:
        return f"{request.name} is none for a server"
    if not request.client_id and kind != _M.INFORMATION_REQUEST:
        return f"{request.name} without a client identifier"
    if kind in _TO_ALL and arrival.unicast and not request.relays:
        return f"{request.name} by unicast"
    if kind in _TO_ONE and server is None:
        return f"{request.name} without a server identifier"
    if kind in _TO_ALL and kind != _M.INFORMATION_REQUEST and server is not None:
        return f"{request.name} with a server identifier"
    if server is not None and server != duid:
        return f"{request.name} for another server"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """One request, and all that counts for its answer."""

    request: Message
    arrival: Arrival
    registry: Registry
    leases: Leases
    duid: bytes
    now: float
    known: Known
    saving: bool
    subnet: Subnet
    place: Place
    client: Client
    machine: Machine | None

    # -- without addresses ---------------------------------------------------------------------

    def inform_netbooter(self) -> Given | Ignored:
        """INFORMATION-REQUEST beside the site's own server: the boot file and nothing else."""
        if boot.stage_of(self.request) is None:
            return Ignored("not a netboot client")
        decision = boot.decide(self.client, self.registry, self.known)
        if isinstance(step := decision.step, Refusal):
            return Ignored(step.reason, True, step.code, self.client, decision)
        return self._reply(_M.REPLY, self._booting(decision))

    def served(self) -> Given | Ignored:
        """Where we are the server."""
        if self.arrival.unicast and not self.request.relays and self.request.type in _TO_ONE:
            told = status(Status.USE_MULTICAST, "ask by multicast")
            return Given(reply=self._message(_M.REPLY, (told,)))
        match self.request.type:
            case _M.INFORMATION_REQUEST:
                return self._reply(_M.REPLY, self._boot())
            case _M.CONFIRM:
                return self._confirm()
            case _M.RELEASE | _M.DECLINE:
                return self._give_back()
        if not self.request.associations:
            if self.request.type == _M.SOLICIT:
                return self._reply(_M.ADVERTISE, self._boot())
            return Ignored(f"{self.request.name} without an IA_NA")
        return self._lease()

    # -- addresses -----------------------------------------------------------------------------

    def _lease(self) -> Given | Ignored:
        """SOLICIT, REQUEST, RENEW and REBIND."""
        kind = self.request.type
        rapid = self.subnet.addressing6.rapid_commit and self.request.rapid_commit
        offering = kind == _M.SOLICIT and not rapid
        parts = [
            self._associated(wanted, number, offering=offering)
            for number, wanted in enumerate(self.request.associations)
        ]
        if kind == _M.REBIND and not any(part.lease or part.gone for part in parts):
            return Ignored("REBIND of addresses that we know nothing of")
        options = tuple(part.option for part in parts)
        if kind == _M.SOLICIT and not offering:
            options = ((Option.RAPID_COMMIT, b""), *options)
        written = [part for part in parts if part.lease and not offering and part.write]
        reply = self._reply(_M.ADVERTISE if offering else _M.REPLY, self._boot(), options)
        told = tuple(part.event for part in parts if part.event)
        return replace(
            reply,
            write=tuple(part.lease for part in written if part.lease),
            before=tuple(part.before for part in written),
            events=(*told, *(reply.events if kind == _M.SOLICIT else ())),  # else it was told then
        )

    def _associated(self, wanted: Association, number: int, *, offering: bool) -> _Part:
        kind = self.request.type
        if number > 0:
            return _none(wanted, Status.NO_ADDRS_AVAIL, "a card gets one address")
        asker = self._asker(wanted)
        if (
            kind == _M.REQUEST
            and wanted.addresses
            and not any(map(self._on_link, wanted.addresses))
        ):
            return _none(wanted, Status.NOT_ON_LINK, "none of these is of this link")
        allotment = Allotment(self.place, self.registry, self.leases, self.now)
        address = allotment.choose(asker, wanted.addresses, saving=self.saving)
        lease = address and self._leased(address, asker, offering=offering)
        renewing = kind in (_M.RENEW, _M.REBIND)
        gone = tuple(one for one in wanted.addresses if one != address) if renewing else ()
        if not address or not lease:
            return self._nothing(wanted, wanted.addresses)
        before = self.leases.put(lease) if self.saving or offering else None
        seconds = self._time if offering else max(0, int(lease.until - self.now + _TICK_S))
        lifetimes = ((seconds, seconds), *((0, 0) for _ in gone))
        named = Association(wanted.iaid, (address, *gone), lifetimes)
        option = association(named, int(seconds * _T1), int(seconds * _T2))
        event = self._event(lease, seconds, offering=offering)
        return _Part(option, lease=lease, before=before, write=self.saving, event=event)

    def _asker(self, wanted: Association) -> Asker:
        return asker_of(self.request, self.arrival, self.machine, wanted, self.leases, self.now)

    @property
    def _time(self) -> int:
        return self.subnet.addressing6.lease_time

    def _leased(self, address: IPv6Address, asker: Asker, *, offering: bool) -> Lease | None:
        """The lease of *address*, None where nothing may be promised."""
        had = self.leases.at(address)
        if had is not None and (had.key != asker.key or not had.active(self.now)):
            had = None  # it is nobody's any more
        kept = had is not None and had.reserved and address in self.registry.reserved6
        reserved = asker.reserved == address or kept
        until = self.now + self._time
        if not self.saving and not reserved:
            if had is None:
                return None
            until = had.until
        if offering and had is not None:
            return had  # what it has already is offered again, and stays its own
        lease = Lease(
            address=address,
            key=asker.key,
            state=State.OFFERED if offering else State.LEASED,
            since=had.since if had is not None else self.now,
            until=self.now + OFFER_S if offering else until,
            mac=self.client.mac,
            client_id=asker.client_id,
            machine=asker.listed or (had.machine if had is not None and kept else ""),
            port=self.place.port,
            reserved=reserved,
        )
        return replace(lease, hostname=self._host_name(lease))

    def _nothing(self, wanted: Association, gone: tuple[IPv6Address, ...]) -> _Part:
        """No address: what the client thinks it has is over at once, where it is not of here."""
        code, reason = self._why_none(wanted)
        event = NoAddress(
            mac=self.client.mac,
            target=self._title,
            reason=reason,
            code=code,
            subnet=self.subnet.name,
            interface=self.arrival.interface,
        )
        if self.request.type in (_M.RENEW, _M.REBIND):
            over = Association(wanted.iaid, gone, tuple((0, 0) for _ in gone))
            return _Part(association(over), gone=bool(gone), event=event)
        told = _none(wanted, Status.NO_ADDRS_AVAIL, "no address is free")
        return replace(told, event=event)

    def _why_none(self, wanted: Association) -> tuple[str, str]:
        """A code for programs, and words."""
        if not self.saving:
            return "unsaved", "leases cannot be written down"
        name = self.subnet.name or "its network"
        if not any(subnet.addressing6.pools for subnet in self.place.subnets):
            return "no-pool", f"{name} has no pools, and it no address of its own"
        allotment = Allotment(self.place, self.registry, self.leases, self.now)
        if allotment.full(self._asker(wanted)):
            return "port-limit", f"the relay's port has all that {name} gives to one"
        return "exhausted", f"every address of the pools of {name} is taken"

    def _host_name(self, lease: Lease) -> str:
        """The name that goes with *lease*: the entry's own, where there is one."""
        if self.machine and self.machine.known and (own := own_label(self.machine)):
            return own
        return names.given(self.request.host_name, lease, self.registry, self.leases, self.now)

    def _event(self, lease: Lease, seconds: int, *, offering: bool) -> Event:
        if offering:
            return LeaseOffered(
                mac=lease.mac,
                target=self._title,
                address=str(lease.address),
                interface=self.arrival.interface,
                relay=self._relay,
                netboot=boot.stage_of(self.request) is not None,
            )
        return Leased(
            mac=lease.mac,
            target=self._title,
            address=str(lease.address),
            seconds=seconds,
            how=_HOW.get(_M(self.request.type), "new"),
            key=lease.key,
            hostname=lease.hostname,
            reserved=lease.reserved,
            interface=self.arrival.interface,
            relay=self._relay,
            netboot=boot.stage_of(self.request) is not None,
        )

    # -- about addresses that it has -----------------------------------------------------------

    def _on_link(self, address: IPv6Address) -> bool:
        own = () if self.request.relays else self.arrival.links
        near = any(address in one.network for one in own if not one.ip.is_link_local)
        return near or self.place.subnet_of(address) is not None

    def _confirm(self) -> Given | Ignored:
        """Section 18.3.3: only whether the addresses are of this link."""
        said = [one for wanted in self.request.associations for one in wanted.addresses]
        if not said:
            return Ignored("CONFIRM of no address")
        if not self.place.subnets:
            return Ignored("CONFIRM on a link of which nothing is known")
        good = all(map(self._on_link, said))
        code = Status.SUCCESS if good else Status.NOT_ON_LINK
        told = status(code, "all are of this link" if good else "not of this link")
        return Given(reply=self._message(_M.REPLY, (told,)))

    def _give_back(self) -> Given | Ignored:
        """RELEASE and DECLINE (sections 18.3.7 and 18.3.8): only of what is its own."""
        declining = self.request.type == _M.DECLINE
        written: list[tuple[Lease, Lease | None]] = []
        events: list[Event] = []
        options: list[tuple[int, bytes]] = [status(Status.SUCCESS, "")]
        for wanted in self.request.associations[:1]:
            asker = self._asker(wanted)
            own = [one for one in map(self.leases.at, wanted.addresses) if self._is_its(one, asker)]
            if not own:
                told = (Status.NO_BINDING, "no such lease")
                options.append(association(Association(wanted.iaid, status=told)))
            for lease in own:
                assert lease is not None
                new, event = self._declined(lease) if declining else self._released(lease)
                written.append((new, self.leases.put(new)))
                events.append(event)
        return Given(
            reply=self._message(_M.REPLY, tuple(options)),
            write=tuple(new for new, _ in written),
            before=tuple(before for _, before in written),
            events=tuple(events),
        )

    def _is_its(self, lease: Lease | None, asker: Asker) -> bool:
        return lease is not None and lease.key == asker.key and lease.active(self.now)

    def _released(self, lease: Lease) -> tuple[Lease, Event]:
        free = replace(lease, state=State.FREE, until=self.now)
        return free, LeaseEnded(
            mac=lease.mac,
            target=self._title,
            address=str(lease.address),
            how="released",
            key=lease.key,
            hostname=lease.hostname,
        )

    def _declined(self, lease: Lease) -> tuple[Lease, Event]:
        until = self.now + DECLINED_S
        declined = replace(lease, state=State.DECLINED, since=self.now, until=until)
        return declined, AddressInUse(
            mac=lease.mac,
            target=self._title,
            address=str(lease.address),
            seconds=DECLINED_S,
            interface=self.arrival.interface,
        )

    # -- the reply -----------------------------------------------------------------------------

    @property
    def _title(self) -> str:
        return self.machine.title if self.machine else ""

    @property
    def _relay(self) -> str:
        return str(self.arrival.source) if self.request.relays else ""

    def _boot(self) -> boot.Boot | Decision | None:
        """
        The boot part, None where nothing is to boot.  Of what is refused, the Decision: it takes
        nothing else away.
        """
        if boot.stage_of(self.request) is None:
            return None
        decision = boot.decide(self.client, self.registry, self.known)
        return decision if isinstance(decision.step, Refusal) else self._booting(decision)

    def _booting(self, decision: Decision) -> boot.Boot:
        return boot.boot(
            self.request, self.client, decision, self.arrival, self.subnet, self.registry
        )

    def _reply(
        self, kind: MessageType, part: boot.Boot | Decision | None, options: Options = ()
    ) -> Given:
        """*options*, what the subnet says, and the boot *part*."""
        own = part.options if isinstance(part, boot.Boot) else ()
        reply = self._message(kind, (*own, *options, *self._configured()))
        match part:
            case boot.Boot():
                return Given(reply=reply, events=(self._offered(kind, part),))
            case Decision(step=Refusal(reason=reason, code=code)):
                told = telling.unserved(self.request, self.arrival, reason, code, part)
                return Given(reply=reply, events=(replace(told, answered=True),))
        return Given(reply=reply)

    def _message(self, kind: MessageType, options: Options) -> Message:
        """A boot file's URL is never the last, see ``boot``: the server's identifier is."""
        echoed = (
            ((int(Option.CLIENT_ID), self.request.client_id),) if self.request.client_id else ()
        )
        ours = (int(Option.SERVER_ID), self.duid)
        return Message(kind, self.request.xid, (*echoed, *options, ours), self.request.relays)

    def _configured(self) -> Options:
        """What the client asks for and the subnet says."""
        said = self.subnet.addressing6.options
        asked = dict.fromkeys(self.request.requested)
        return tuple((code, said[code]) for code in asked if code in said)

    def _offered(self, kind: MessageType, part: boot.Boot) -> Offered:
        client, decision = self.client, part.decision
        return Offered(
            mac=client.mac,
            target=decision.machine.title if decision.machine else "",
            peer=str(self.arrival.source),
            arch=str(client.arch or client.stage.value),
            file=part.file,
            server=str(self.arrival.address),
            interface=self.arrival.interface,
            message="offered" if kind == _M.ADVERTISE else "acknowledged",
            because="; ".join(decision.because),
            warning=decision.warning,
            stage=client.stage.value,
            vendor_class=next(iter(self.request.vendor_classes), "")[: telling.LONGEST],
            relay=self._relay,
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """
    The answer to one association: its *option*, the *lease* that it promises and what was there
    *before*; *gone*: it ends what the client had.
    """

    option: tuple[int, bytes]
    lease: Lease | None = None
    before: Lease | None = None
    write: bool = False
    gone: bool = False
    event: Event | None = None


def _none(wanted: Association, code: Status, text: str) -> _Part:
    return _Part(association(Association(wanted.iaid, status=(code, text))))
