"""
A capture of one cable, read: DHCP packets, TFTP transfers and the heads of HTTP requests.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

MAC = re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")


@dataclass(frozen=True)
class Dhcp:
    """One DHCP packet, in RFC 2131's words; *options* as they stand, code to bytes."""

    seconds: float
    src: str
    dst: str
    sport: int
    dport: int
    xid: int
    yiaddr: str
    siaddr: str
    chaddr: str
    file: str
    options: dict[int, bytes]

    @property
    def type(self) -> str:
        names = ("", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform")
        return names[self.options.get(53, b"\0")[0]]

    @property
    def user_class(self) -> bytes:
        return self.options.get(77, b"")

    @property
    def arch(self) -> int | None:
        """Option 93; None for a client that is no boot firmware."""
        return int.from_bytes(self.options[93][:2], "big") if 93 in self.options else None

    @property
    def boot_file(self) -> str:
        """The file named, in its field or in option 67."""
        return self.file or self.options.get(67, b"").rstrip(b"\0").decode("latin-1")

    def __str__(self) -> str:
        who = f"{self.src}:{self.sport} -> {self.dst}:{self.dport}"
        return (
            f"{self.seconds:7.2f} {who} DHCP {self.type} yiaddr={self.yiaddr} "
            f"siaddr={self.siaddr} file={self.boot_file!r} options={sorted(self.options)}"
        )


@dataclass
class Transfer:
    """One TFTP read: the *file* asked for, *blocks* of data seen, the *error* if there was one."""

    seconds: float
    src: str
    port: int
    file: str
    options: dict[str, str]
    blocks: int = 0
    size: int = 0
    error: str = ""

    def __str__(self) -> str:
        end = f"error {self.error!r}" if self.error else f"{self.size} bytes"
        return f"{self.seconds:7.2f} {self.src} TFTP {self.file!r}: {self.blocks} blocks, {end}"


@dataclass(frozen=True)
class Get:
    """The head of one HTTP request."""

    seconds: float
    src: str
    dst: str
    port: int
    method: str
    path: str
    headers: dict[str, str]

    def __str__(self) -> str:
        agent = self.headers.get("user-agent", "")
        return f"{self.seconds:7.2f} {self.src} HTTP {self.method} {self.path} ({agent})"


class Packets:
    """
    A capture, understood: DHCP packets, TFTP transfers, HTTP requests, in their order.

    Read with struct alone, so that this witness shares no code with what it bears witness on.
    """

    def __init__(self, pcap: bytes) -> None:
        self.dhcp: list[Dhcp] = []
        self.tftp: list[Transfer] = []
        self.http: list[Get] = []
        self._first = 0.0
        for seconds, frame in _frames(pcap):
            self._first = self._first or seconds
            if len(frame) >= 34 and frame[12:14] == b"\x08\x00":
                self._ipv4(seconds - self._first, frame[14:])

    def _ipv4(self, at: float, packet: bytes) -> None:
        head, length = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        src, dst = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        if int.from_bytes(packet[6:8], "big") & 0x1FFF:
            return  # a later fragment has no ports
        body = packet[head:length]
        if packet[9] == socket.IPPROTO_UDP and len(body) > 8:
            sport, dport = struct.unpack_from("!HH", body)
            if {sport, dport} & {67, 68, 4011}:
                self._dhcp(at, src, dst, sport, dport, body[8:])
            else:
                self._tftp(at, src, dst, sport, dport, body[8:])
        elif packet[9] == socket.IPPROTO_TCP and len(body) > 20:
            dport = int.from_bytes(body[2:4], "big")
            self._http(at, src, dst, dport, body[(body[12] >> 4) * 4 :])

    def _dhcp(self, at: float, src: str, dst: str, sport: int, dport: int, body: bytes) -> None:
        if len(body) < 240 or body[236:240] != b"\x63\x82\x53\x63":
            return
        self.dhcp.append(
            Dhcp(
                *(at, src, dst, sport, dport),
                xid=int.from_bytes(body[4:8], "big"),
                yiaddr=socket.inet_ntoa(body[16:20]),
                siaddr=socket.inet_ntoa(body[20:24]),
                chaddr=body[28:34].hex(":"),
                file=body[108:236].split(b"\0")[0].decode("latin-1"),
                options=_options(body[240:]),
            )
        )

    def _tftp(self, at: float, src: str, dst: str, sport: int, dport: int, body: bytes) -> None:
        opcode = int.from_bytes(body[:2], "big")
        if dport == 69 and opcode == 1:
            name, _mode, *rest = body[2:].decode("latin-1").split("\0")
            pairs = {key.lower(): value for key, value in zip(rest[::2], rest[1::2], strict=False)}
            self.tftp.append(Transfer(at, src, sport, name, pairs))
            return
        for transfer in reversed(self.tftp):
            if (transfer.src, transfer.port) == (dst, dport):  # from the server to the client
                if opcode == 3:
                    transfer.blocks += 1
                    transfer.size += len(body) - 4
                elif opcode == 5:
                    transfer.error = body[4:].split(b"\0")[0].decode("latin-1") or "unnamed"
                return

    def _http(self, at: float, src: str, dst: str, port: int, body: bytes) -> None:
        if not re.match(rb"(GET|HEAD|POST|PUT) \S+ HTTP/1\.", body):
            return
        first, *lines = body.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, path, _version = first.split(" ")
        headers = {
            key.lower(): value.strip() for key, _, value in (s.partition(":") for s in lines)
        }
        self.http.append(Get(at, src, dst, port, method, path, headers))

    def offers(self, server: str) -> list[Dhcp]:
        """The offers that *server* made."""
        return [packet for packet in self.dhcp if packet.type == "offer" and packet.src == server]

    def unwanted(self, server: str) -> list[Dhcp]:
        """What *server* sent to a client that was no boot firmware: it must keep silent there."""
        plain = {packet.xid for packet in self.dhcp if packet.dport == 67 and packet.arch is None}
        return [packet for packet in self.dhcp if packet.src == server and packet.xid in plain]

    def asked_4011(self) -> list[Dhcp]:
        """What the client asked of a boot server's own port."""
        return [packet for packet in self.dhcp if packet.dport == 4011]

    def loaded(self, name: str) -> list[Transfer]:
        """TFTP transfers of a file of that *name* (its last part) that carried data."""
        return [move for move in self.tftp if move.file.split("/")[-1] == name and move.blocks]

    def paths(self, method: str = "GET") -> list[str]:
        """The HTTP paths asked for; a MAC with colons, however the client spelled it."""
        found = (unquote(request.path) for request in self.http if request.method == method)
        return [MAC.sub(lambda mac: mac[0].replace("-", ":").lower(), path) for path in found]

    def __str__(self) -> str:
        """A line for each, in time order: what a failed test shows."""
        every = [*self.dhcp, *self.tftp, *self.http]
        return "\n".join(str(one) for one in sorted(every, key=lambda one: one.seconds))


def _frames(pcap: bytes) -> Iterator[tuple[float, bytes]]:
    """Time and bytes of each whole packet (the classic pcap format, in microseconds)."""
    if len(pcap) < 24:
        return
    order = "<" if pcap[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(pcap):
        seconds, micro, kept, _whole = struct.unpack_from(f"{order}IIII", pcap, at)
        if at + 16 + kept > len(pcap):
            return  # still being written
        yield seconds + micro / 1e6, pcap[at + 16 : at + 16 + kept]
        at += 16 + kept


def _options(area: bytes) -> dict[int, bytes]:
    """Code to value; a repeated option is joined (RFC 3396)."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(area) and area[at] != 255:
        if area[at] == 0:
            at += 1
            continue
        if at + 2 > len(area):
            break
        code, length = area[at], area[at + 1]
        found[code] = found.get(code, b"") + area[at + 2 : at + 2 + length]
        at += 2 + length
    return found
