"""
A machine that behaves as badly as its test wants: its DHCP is raw, as that of firmware which has no
address, and its files are fetched by other people's clients once it has one.
"""

from __future__ import annotations

import ctypes
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from netbootd.dhcp import wire
from netbootd.dhcp.message import Message, MessageType, Option
from netbootd.mac import MAC
from netbootd.simulate.firmware import firmware
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.process import Process

PATIENCE_S = 10.0
AGENT = "iPXE/1.21.1"
_SPARE = "192.0.2.250"
_CLIENT = 4011
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """This thread lives in *namespace* meanwhile."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Pretender:
    """The machine *mac* in a namespace *place* of its own, switched on and without an address."""

    def __init__(self, lab: Lab, mac: str, kind: str = "efi", place: str = "node") -> None:
        self.lab, self.mac, self.place = lab, MAC.parse(mac), place
        self.firmware = firmware(kind, None)
        self.address = ""
        self._xid = int(time.monotonic() * 1000) & 0x7FFFFFFF
        lab.plug(place, _SPARE)
        lab.ip(place, "addr flush dev eth0")
        lab.ip(place, "link set eth0 down")
        lab.ip(place, f"link set eth0 address {mac}")
        lab.ip(place, "link set eth0 up")
        with entered(lab.prefix + place):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.bind(("eth0", 0x0800))

    def close(self) -> None:
        self._socket.close()

    # -- DHCP ----------------------------------------------------------------------------------

    def becomes(self, kind: str) -> None:
        """Another program runs on it now: ``ipxe``, ``http``, another firmware."""
        self.firmware = firmware(kind, None)

    def discover(self, wait: float = 1.2) -> list[Message]:
        """One DISCOVER, and all offers that come within *wait* seconds."""
        while select.select([self._socket], [], [], 0)[0]:  # what it fetched fills the buffer
            self._socket.recv(4096)
        self._xid += 1
        asked = self.firmware.discover(self.mac)._replace(xid=self._xid)
        self.send(asked)
        return list(self._answers(wait))

    def insists(self, times: int = 3, wait: float = 0.4) -> list[Message]:
        """The same DISCOVER again and again, as of firmware that likes no offer."""
        return [offer for _ in range(times) for offer in self.discover(wait)]

    def send(self, message: Message) -> None:
        """*message* by broadcast, from no address."""
        ethernet = Ether(src=str(self.mac), dst="ff:ff:ff:ff:ff:ff")
        header = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67, chksum=0)
        self._socket.send(bytes(ethernet / header / wire.encode(message)))

    def _answers(self, wait: float) -> Iterator[Message]:
        until = time.monotonic() + wait
        while select.select([self._socket], [], [], max(0.0, until - time.monotonic()))[0]:
            packet = Ether(self._socket.recv(4096))
            if BOOTP in packet and packet[UDP].dport == 68 and packet[BOOTP].xid == self._xid:
                yield wire.decode(bytes(packet[BOOTP]))

    def take_address(self, offers: list[Message]) -> str:
        """REQUEST the address of the DHCP server among *offers*, and use it once it is given."""
        offer = next(one for one in offers if int(one.yiaddr))
        plain = self.firmware.discover(self.mac)
        options = {
            **plain.options,
            int(Option.MESSAGE_TYPE): bytes((MessageType.REQUEST,)),
            int(Option.REQUESTED_ADDRESS): offer.yiaddr.packed,
            int(Option.SERVER_ID): (offer.server_id or IPv4Address(0)).packed,
        }
        self.send(plain._replace(xid=self._xid, options=options))
        ack = next(one for one in self._answers(PATIENCE_S) if one.message_type == MessageType.ACK)
        self.address = str(ack.yiaddr)
        self.lab.ip(self.place, f"addr replace {self.address}/24 dev eth0")
        return self.address

    def asks_4011(self, wait: float = PATIENCE_S) -> Message | None:
        """What the boot server says; None for nothing within *wait* seconds."""
        with entered(self.lab.prefix + self.place):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            client.settimeout(wait)
            client.bind((self.address, _CLIENT))
            asked = self.firmware.boot_server_request(self.mac, self.address)
            client.sendto(wire.encode(asked), (BOOT_SERVER, 4011))
            try:
                return wire.decode(client.recvfrom(4096)[0])
            except TimeoutError:
                return None

    def relays(self, message: Message) -> None:
        """*message* by unicast to the boot server, as from a relay; it has an address already."""
        with entered(self.lab.prefix + self.place):
            relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with relay:
            relay.bind(("", 67))
            relay.sendto(wire.encode(message), (BOOT_SERVER, 67))

    # -- bytes ---------------------------------------------------------------------------------

    def run(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Another program's answer, which may be a failure."""
        command = self.lab.inside(self.place, *argv)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    def tftp(self, path: str, within: float = 4, blksize: int = 1468) -> bool:
        """Fetch *path* with curl; whether that went well."""
        url = f"tftp://{BOOT_SERVER}/{path}"
        limits = ("-m", str(within), "--tftp-blksize", str(blksize))
        return self.run("curl", "-sS", *limits, "-o", "/dev/null", url).returncode == 0

    def http(self, path: str, within: float = 4, *options: str) -> str | None:
        """GET *path* (or a URL) as iPXE does; the body, None for anything but a success."""
        url = path if "://" in path else f"http://{BOOT_SERVER}:3000{path}"
        file = self.lab.folder / f"{self.place}.body"
        done = self.run(
            *("curl", "-sS", "-f", "-A", AGENT, "-m", str(within), "-o", str(file)), *options, url
        )
        return _text(file) if done.returncode == 0 else None

    def begins_http(self, path: str, *options: str) -> Process:
        """The same, still under way."""
        url = f"http://{BOOT_SERVER}:3000{path}"
        return self.lab.spawn(self.place, "curl", "-sS", "-f", "-o", "/dev/null", *options, url)

    def runs_a_system(self) -> None:
        """A system's own DHCP client asks: busybox's, as in many an initramfs."""
        asked = ("-i", "eth0", "-n", "-q", "-t", "3", "-T", "1", "-s", "/bin/true")
        assert self.run("busybox", "udhcpc", *asked).returncode == 0

    def says(self, line: str) -> None:
        """*line* by syslog over UDP."""
        text = f"<2>kernel: {line}"
        with entered(self.lab.prefix + self.place):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.sendto(text.encode(), (BOOT_SERVER, 514))

    def netconsole(self, line: str) -> None:
        """*line* as a kernel's netconsole sends it."""
        with entered(self.lab.prefix + self.place):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.sendto(f"{line}\n".encode(), (BOOT_SERVER, 6666))

    # -- the way -------------------------------------------------------------------------------

    def loads(self) -> None:
        """From power-on to a loader that was fetched whole."""
        self.take_address(self.discover())
        answer = self.asks_4011()
        assert answer is not None
        assert self.tftp(answer.file.rstrip(b"\0").decode())

    def runs_ipxe(self) -> None:
        """On from there to iPXE with an address."""
        self.becomes("ipxe")
        self.take_address(self.discover())

    def gets_script(self, query: str = "") -> str:
        """All of the way to the boot script."""
        self.loads()
        self.runs_ipxe()
        script = self.http(f"/boot/{self.mac.dashed}{query}")
        assert script is not None
        return script

    def gets_kernel(self) -> str:
        """All of the way to kernel and initrd."""
        script = self.gets_script()
        assert self.http("/images/vmlinuz") is not None
        assert self.http("/images/initrd.gz") is not None
        return script


def _text(file: Path) -> str:
    return file.read_bytes()[:65536].decode("latin-1")
