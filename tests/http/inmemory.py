"""The site without a socket: raw bytes in, parsed answers and events out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netbootd.events.event import Event
from netbootd.events.progress import Started
from netbootd.events.stream import Stream
from netbootd.http.bodies import Bodies
from netbootd.http.resource import Reply, asked_of
from netbootd.http.site import Site
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

HERE = IPv4Address("TCP", "192.0.2.1", 3000)
PEER = IPv4Address("TCP", "192.0.2.77", 40000)
MAC = "52:54:00:12:34:56"
CONFIG = """{
  "boot_servers" : { %s },
  "targets" : { "nfs" : { "a" : { "kernel" : "/images/vmlinuz" }, "broken" : { "kernel" : 7 } } },
  "machines" : {
     %s
     "52:54:00:12:34:56" : { "type" : "nfs", "name" : "a", "ip" : "192.0.2.77" },
     "52:54:00:12:34:57" : { "type" : "nfs", "name" : "broken" },
  },
  "netbootd" : { "files" : "files", "firmware" : "firmware", "state" : "state", %s },
}"""
LOADER = b"MZ" + bytes(1000)
KERNEL = bytes(range(256)) * 40


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def responses(data: bytes, *methods: str) -> list[Response]:
    """The answers in *data*, to requests of these *methods*; nothing may be left over."""
    found = []
    for method in methods:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        length = 0 if method == "HEAD" else int(headers.get("content-length", 0))
        found.append(Response(int(first.split()[1]), headers, data[:length]))
        data = data[length:]
    assert data == b"", "more was sent than announced"
    return found


class Rig:
    """A site over a folder, its clock and its events; ``get`` asks in one line."""

    def __init__(
        self, folder: Path, servers: str = "", machines: str = "", netbootd: str = ""
    ) -> None:
        self.root = folder / "files"
        (self.root / "images").mkdir(parents=True, exist_ok=True)
        (self.root / "images" / "vmlinuz").write_bytes(KERNEL)
        (folder / "firmware").mkdir()
        (folder / "firmware" / "ipxe.efi").write_bytes(LOADER)
        (folder / "c.json").write_text(CONFIG % (servers, machines, netbootd))
        self.clock = Clock()
        self.live = LiveRegistry(load(folder / "c.json"))
        #: What happened; that files begin to be sent is kept apart.
        self.events: list[Event] = []
        self.begun: list[Started] = []
        stream = Stream(lambda problem: self.events.append(repr(problem)))
        stream.subscribe(self._notice)
        self.status = {"version": "1", "machines": 2}
        self.site = Site(self.clock, self.live, stream, Bodies(self.clock), lambda: self.status)

    def _notice(self, event: Event) -> None:
        (self.begun if isinstance(event, Started) else self.events).append(event)

    def connect(self) -> tuple[object, StringTransport]:
        transport = StringTransport(hostAddress=HERE, peerAddress=PEER)
        channel = self.site.buildProtocol(PEER)
        channel.makeConnection(transport)
        return channel, transport

    def raw(self, data: bytes) -> bytes:
        """What comes back on a new connection for exactly these bytes."""
        channel, transport = self.connect()
        channel.dataReceived(data)
        return transport.value()

    def ask(self, method: str, target: str, **headers: str) -> Response:
        named = {"Host": "192.0.2.1:3000", **{k.replace("_", "-"): v for k, v in headers.items()}}
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in named.items() if v)]
        sent = self.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))
        (response,) = responses(sent, method)
        return response

    def asked(self, target: str) -> Reply:
        """What the site answers to a GET of *target*, before anything of it is sent."""
        return self.site.answer(
            asked_of(b"GET", target.encode(), (), ("192.0.2.1", 3000), PEER.host)
        )

    def get(self, target: str, **headers: str) -> Response:
        return self.ask("GET", target, **headers)
