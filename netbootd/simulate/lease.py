"""
The client's part where one server gives the address as well: what it offers is requested, and what
it confirms is what the client has from then on (RFC 2131, section 3.1).
"""

from __future__ import annotations

from netbootd import dhcpoptions
from netbootd.boot.client import Stage
from netbootd.dhcp import wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Message, MessageType
from netbootd.mac import MAC
from netbootd.simulate.firmware import RPIBOOT, Firmware
from netbootd.simulate.network import Network
from netbootd.simulate.telling import Failed, Telling

_LEASE_TIME = 51
#: What is told of a lease, beside its time.
_TOLD = {
    "mask": dhcpoptions.SUBNET_MASK,
    "router": dhcpoptions.ROUTERS,
    "DNS": dhcpoptions.DOMAIN_NAME_SERVERS,
    "host name": dhcpoptions.HOST_NAME,
}


def gives(offer: Message) -> bool:
    """Whether *offer* has an address in it."""
    return bool(int(offer.yiaddr))


def take(network: Network, firmware: Firmware, mac: MAC, offer: Message, tell: Telling) -> Message:
    """Request what was offered; returns what the client goes on with."""
    server = offer.server_id
    if server is None or not int(server):
        raise Failed("no server identifier (option 54): clients drop such an offer")
    if firmware.arch.number == RPIBOOT:
        tell.step("No DHCPREQUEST", "A Raspberry Pi's ROM takes the address of the first offer.")
        return offer
    tell.step(
        "DHCPREQUEST, broadcast to UDP port 67",
        f"{firmware.name} takes {offer.yiaddr}; other servers hear so that theirs is not taken.",
    )
    answer = network.dhcp(wire.encode(firmware.request(mac, offer)), Port.DHCP, "")
    if answer.message_type is MessageType.NAK:
        raise Failed(f"the server refuses the address it has offered: {answer.text(56)}")
    tell.step(f"DHCPACK of {server}", "The lease begins.")
    _tell_lease(answer, tell)
    if answer.yiaddr != offer.yiaddr:
        raise Failed(f"{offer.yiaddr} was offered, and {answer.yiaddr} is confirmed")
    return answer


def _tell_lease(answer: Message, tell: Telling) -> None:
    tell.detail("address", answer.yiaddr)
    for word, code in _TOLD.items():
        if data := answer.options.get(code):
            tell.detail(word, dhcpoptions.as_text(code, data))
    if seconds := answer.options.get(_LEASE_TIME):
        tell.detail("lease", f"{int.from_bytes(seconds, 'big')} seconds")


def check(answer: Message, firmware: Firmware, before: str) -> None:
    """
    What keeps a client from booting with an answer that is address and boot file in one; *before*
    is the address that the same machine had a moment ago, empty for none.
    """
    if before and before != str(answer.yiaddr):
        raise Failed(f"it had {before} and has {answer.yiaddr} now: one boot must keep one address")
    if firmware.stage is Stage.HTTP_BOOT and not answer.vendor_class.startswith("HTTPClient"):
        raise Failed(f"option 60 is {answer.vendor_class!r}, the firmware wants HTTPClient")
