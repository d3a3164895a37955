"""
The API without a socket: real files, a real record on disk and the real site; threads do their work
at once, and the reactor is a clock.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, replace

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netbootd.api.desk import Desk
from netbootd.api.edit import Editor
from netbootd.apitoken import Tokens
from netbootd.check import rehearse, tried
from netbootd.chronicle import Chronicle
from netbootd.errors import ConfigErrors, Level
from netbootd.events.audit import Audited
from netbootd.events.stream import Stream
from netbootd.http import apireading, channel, eventstream
from netbootd.http.api import Api
from netbootd.http.bodies import Bodies
from netbootd.http.local import LocalSite
from netbootd.http.site import Site
from netbootd.keeper import Keeper
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.snapshot import changes
from netbootd.systemd import Notifier
from netbootd.telling import Teller

from .leasebook import LeaseBook

TOKEN = "a-token-of-the-api"
HERE = IPv4Address("TCP", "192.0.2.1", 3000)
PEER = IPv4Address("TCP", "192.0.2.77", 40000)
CONFIG = """{
  "targets" : {
     "nfs" : { "a" : { "kernel" : "k", "boot_args" : "root=/dev/nfs nfsroot=192.0.2.1:/a" } },
     "localboot" : { "disk" : {} },
     "install" : { "broken" : { "kernel" : 7 } },
  },
  "groups" : { "rack1" : { "rack" : 1 }, "rack2" : { "rack" : 2 } },
  "machines" : {
     "52:54:00:12:34:56" : { "type" : "nfs", "name" : "a", "hostname" : "n1", "group" : "rack1" },
     "52:54:00:12:34:57" : { "type" : "nfs", "name" : "a", "hostname" : "twin" },
     "52:54:00:12:34:58" : { "type" : "nfs", "name" : "a", "hostname" : "twin", "enabled" : false },
     "board" : { "uuid" : "4c4c4544-0042-3510-8050-b7c04f4e3132", "type" : "localboot", "name" : "disk" },
     %s
  },
  "netbootd" : { "state" : "state", "files" : "files", %s },
}"""


class Reactor(Clock):
    """A clock that does at once what a thread asks for."""

    def callFromThread(self, work, *arguments):
        self.callLater(0, work, *arguments)


class LocalTransport(StringTransport):
    """One end of a real Unix socket pair, for who is at the other."""

    def __init__(self):
        super().__init__(hostAddress=UNIXAddress("api.sock"), peerAddress=UNIXAddress(""))
        self.ends = socket.socketpair()

    def getHandle(self):
        return self.ends[0]


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """That of an error."""
        return self.json["error"]["code"]

    @property
    def message(self):
        return self.json["error"]["message"]


def answered(raw: bytes) -> Response:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Response(int(first.split()[1]), headers, body)


class Rig:
    """``local`` asks over the Unix socket, ``ask`` over TCP."""

    def __init__(self, folder, machines="", netbootd="", config=None):
        (folder / "files").mkdir(exist_ok=True)
        self.folder = folder
        self.file = folder / "netbootd.json"
        self.file.write_text(config or CONFIG % (machines, netbootd))
        self.drop_ins = folder / "machines.d"
        self.now = 1_700_000_000.0
        self.peer = PEER
        self.reactor = Reactor()
        registry = self._rehearsed()
        state = registry.config.state
        self.keeper = Keeper(self.reactor, state, lambda: self.now)
        self.live = LiveRegistry(registry, self.keeper.record, self.keeper.styles)
        self.events = Stream(print)
        self.audited = []
        self.events.subscribe(lambda event: self.audited.append(str(event)), Audited)
        self.chronicle = Chronicle(self.reactor, state, self.live, lambda: self.now)
        self.keeper.start(self.live, lambda _: None)
        self.teller = Teller(self.live, self.file, Notifier({}))
        self.leases = LeaseBook(lambda: self.now)
        self.reloads = 0
        self.desk = Desk(
            live=self.live,
            told=self.teller,
            status=self.teller.status,
            orders=self.keeper,
            now=lambda: self.now,
            reload=self._reload,
            editor=Editor(self.file, self._rehearsed, tried),
            boots=self.chronicle,
            leases=self.leases,
            observer="server",
        )
        bodies = Bodies(self.reactor)
        status = self.teller.status
        self.site = Site(self.reactor, self.live, self.events, bodies, status)
        self.authority = self.site.authority
        self.keyring = self.authority.keyring
        self.use_token(TOKEN)
        self.api = Api(self.reactor, self.desk, self.authority)
        self.local_site = LocalSite(
            self.reactor, self.live, self.events, bodies, status, authority=self.authority
        )
        self.site.api = self.local_site.api = self.api

    def use_token(self, token):
        """*token* counts from now on, by the name ops, and no other; none where it is empty."""
        self.keyring.tokens = Tokens().having("ops", token) if token else Tokens()

    def close(self):
        self.keeper.stop()

    def _rehearsed(self, pending=None):
        registry = load(self.file, (), pending or {})
        return replace(registry, findings=(*registry.findings, *rehearse(registry)))

    def _reload(self, written):
        self.reloads += 1
        try:
            registry = self._rehearsed()
            if any(one.level is Level.RELOAD for one in registry.findings):
                raise ConfigErrors(registry.findings)
        except ConfigErrors as problem:
            self.teller.refuses(problem.findings)
            return succeed(self.teller.refused)
        changed = changes(self.live.snapshot, registry)
        self.live.swap(registry)
        self.teller.reloaded(registry, changed)
        return succeed(())

    # -- asking --------------------------------------------------------------------------------

    def connect(self, *, local=False):
        site = self.local_site if local else self.site
        transport = LocalTransport() if local else StringTransport(HERE, self.peer)
        made = site.buildProtocol(None)
        made.makeConnection(transport)
        return made, transport

    def send(self, method, target, body, headers, *, local):
        made, transport = self.connect(local=local)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {headers.pop('Host', 'x')}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        made.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.reactor.advance(0)
        return made, transport

    def raw(self, method, path, body=b"", *, local=False, prefix="/api/v1", **headers):
        """The answer to exactly this."""
        _, transport = self.send(method, prefix + path, body, headers, local=local)
        return answered(transport.value())

    def ask(self, method, path, value=None, *, token=TOKEN, local=False, **headers):
        """The answer to *value* as JSON, with the token."""
        if token and not local:
            headers.setdefault("Authorization", f"Bearer {token}")
        body = b"" if value is None else json.dumps(value).encode()
        if value is not None:
            headers.setdefault("Content-Type", "application/json")
        return self.raw(method, path, body, local=local, **headers)

    def local(self, method, path, value=None, **headers):
        return self.ask(method, path, value, local=True, **headers)

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def machine(self, who):
        return self.get(f"/machines/{who}").json

    def table(self, text, query="", kind="text/csv"):
        raw = text.encode() if isinstance(text, str) else text
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        return self.raw("POST", f"/machines/import{query}", raw, **headers)

    def written(self):
        """The names of the drop-ins, and of anything else there."""
        return sorted(one.name for one in self.drop_ins.iterdir()) if self.drop_ins.is_dir() else []


def at_once(monkeypatch):
    """What would be a thread's work is done here and now."""
    for module in (apireading, channel, eventstream):
        monkeypatch.setattr(module, "deferToThread", maybeDeferred)
