"""The world without a socket: the daemon's own functions, called with what a client would send."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import islice
from urllib.parse import parse_qsl, unquote, urlsplit

from netbootd import configfiles, dhcpoptions, urls
from netbootd.addressing import Serving
from netbootd.boot.client import Client, Stage
from netbootd.boot.history import machine_of
from netbootd.boot.script import Past, boot_script, first_script
from netbootd.content import Content
from netbootd.dhcp import proxy, pxe, wire
from netbootd.dhcp import server as dhcp_server
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.given import Given
from netbootd.dhcp.message import Message, Op
from netbootd.dhcp.proxy import Ignored, Known
from netbootd.errors import NetbootdError, NotFound
from netbootd.http import bootscript, files
from netbootd.http.resource import Answer, Asked, Part, Work
from netbootd.leases.table import Leases
from netbootd.registry import expected, overlays
from netbootd.registry.facts import facts_of
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import ELSEWHERE, Subnet
from netbootd.simulate.network import Digest, File, Unchecked, Unreachable
from netbootd.tftp.blocks import Train
from netbootd.tftp.locate import Locator
from netbootd.tftp.options import Bounds, negotiate
from netbootd.tftp.transfer import Transfer
from netbootd.tftp.wire import HEADER, ReadRequest

CLIENT_ADDRESS = "192.0.2.100"  # RFC 5737, documentation
_SERVER_ADDRESS = "192.0.2.1"
_MTU = 1500
_THIS_BOOT = Past(token="token-of-this-boot")  # noqa: S106
_PIECE = 1 << 20
_TFTP_PORT = 69
_MOST_TRIED = 4096  # addresses that might be ours
_ELSEWHERE = "ask on the network, with --interface"


class Memory:
    """
    A network made of *registry*; *file* is its name for the headline.  *link* is an address of the
    subnet that the client is in, empty where that is not known.  *own* are this host's addresses.
    """

    def __init__(
        self, registry: Registry, file: str, link: str = "", own: Iterable[IPv4Address] = ()
    ) -> None:
        self.name = f"{file}, in memory"
        self._registry = registry
        self._live = LiveRegistry(registry)
        self._locator = Locator(self._live, time.monotonic)
        self._address = IPv4Address(_own_address(registry) or _SERVER_ADDRESS)
        self._client = CLIENT_ADDRESS
        self._leases, self._serves, self._prefix = Leases(), False, 32
        net = _network(registry, self._address, link)
        if isinstance(net.network, IPv4Network):
            self._serves = registry.serving(net, "(memory)") is Serving.SERVER
            self._prefix = net.network.prefixlen
            if self._serves and self._address not in net.network:
                found = _known(net, own)
                self._address = found or _free(net, registry)
                if found is None:
                    self.name += f"; the server's address, {self._address}, is made up"
        if self._address == IPv4Address(_SERVER_ADDRESS) and not _own_address(registry):
            self.name += f"; {self._address} stands for the boot server's own address"
        self._because: tuple[str, ...] = ()
        self._has_loaded = False  # our loader: the iPXE that asks from then on is ours

    def dhcp(self, request: bytes, port: Port, server: str) -> Message:
        asked = wire.decode(request)
        if self._serves and port is Port.DHCP:
            return self._of_server(asked)
        if (told := pxe.beyond_a_proxy(asked, self._address)) is not None:
            self._because = (f"taken for granted here: {told}",)
            return Message(op=Op.REPLY, xid=asked.xid, siaddr=self._address)
        if not self._registry.config.proxydhcp.enabled:
            raise Unreachable(
                'no answer: "proxydhcp" is off in the configuration, so your DHCP server must name '
                "the boot file; what it names, only the network can tell (--interface)"
            )
        source = (self._client if server else "0.0.0.0", 68)
        arrival = Arrival("(memory)", self._address, port, source)
        known = Known(replaced=self._has_loaded)
        marks = self._live.sightings.note(pxe.mac_of(asked), pxe.marks_of(asked))
        answer = proxy.answer(asked, arrival, self._registry, marks, known=known)
        self._because = answer.decision.because if answer.decision else ()
        if isinstance(answer, Ignored):
            raise Unreachable(f"no answer: {answer.reason}")
        return wire.decode(wire.encode(answer.reply, asked.limit))

    def _of_server(self, asked: Message) -> Message:
        """What the DHCP server says; nobody else is on this network, so that nobody answers ARP."""
        arrival = Arrival("(memory)", self._address, Port.DHCP, ("0.0.0.0", 68))
        marks = self._live.sightings.note(pxe.mac_of(asked), pxe.marks_of(asked))
        found = dhcp_server.answer(
            asked,
            arrival,
            self._registry,
            self._leases,
            now=time.monotonic(),
            links=(IPv4Interface(f"{self._address}/{self._prefix}"),),
            marks=marks,
            known=Known(replaced=self._has_loaded),
            asked=lambda _address: True,
        )
        if not isinstance(found, Given):
            raise Unreachable(f"no answer: {getattr(found, 'reason', 'nothing is said to that')}")
        decision = found.boot.decision if found.boot else None
        refused = (found.refused.reason,) if found.refused else ()
        self._because = decision.because if decision else refused
        if found.lease is not None:
            self._client = str(found.lease.address)
        return wire.decode(wire.encode(found.reply, asked.limit))

    def why(self) -> tuple[str, ...]:
        return self._because

    def tftp(self, server: str, path: str, options: Mapping[str, str]) -> File:
        self._check_tftp(server, path)
        self._has_loaded = True
        request = ReadRequest(path, "octet", dict(options))
        try:
            content = self._locator.locate(request, self._client, server).content
        except NetbootdError as problem:
            raise Unreachable(f"TFTP ERROR: {problem}") from None
        try:
            return self._transfer(content, request)
        finally:
            content.close()

    def _check_tftp(self, server: str, path: str) -> None:
        settings = self._registry.config.tftp
        if server not in self._hosts():
            raise Unchecked(f"tftp://{server}/{path}: this is not this server; {_ELSEWHERE}")
        if not settings.enabled:
            raise Unreachable('no answer: "tftp" is off in the configuration')
        if settings.port != _TFTP_PORT:
            raise Unreachable(
                f'no answer: clients ask UDP port {_TFTP_PORT}, and "tftp" has port {settings.port}'
            )

    def _transfer(self, content: Content, request: ReadRequest) -> File:
        """Walk the very transfer that the daemon would make, block by block."""
        began = time.monotonic()
        windowsize = self._registry.config.tftp.windowsize
        grant = negotiate(request.options, Bounds(content.size, _MTU, windowsize))
        transfer = Transfer(content.read, content.size, grant)
        train: Train | None = transfer.start(began)
        if grant.answer:
            train = transfer.acknowledge(0, began)
        digest, block = Digest(), 0
        while transfer.outcome is None and train is not None:
            packets, length = train
            for at in range(0, len(packets), length):
                digest.add(bytes(packets[at + HEADER : at + length]))
                block += 1
            train = transfer.acknowledge(block & 0xFFFF, began)
        how = f"{block} blocks of {grant.blksize}, windows of {grant.windowsize}"
        return digest.file(time.monotonic() - began, how)

    def http(self, url: str, user_agent: str) -> File:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        if base not in self._bases():
            raise Unchecked(f"{url}: this is not this server; {_ELSEWHERE}")
        route = urls.route([part for part in unquote(parts.path).split("/") if part])
        query = dict(parse_qsl(parts.query))
        if route.kind is urls.Kind.SCRIPT:
            self._live.sightings.note(route.mac, Marks.of(query))
        self._has_loaded |= route.path.rpartition("/")[2] in urls.PROGRAMS
        began = time.monotonic()
        content = self._content(route, base, user_agent, query.get(urls.CHOICE, ""))
        try:
            digest = Digest()
            for offset in range(0, content.size, _PIECE):
                digest.add(content.read(offset, _PIECE))
            return digest.file(time.monotonic() - began, "200")
        finally:
            content.close()

    def look(self, url: str, user_agent: str) -> None:
        self.http(url, user_agent)

    def _content(self, route: urls.Route, base: str, user_agent: str, choice: str = "") -> Content:
        match route.kind:
            case urls.Kind.FIRST:
                return _held(first_script(self._registry, base).text)
            case urls.Kind.SCRIPT:
                client = Client(stage=Stage.IPXE, mac=route.mac, address=self._client)
                client = client.marked(self._live.sightings.of(route.mac))
                script = boot_script(client, self._registry, base, _THIS_BOOT, choice)
                if script.status != HTTPStatus.OK and not user_agent.startswith("iPXE/"):
                    raise Unreachable(f"{script.status}: {script.says}")
                return _held(script.text)
            case urls.Kind.OVERLAY:
                return self._overlay(route, base)
            case urls.Kind.FILE:
                return self._file(route, base, user_agent)
        raise Unreachable("404: no such address")

    def _file(self, route: urls.Route, base: str, user_agent: str) -> Content:
        """A file, or what is made for the machine that asks: of a template, or for its loader."""
        here = (str(self._address), self._registry.config.http_port[0])
        asked = Asked(
            method="GET",
            path=f"/{route.path}",
            host=urlsplit(base).netloc,
            here=here,
            peer=self._client,
            headers={"user-agent": user_agent},
            sightings=self._live.sightings,
        )
        try:
            answer = self._answer(asked, route)
        except NetbootdError as problem:
            raise Unreachable(f"404: {problem}") from None
        except OSError as problem:
            raise Unreachable(f"503: {problem}") from None
        if answer.status != HTTPStatus.OK:
            reason = getattr(answer.event, "reason", answer.status.phrase)
            raise Unreachable(f"{answer.status}: {reason}")
        body = answer.body
        return body.content if isinstance(body, Part) else Content("", held=body)

    def _answer(self, asked: Asked, route: urls.Route) -> Answer:
        registry, record = self._registry, self._live.record
        try:
            return files.answer(asked, route, registry, record)
        except NotFound:
            if (file := configfiles.parse(route.path)) is None:
                raise
            made = bootscript.configuration(asked, file, route.mac, registry, record)
            return made.make() if isinstance(made, Work) else made

    def _overlay(self, route: urls.Route, base: str) -> Content:
        """The extra initrd for what the machine's entry says."""
        sightings = self._live.sightings
        machine = machine_of(route.mac, self._registry, sightings) if route.mac else None
        if machine is None or machine.mac is None:
            raise Unreachable("404: not in the configuration")
        facts = facts_of(machine.mac, machine, self._registry, base, self._client, _THIS_BOOT.token)
        try:
            return Content("", held=overlays.build(machine, facts, self._registry))
        except NetbootdError as problem:
            raise Unreachable(f"500: {problem}") from None

    def _bases(self) -> set[str]:
        """Every name that this server goes by; a path behind a server's name is the client's."""
        known = map(urlsplit, self._registry.servers.values())
        ports = self._registry.config.http_port
        own = {urls.base_url(str(self._address), port) for port in ports}
        return own | {f"{server.scheme}://{server.netloc}" for server in known}

    def _hosts(self) -> set[str]:
        return {urlsplit(base).hostname or "" for base in self._bases()}


