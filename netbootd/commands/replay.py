"""``netbootd replay``: a capture of other boots, held against this configuration."""

from __future__ import annotations

import argparse
from ipaddress import IPv4Address
from pathlib import Path

from netbootd.commands.words import Commands, command, with_config, with_json
from netbootd.mac import MAC

_MORE = """\
Reads pcap and pcapng, as tcpdump and Wireshark write them.  Packets have Wireshark's numbers, and
times count from the first packet.  We take the place of whoever was boot server in the capture, so
that only what is told differs, and not by whom; --address says otherwise.  Nothing is remembered
but what the capture shows: no armed boot, no held machine, no reply style that was learned.

examples:
  tcpdump -i eth0 -w boot.pcap 'udp or tcp port 80'
  netbootd replay boot.pcap
  netbootd replay boot.pcap --mac 00:25:90:27:db:b4 --json
  netbootd replay boot.pcap --config /tmp/new/netbootd.json --address 192.168.1.250

exit status: 0 all was answered as we would have, 1 something was not or the file is no capture,
2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Say what we would have answered to the packets of a capture, and how it differs."
    parser = command(commands, "replay", _replay, text, _MORE)
    with_config(parser)
    with_json(parser)
    parser.add_argument("file", type=Path, metavar="FILE.pcap", help="pcap or pcapng")
    parser.add_argument("--mac", type=_a_mac, metavar="MAC", help="what this machine asked alone")
    parser.add_argument(
        "--address",
        type=_an_address,
        metavar="IP",
        help="ours (default: of who answered as boot server, else the configuration's)",
    )


def _a_mac(text: str) -> MAC:
    try:
        return MAC.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _an_address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 address") from None


def _replay(arguments: argparse.Namespace) -> int:
    from netbootd.replay import replay  # noqa: PLC0415  scapy

    same = replay(
        arguments.file,
        arguments.config,
        arguments.mac,
        arguments.address,
        as_json=arguments.json,
    )
    return 0 if same else 1
