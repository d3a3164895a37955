"""
What we would have answered: the daemon's own decisions, asked in the order of the capture.

Nothing is remembered but what the capture shows: no armed boot, no machine that is held, no reply
style that was learned.  Who asks is known by what it said before (its UUID), as it is to a daemon.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import Message as Headers
from email.parser import Parser
from ipaddress import IPv4Address

from netbootd import configfiles, urls
from netbootd.boot.decision import Loader
from netbootd.content import parts_of
from netbootd.dhcp import proxy, pxe, wire
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.message import MessageType
from netbootd.dhcp.proxy import Ignored, Known
from netbootd.errors import NetbootdError, WireError
from netbootd.http import bootscript, files
from netbootd.http.resource import Answer, Asked, Part, Work, asked_of
from netbootd.mac import MAC
from netbootd.printable import printable
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry
from netbootd.replay.conversation import Kind, Question
from netbootd.replay.said import Said, of_message
from netbootd.tftp import wire as tftp
from netbootd.tftp.locate import Locator
from netbootd.tftp.options import Bounds, negotiate
from netbootd.tftp.refusals import known_refusal

_MTU = 1500
_MOST_TEXT = 1 << 16  # bytes of a script that are compared
_AGENTS = ("iPXE/", "GRUB", "UefiHttpBoot", "Syslinux", "U-Boot")
_SCRIPTS = (urls.Kind.FIRST, urls.Kind.SCRIPT)
_OUR_NAME = "we"


class Silent(NetbootdError):
    """We would have said nothing; the text says why.  *concerns*: a machine goes without."""

    def __init__(self, reason: str, *, concerns: bool = False) -> None:
        super().__init__(reason)
        self.concerns = concerns


class Us:
    """A daemon with *registry* at *address*, without a socket."""

    def __init__(self, registry: Registry, address: IPv4Address) -> None:
        self._now = 0.0
        self._registry = registry
        self._address = address
        self._live = LiveRegistry(registry, Record(lambda: self._now))
        self._locator = Locator(self._live, lambda: self._now)

    def answer(self, question: Question) -> Said:
        """Our answer to *question*; raises Silent where there is none."""
        self._now = question.asked.at
        match question.kind:
            case Kind.DHCP:
                return self._dhcp(question)
            case Kind.TFTP:
                return self._tftp(question)
            case Kind.HTTP:
                return self._http(question)

    # -- DHCP ----------------------------------------------------------------------------------

    def _dhcp(self, question: Question) -> Said:
        asked, request = question.asked, question.request
        assert request is not None
        if not self._registry.config.proxydhcp.enabled:
            raise Silent('"proxydhcp" is off in the configuration', concerns=True)
        port = Port.BOOT_SERVER if asked.dport == Port.BOOT_SERVER else Port.DHCP
        arrival = Arrival("", self._address, port, (str(asked.source), asked.sport))
        mac, live = pxe.mac_of(request), self._live
        marks = live.sightings.note(mac, pxe.marks_of(request))
        replaced = live.replacements.done(mac, request.xid, self._now)
        known = Known(live.record.of, replaced, self._now)
        answer = proxy.answer(request, arrival, self._registry, marks, known=known)
        if isinstance(answer, Ignored):
            raise Silent(answer.reason, concerns=answer.unserved)
        if mac and pxe.is_ipxe(request) and isinstance(answer.decision.step, Loader):
            live.replacements.note(mac, request.xid, self._now)
        try:
            reply = wire.decode(wire.encode(answer.reply, request.limit))
        except WireError as problem:
            raise Silent(f"the reply cannot be sent: {problem}", concerns=True) from None
        kind = MessageType(reply.message_type or 0).name
        because = answer.decision.because
        return Said(what=kind, by=_OUR_NAME, fields=of_message(reply), because=because)

    # -- TFTP ----------------------------------------------------------------------------------

    def _tftp(self, question: Question) -> Said:
        settings = self._registry.config.tftp
        if not settings.enabled:
            raise Silent('"tftp" is off in the configuration', concerns=True)
        try:
            request = tftp.decode(question.asked.payload)
        except WireError as problem:
            raise Silent(str(problem)) from None
        if not isinstance(request, tftp.ReadRequest):
            raise Silent("no read request")
        peer = str(question.asked.source)
        try:
            located = self._locator.locate(request, peer, str(self._address))
        except (NetbootdError, OSError) as problem:
            return _refused(problem)
        size = located.content.size
        located.content.close()
        bounds = Bounds(size, located.mtu or _MTU, settings.windowsize, settings.blksize)
        try:
            grant = negotiate(request.options, bounds)
        except NetbootdError as problem:
            return _refused(problem)
        because = (f"{printable(request.path)} has {size:,} bytes",)
        what = "OACK" if grant.answer else "DATA 1"
        return Said(what=what, by=_OUR_NAME, fields=grant.answer, because=because)

    # -- HTTP ----------------------------------------------------------------------------------

    def _http(self, question: Question) -> Said:
        asked = asked_over_http(question)
        route = urls.route(parts_of(asked.path))
        if route.kind is urls.Kind.SCRIPT:
            self._live.sightings.note(route.mac, Marks.of(asked.query))
        here = str(self._address), question.asked.dport
        asked = replace(asked, here=here, sightings=self._live.sightings)
        try:
            answer = self._page(asked, route)
        except (NetbootdError, OSError) as problem:
            return Said(what="HTTP 404", by=_OUR_NAME, because=(str(problem),))
        fields = {"size": str(answer.size)}
        if isinstance(answer.body, Part):
            answer.body.content.close()
        elif asked.method != "HEAD":
            fields["text"] = answer.body[:_MOST_TEXT].decode("utf-8", "replace")
        return Said(what=f"HTTP {int(answer.status)}", by=_OUR_NAME, fields=fields)

    def _page(self, asked: Asked, route: urls.Route) -> Answer:
        registry, record = self._registry, self._live.record
        answer: Answer | Work
        match route:
            case urls.Route(kind=urls.Kind.FIRST):
                answer = bootscript.first(asked, registry)
            case urls.Route(kind=urls.Kind.SCRIPT, mac=MAC() as mac):
                answer = bootscript.machine(asked, mac, registry, record)
            case urls.Route(kind=urls.Kind.FILE):
                file = configfiles.parse(route.path)
                try:
                    answer = files.answer(asked, route, registry, record)
                except NetbootdError:
                    if file is None:
                        raise
                    answer = bootscript.configuration(asked, file, route.mac, registry, record)
            case _:
                raise Silent(f"{printable(asked.path)} is nothing that a loader asks for")
        return answer.make() if isinstance(answer, Work) else answer


def _refused(problem: Exception) -> Said:
    refusal = known_refusal(problem)
    code = int(refusal.code) if refusal else int(tftp.ErrorCode.UNDEFINED)
    return Said(what=f"ERROR {code}", by=_OUR_NAME, because=(str(refusal or problem),))


_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?\n")


def asked_over_http(question: Question) -> Asked:
    """
    The request; raises Silent where it cannot be read, or no boot loader asks for something that
    only a browser or an installer would.
    """
    asked = question.asked
    line = _REQUEST.match(asked.payload)
    if line is None:
        raise Silent("its first line is not whole, or not of HTTP/1")
    headers = _headers(asked.payload[line.end() :])
    named = [(name.encode("latin-1", "replace"), [value.encode("latin-1", "replace")])
             for name, value in headers.items()]  # fmt: skip
    read = asked_of(line[1], line[2], named, (str(asked.to), asked.dport), str(asked.source))
    by_loader = read.headers.get("user-agent", "").startswith(_AGENTS)
    try:
        scripted = urls.route(parts_of(read.path)).kind in _SCRIPTS
    except NetbootdError as problem:
        raise Silent(str(problem)) from None
    if not by_loader and not scripted:
        raise Silent("no boot loader asks, and for no boot script")
    return read


def _headers(block: bytes) -> Headers:
    text = block.partition(b"\r\n\r\n")[0].decode("latin-1")
    return Parser().parsestr(text, headersonly=True)


def status_of(answer: bytes) -> tuple[str, dict[str, str]]:
    """What came back over HTTP: its status, and size and text of its body, as far as known."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, _, rest = head.partition(b"\r\n")
    words = first.split(b" ", 2)
    if not first.startswith(b"HTTP/") or len(words) < 2 or not words[1].isdigit():
        return "no HTTP", {}
    headers = _headers(rest + b"\r\n\r\n")
    fields = {}
    if size := printable(headers.get("content-length", "") or "", 20):
        fields["size"] = size
    if body and is_text(body):
        fields["text"] = body[:_MOST_TEXT].decode("utf-8", "replace")
    return f"HTTP {int(words[1][:4])}", fields


def is_text(body: bytes) -> bool:
    """Whether *body* is a script, and no file."""
    return b"\0" not in body[:4096]