def _network(registry: Registry, ours: IPv4Address, link: str) -> Subnet:
    """Where the client stands: where it says, else where we do, else the one we give addresses."""
    for address in (link, str(ours)):
        found = registry.subnets.of(address)
        if found.network is not None:
            return found
    return expected.only(registry) or ELSEWHERE


def _known(net: Subnet, own: Iterable[IPv4Address]) -> IPv4Address | None:
    """Our address in *net*: as it says of its boot server, else what this host has there."""
    told = net.boot_address
    if told is not None and net.network is not None and told in net.network:
        return told
    return next((one for one in own if net.network is not None and one in net.network), None)


def _free(net: Subnet, registry: Registry) -> IPv4Address:
    """An address for us, where nothing says one: no router's, no machine's, and of no pool."""
    assert isinstance(net.network, IPv4Network)
    router = net.addressing.options.get(dhcpoptions.ROUTERS, b"")[:4]
    pools = [pool.range for pool in net.addressing.pools]
    for address in islice(net.network.hosts(), _MOST_TRIED):
        taken = address in registry.reserved or any(address in pool for pool in pools)
        if not taken and address.packed != router:
            return address
    return net.network[-1]


def _held(text: str) -> Content:
    return Content("", held=text.encode())


def _own_address(registry: Registry) -> str | None:
    """The boot server's address, where the configuration gives it in numbers."""
    host = urlsplit(registry.boot_server or "").hostname or ""
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return None
