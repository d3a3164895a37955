"""
The real world: packets to a running daemon, through one interface of this host.

DISCOVERs are broadcast and port 4011 is asked as firmware does, so this needs the right to use
port 68 (root).  Plain blocking sockets: a client has nothing else to do.  The daemon may run on
this very host: then its port 4011, which listens to one interface, is asked by broadcast, since
the kernel would send a unicast to ourselves around it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from netbootd.dhcp import wire as dhcp_wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.errors import WireError
from netbootd.interfaces import Interface
from netbootd.simulate.network import Digest, File, Unreachable
from netbootd.tftp import wire as tftp_wire
from netbootd.tftp.wire import Ack, Data, Error, OptionAck, ReadRequest

_CLIENT_PORT = 68
_EVERYBODY = "255.255.255.255"
_OFFERS_S = 4.0  # EDK2 collects offers for this long, and asks again after it
_PROXIES_S = 0.5  # and who asks a daemon next door need not wait as long
_TFTP_S = 5.0
_TFTP_TRIES = 4
_HTTP_S = 30.0
_PIECE = 1 << 20
_NETBOOT = ("PXEClient", "HTTPClient")
#: With the usual port of each.
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_IP_PKTINFO = 8  # ip(7); not in Python 3.11's socket module
_DEFAULT_BLKSIZE = 512  # RFC 1350


class Wire:
    """The network behind *interface*, whose first address is ours."""

    def __init__(self, interface: Interface) -> None:
        if not interface.addresses:
            raise Unreachable(f"{interface.name} has no IPv4 address")
        self.name = f"the daemon heard on {interface.name}"
        self.address = str(interface.addresses[0].ip)
        self._index = interface.index
        self._own = {str(address.ip) for address in interface.addresses}

    def why(self) -> tuple[str, ...]:
        return ()

    # -- DHCP ----------------------------------------------------------------------------------

    def dhcp(self, request: bytes, port: Port, server: str) -> Message:
        target = server if server and server not in self._own else _EVERYBODY
        asked = dhcp_wire.decode(request)
        by_proxy = asked.vendor_class.startswith(_NETBOOT)
        with _client_socket() as client:
            self._send(client, request, (target, int(port)))
            whole: Message | None = None
            for message in _replies(client, asked.xid):
                if message.message_type is MessageType.NAK:
                    return message
                own_words = message.vendor_class.startswith(_NETBOOT)
                if own_words or (not by_proxy and int(message.siaddr)):
                    return message
                if int(message.yiaddr) and int(message.siaddr) and _names_a_file(message):
                    whole = message
                    break
            if whole is not None:
                return next(_of_proxies(client, asked.xid), whole)
        raise Unreachable(
            f"no netboot answer within {_OFFERS_S:.0f} s: is the daemon running and serving this "
            "network, does a firewall drop UDP 67 or 4011, and is the machine one it boots? "
            "(netbootd show tells; a daemon that snoops on UDP 67 does not hear its own host)"
        )

    def _send(self, client: socket.socket, request: bytes, target: tuple[str, int]) -> None:
        out = struct.pack("=I4s4s", self._index, socket.inet_aton(self.address), bytes(4))
        try:
            client.sendmsg([request], [(socket.IPPROTO_IP, _IP_PKTINFO, out)], 0, target)
        except OSError as problem:
            raise Unreachable(f"cannot send to {target[0]}:{target[1]}: {problem}") from None

    # -- TFTP ----------------------------------------------------------------------------------

    def tftp(self, server: str, path: str, options: Mapping[str, str]) -> File:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(_TFTP_S)
            return _Download(client, server, path, options).file()

    # -- HTTP ----------------------------------------------------------------------------------

    def http(self, url: str, user_agent: str) -> File:
        with _connected(url) as (connection, path):
            return _get(connection, path, {"User-Agent": user_agent})

    def look(self, url: str, user_agent: str) -> None:
        with _connected(url) as (connection, path):
            connection.request("HEAD", path, headers={"User-Agent": user_agent})
            status = connection.getresponse().status
        if status != http.client.OK:
            self.http(url, user_agent)  # which is told why


@contextmanager
def _connected(url: str) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """A connection to where *url* is, and its path; raises Unreachable for whatever fails there."""
    parts = urlsplit(url)
    if parts.scheme not in _CONNECTIONS or not parts.hostname:
        raise Unreachable(f"{url}: only http:// and https:// are fetched here")
    connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=_HTTP_S)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        yield connection, path or "/"
    except ssl.SSLCertVerificationError as problem:
        told = f"{problem.verify_message} (SSL_CERT_FILE=ca.pem names an authority to trust)"
        raise Unreachable(f"{parts.netloc}: {told}") from None
    except (OSError, http.client.HTTPException) as problem:
        raise Unreachable(f"{parts.netloc}: {problem}") from None
    finally:
        connection.close()


def _names_a_file(message: Message) -> bool:
    return bool(message.file or message.text(Option.BOOT_FILE))


def _of_proxies(client: socket.socket, xid: int) -> Iterator[Message]:
    """
    Offers of proxies that come behind that of a DHCP server which names a boot file itself:
    firmware waits for them, and takes such a one before that.
    """
    for message in _replies(client, xid, _PROXIES_S):
        if message.vendor_class.startswith(_NETBOOT) and not int(message.yiaddr):
            yield message


def _client_socket() -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:
        client.bind(("", _CLIENT_PORT))
    except OSError as problem:
        client.close()
        raise Unreachable(
            f"UDP port {_CLIENT_PORT}, the DHCP client's: {problem}; run as root"
        ) from None
    return client


def _replies(client: socket.socket, xid: int, patience: float = _OFFERS_S) -> Iterator[Message]:
    """Every reply to *xid* until the time for offers is over."""
    until = time.monotonic() + patience
    while (left := until - time.monotonic()) > 0:
        client.settimeout(left)
        try:
            message = dhcp_wire.decode(client.recv(2048))
        except TimeoutError:
            return
        except (WireError, OSError):
            continue
        if message.op == Op.REPLY and message.xid == xid:
            yield message


class _Download:
    """One TFTP read: an ACK for each window, and the last one again where nothing comes."""

    def __init__(
        self, client: socket.socket, server: str, path: str, options: Mapping[str, str]
    ) -> None:
        self._client = client
        self._peer: tuple[str, int] = (server, 69)
        self._request = ReadRequest(path, "octet", dict(options))
        self._blksize, self._windowsize = _DEFAULT_BLKSIZE, 1
        self._expected = 1
        self._digest = Digest()

    def file(self) -> File:
        """All of it; raises Unreachable."""
        began = time.monotonic()
        said: ReadRequest | Ack = self._request
        while True:
            self._say(said)
            if self._window(said):
                break
            said = Ack((self._expected - 1) & 0xFFFF)
        how = f"{self._expected - 1} blocks of {self._blksize}, windows of {self._windowsize}"
        return self._digest.file(time.monotonic() - began, how)

    def _say(self, packet: ReadRequest | Ack) -> None:
        try:
            self._client.sendto(tftp_wire.encode(packet), self._peer)
        except OSError as problem:
            raise Unreachable(f"TFTP to {self._peer[0]}: {problem}") from None

    def _window(self, said: ReadRequest | Ack) -> bool:
        """Take what comes up to the next ACK; True after the last block."""
        taken = 0
        while taken < self._windowsize:
            packet = self._hear(said)
            match packet:
                case OptionAck(options):
                    self._blksize = int(options.get("blksize", _DEFAULT_BLKSIZE))
                    self._windowsize = int(options.get("windowsize", 1))
                    return False
                case Error(code, text):
                    raise Unreachable(f"TFTP ERROR {code}: {text}")
                case Data(block, data) if block == self._expected & 0xFFFF:
                    self._digest.add(data)
                    self._expected += 1
                    taken += 1
                    if len(data) < self._blksize:
                        self._say(Ack(block))
                        return True
        return False

    def _hear(self, said: ReadRequest | Ack) -> tftp_wire.Packet:
        for _ in range(_TFTP_TRIES):
            try:
                datagram, self._peer = self._client.recvfrom(65536)
                return tftp_wire.decode(datagram)
            except TimeoutError:
                self._say(said)
            except OSError as problem:
                raise Unreachable(f"TFTP: {problem}") from None
            except WireError as problem:
                raise Unreachable(f"TFTP: not a packet: {problem}") from None
        raise Unreachable(f"TFTP: {self._peer[0]} fell silent; does a firewall drop UDP 69?")


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> File:
    """HEAD, then GET; both must tell the length that then comes."""
    connection.request("HEAD", path, headers=headers)
    head = connection.getresponse()
    head.read()
    began = time.monotonic()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    digest = Digest()
    while piece := answer.read(_PIECE):
        digest.add(piece)
    if answer.status != http.client.OK:
        text = digest.head.decode(errors="replace").strip().splitlines() or [answer.reason]
        raise Unreachable(f"{answer.status}: {text[0]}")
    told = {head.getheader("Content-Length"), answer.getheader("Content-Length")}
    if told != {str(digest.size)}:
        raise Unreachable(f"{digest.size} bytes came, Content-Length told {told}")
    return digest.file(time.monotonic() - began, str(answer.status), dict(answer.getheaders()))
