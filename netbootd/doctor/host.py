"""What this host says of itself: link, bridge, ports, and our own daemon."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netbootd import ports, urls
from netbootd.dhcp import wire
from netbootd.doctor.ask import Heard
from netbootd.errors import WireError
from netbootd.interfaces import Interface
from netbootd.mac import MAC
from netbootd.simulate.firmware import KINDS

_NET = Path("/sys/class/net")
_DHCP, _BOOT_SERVER, _TFTP = 67, 4011, 69
_PATIENCE_S = 2.0
_FORWARDING = "3"  # BR_STATE_FORWARDING, linux/if_bridge.h
_STATES = {"0": "disabled", "1": "listening", "2": "learning", "4": "blocking"}


@dataclass(frozen=True, slots=True)
class Bridge:
    """
    *of* is the bridge that the interface is a port of, empty for none; *waiting* its own ports, or
    itself as one, that carry nothing yet, each with its state; *tree_s* is how long a port is dead
    after its cable was plugged in, 0 without spanning tree.
    """

    of: str = ""
    waiting: tuple[tuple[str, str], ...] = ()
    tree_s: float = 0.0


def carrier(interface: str) -> bool | None:
    """Whether a cable is in, None where nobody knows."""
    said = _read(_NET / interface / "carrier")
    return None if said is None else said == "1"


def bridge(interface: str) -> Bridge:
    """What a bridge has to do with *interface*."""
    folder = _NET / interface
    port = folder / "brport"
    if (state := _read(port / "state")) is not None:
        of = (port / "bridge").resolve().name
        return Bridge(of=of, waiting=_waiting({interface: state}), tree_s=_tree(_NET / of))
    states = {path.name: _read(path / "state") for path in sorted((folder / "brif").glob("*"))}
    return Bridge(waiting=_waiting(states), tree_s=_tree(folder))


def _waiting(states: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _STATES[state]) for name, state in states.items() if state in _STATES)


def _tree(bridge: Path) -> float:
    """Listening and learning, each the forward delay long (IEEE 802.1D), in seconds."""
    if _read(bridge / "bridge" / "stp_state") in (None, "0"):
        return 0.0
    return 2 * int(_read(bridge / "bridge" / "forward_delay") or 0) / 100


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:  # not there, or the interface is down
        return None


def holders() -> dict[int, str]:
    """Who has UDP 67, 69 and 4011, as ``dnsmasq (pid 12)``; nothing where nobody has."""
    found = {port: ports.holder_of("udp", port) for port in (_DHCP, _TFTP, _BOOT_SERVER)}
    return {port: holder for port, holder in found.items() if holder}


def status(port: int) -> dict[str, Any] | None:
    """What our daemon says at ``/status`` of this host; None if nobody does."""
    url = f"{urls.base_url('127.0.0.1', port)}/{urls.STATUS}"
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310  ours
            said = json.load(answer)
        if isinstance(said, dict) and "generation" in said:
            return said
    return None


def to_knock_on(answers: Sequence[Heard], interface: Interface) -> list[str]:
    """The servers that firmware would ask on 4011, but for this host: nobody hears itself there."""
    own = {str(address.ip) for address in interface.addresses}
    servers = {
        str(heard.message.siaddr if int(heard.message.siaddr) else heard.message.server_id)
        for heard in answers
        if int(heard.message.yiaddr) and heard.message.vendor_class.startswith("PXEClient")
    }
    return sorted(servers - own - {"None"})


def answers_on_4011(server: str) -> bool:
    """Whether a boot server is there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_PATIENCE_S)
        try:
            client.connect((server, _BOOT_SERVER))
            ours = client.getsockname()[0]
            client.send(wire.encode(KINDS["efi"].boot_server_request(MAC.make_up(), ours)))
            wire.decode(client.recv(2048))
        except (OSError, WireError):
            return False
    return True
