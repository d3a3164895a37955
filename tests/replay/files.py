"""Capture files of the tests: the captured packets of this project, wrapped by scapy's writers."""

from __future__ import annotations

from pathlib import Path

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import PcapNgWriter, PcapWriter

from tests.dhcp.captures import capture

BEGAN = 1_700_000_000.25

WRAPPERS = {
    "Ethernet": lambda packet: Ether(src="52:54:00:00:00:01") / packet,
    "VLAN": lambda packet: Ether() / Dot1Q(vlan=12) / packet,
    "VLAN in VLAN": lambda packet: Ether() / Dot1Q(vlan=100) / Dot1Q(vlan=12) / packet,
    "Linux cooked": lambda packet: CookedLinux(proto=0x0800) / packet,
    "Linux cooked v2": lambda packet: CookedLinuxV2(proto=0x0800) / packet,
    "raw IP": lambda packet: packet,
}


def udp(payload: bytes, source: tuple[str, int], to: tuple[str, int]) -> Packet:
    return IP(src=source[0], dst=to[0]) / UDP(sport=source[1], dport=to[1]) / Raw(payload)


def asked(name: str) -> Packet:
    one = capture(name)
    return udp(one.payload, one.source, one.to)


def tcp(payload: bytes, source: tuple[str, int], to: tuple[str, int], seq: int, ack: int) -> Packet:
    head = TCP(sport=source[1], dport=to[1], seq=seq, ack=ack, flags="PA")
    return IP(src=source[0], dst=to[0]) / head / Raw(payload)


def write(
    file: Path, packets: list[Packet], *, wrapper: str = "Ethernet", ng: bool = False, step=0.5
) -> Path:
    """*packets*, each *step* seconds behind the one before."""
    made = [WRAPPERS[wrapper](packet) for packet in packets]
    writer = PcapNgWriter(str(file)) if ng else PcapWriter(str(file), linktype=_link(made))
    with writer:
        for number, packet in enumerate(made):
            packet.time = BEGAN + number * step
            writer.write(packet)
    return file


def _link(packets: list[Packet]) -> int:
    if not packets or isinstance(packets[0], Ether):
        return 1
    if isinstance(packets[0], CookedLinuxV2):
        return 276
    return 113 if isinstance(packets[0], CookedLinux) else 101
