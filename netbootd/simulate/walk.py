"""
The walk of a network boot, from the first DISCOVER to the loader, told step by step.

Each step says what the client does and why, what came back, and what would have gone wrong had it
been different.  Pure but for the Network it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from netbootd.boot.client import Stage
from netbootd.dhcp import wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Message, Option
from netbootd.errors import NetbootdError
from netbootd.mac import MAC
from netbootd.simulate import formats, lease
from netbootd.simulate.firmware import RPIBOOT, Firmware, ipxe_on
from netbootd.simulate.follow import Location, NotFollowed
from netbootd.simulate.machine import BY_THEMSELVES, FIRMWARE_AGENT, Machine
from netbootd.simulate.network import File, Network, Unchecked
from netbootd.simulate.telling import Failed, Telling
from netbootd.simulate.walked import Walked

_DISCOVERY_CONTROL = 6  # sub-option of 43 (PXE 2.1, section 2.2.3)
_TAKE_THIS_FILE = 8
_MENU, _ITEM = 9, 71
_URL = ("http://", "https://")


class Walk:
    """
    One client on one network; ``run`` tells it all to *say*.  *stands_for* is of its MAC.

    *caution* is told at the end of a walk that boots.
    """

    def __init__(
        self,
        network: Network,
        firmware: Firmware,
        mac: MAC,
        address: str,
        say: Callable[[str], None],
        stands_for: str = "",
        caution: str = "",
    ) -> None:
        self._network = network
        self._firmware = firmware
        self._mac = mac
        self._address = address
        self._leased = ""
        self._caution = caution
        self._walked = Walked(
            machine=mac,
            stands_for=stands_for,
            firmware=firmware.name,
            arch=firmware.arch,
            asked=network.name,
        )
        self._tell = Telling(self._walked, say)

    def run(self) -> Walked:
        """Walk to the end."""
        began = time.monotonic()
        self._tell.begin()
        try:
            ending = self._boot()
        except Unchecked as problem:
            self._tell.unchecked(str(problem))
        except NotFollowed as problem:
            self._tell.unfollowed(str(problem))
        except NetbootdError as problem:
            self._tell.failure(str(problem))
        else:
            self._walked.seconds = time.monotonic() - began
            if self._caution:
                self._tell.detail("secret", self._caution)
            self._tell.success(ending)
        self._walked.seconds = time.monotonic() - began
        return self._walked

    def _boot(self) -> str:
        """From the first DISCOVER on; how it all ends."""
        firmware, mac = self._firmware, self._mac
        if firmware.arch.family in BY_THEMSELVES:
            server = self._ask_dhcp_server()
            return Machine(self._network, firmware, mac, self._address, self._tell).by_itself(
                server
            )
        answer = self._discover(firmware)
        after = Machine(self._network, firmware, mac, self._address, self._tell)
        if firmware.arch.number == RPIBOOT:
            return after.pi(str(answer.siaddr))
        if firmware.stage is Stage.IPXE and _boot_file(answer).startswith(_URL):
            return after.ipxe(_boot_file(answer))
        http = firmware.stage is Stage.HTTP_BOOT
        at, file = self._load_by_http(answer) if http else self._load_by_tftp(answer)
        return after.loaded(at, file, self._script_url)

    def _script_url(self) -> str:
        """iPXE has started."""
        self._tell.step(
            "The loader starts: it is iPXE",
            "It asks DHCP again, now with the user class iPXE (option 77), and so gets the URL of",
            "its script instead of the loader once more.",
        )
        return _boot_file(self._discover(ipxe_on(self._firmware)))

    def _ask_dhcp_server(self) -> str:
        """The server that it takes its files from, as such firmware hears it."""
        firmware = self._firmware
        self._tell.step(
            "DHCPDISCOVER, broadcast to UDP port 67",
            f"{firmware.name} takes its server from the site's DHCP server alone, from no proxy.",
        )
        self._tell.detail("vendor class", f"{firmware.vendor_class or 'none'} (option 60)")
        request = wire.encode(firmware.discover(self._mac))
        answer = self._network.dhcp(request, Port.DHCP, "")
        self._tell.detail("next server", f"{answer.siaddr} (siaddr)")
        self._because()
        return str((self._lease(firmware, answer) if lease.gives(answer) else answer).siaddr)

    def _because(self) -> None:
        for reason in self._network.why():
            self._tell.detail("because", reason)

    def _lease(self, firmware: Firmware, offer: Message) -> Message:
        """The answer of a server that gives the address, too."""
        answer = lease.take(self._network, firmware, self._mac, offer, self._tell)
        lease.check(answer, firmware, self._leased)
        self._address = self._leased = str(answer.yiaddr)
        return answer

    def _discover(self, firmware: Firmware) -> Message:
        request = firmware.discover(self._mac)
        self._tell.step(
            "DHCPDISCOVER, broadcast to UDP port 67",
            "Who has an address for me, and who knows what I shall boot?",
        )
        self._tell.detail("vendor class", f"{firmware.vendor_class} (option 60)")
        self._tell.detail("architecture", f"{firmware.arch.number}, {firmware.arch} (option 93)")
        answer = self._network.dhcp(wire.encode(request), Port.DHCP, "")
        if lease.gives(answer):
            return self._of_server(firmware, request, answer)
        self._tell.step(
            f"DHCPOFFER of a ProxyDHCP server, {answer.server_id}",
            "It names the boot file and gives no address: that comes from the site's DHCP server.",
        )
        self._tell_boot_file(answer)
        self._because()
        _check_offer(request, answer, firmware)
        return answer

    def _of_server(self, firmware: Firmware, request: Message, offer: Message) -> Message:
        """An offer that is all in one: an address, and the boot file."""
        self._tell.step(
            f"DHCPOFFER of a DHCP server, {offer.server_id}",
            "It gives the address, and names the boot file as well: nobody else is asked.",
        )
        self._tell.detail("address", offer.yiaddr)
        self._tell.detail("next server", f"{offer.siaddr} (siaddr)")
        self._tell.detail("boot file", _boot_file(offer) or "none")
        self._because()
        if offer.xid != request.xid:
            raise Failed("the offer has another xid than the request")
        if firmware.arch.number == RPIBOOT:
            _check_pi_offer(offer)
        else:
            _check_boot_file(offer)
        return self._lease(firmware, offer)

    def _tell_boot_file(self, answer: Message) -> None:
        self._tell.detail(
            "vendor class", f"{answer.vendor_class} (option 60: the offer is for netbooting)"
        )
        self._tell.detail("next server", f"{answer.siaddr} (siaddr)")
        self._tell.detail("boot file", _boot_file(answer) or "none")

    def _boot_server(self, offer: Message) -> Message:
        """The second question, where the offer leaves it open."""
        if lease.gives(offer):
            return offer
        control = offer.vendor_options.get(_DISCOVERY_CONTROL, b"\0")
        if control[0] & _TAKE_THIS_FILE:
            self._tell.step(
                "No second question",
                "Option 43 has discovery control 8: the file of this offer may be taken as it is.",
            )
            return offer
        request = self._firmware.boot_server_request(self._mac, self._address)
        item = self._from_menu(offer)
        if item:
            chosen = bytes((_ITEM, len(item))) + item + b"\xff"
            options = {**request.options, int(Option.VENDOR_OPTIONS): chosen}
            request = request._replace(options=options)
        why = "The first line was taken" if item else "The offer has no option 43"
        self._tell.step(
            f"DHCPREQUEST to {offer.server_id}, UDP port 4011",
            f"{why}, so the firmware asks the boot server itself, once it has",
            "an address.  A firewall that drops this port ends the boot here.",
        )
        answer = self._network.dhcp(wire.encode(request), Port.BOOT_SERVER, str(offer.server_id))
        self._tell.step("DHCPACK from port 4011")
        self._tell_boot_file(answer)
        _check_boot_file(answer)
        if item and answer.vendor_options.get(_ITEM) != item:
            raise Failed("the boot server does not repeat the boot item: iPXE drops such an answer")
        return answer

    def _from_menu(self, offer: Message) -> bytes:
        """The item of the menu's first line; empty without a menu."""
        menu = offer.vendor_options.get(_MENU, b"")
        if len(menu) < 3:
            return b""
        text = menu[3 : 3 + menu[2]].decode("latin-1")
        self._tell.step("A boot menu", "Option 43 has one, whose first line is taken by itself.")
        self._tell.detail("first line", f"{text} (type {menu[:2].hex()})")
        if not any(menu[:2]):
            raise Failed("type 0 is the local disk: the firmware ends PXE there")
        return menu[:2] + bytes(2)

    def _load_by_tftp(self, offer: Message) -> tuple[Location, File]:
        answer = self._boot_server(offer)
        path, server = _boot_file(answer), str(answer.siaddr)
        asked = ", ".join(f"{name} {value}" for name, value in self._firmware.tftp.items())
        self._tell.step(
            f"TFTP read of {path} from {server}, UDP port 69",
            "The machine's MAC travels in the path, so that the server knows who is loading.",
            f"Options asked for: {asked}.",
        )
        file = self._network.tftp(server, path, self._firmware.tftp)
        self._tell.file(file)
        self._tell.detail("format", formats.loader(file.head, self._firmware.arch))
        return Location("tftp", server, path), file

    def _load_by_http(self, answer: Message) -> tuple[Location, File]:
        url = _boot_file(answer)
        self._tell.step(
            f"HTTP HEAD and GET of {url}", "The firmware loads a URL itself: no TFTP, no 4011."
        )
        file = self._network.http(url, FIRMWARE_AGENT)
        self._tell.file(file)
        if PurePosixPath(urlsplit(url).path).suffix != ".efi":
            raise Failed("the URL does not end in .efi, which EDK2 wants to see")
        self._tell.detail("format", formats.loader(file.head, self._firmware.arch))
        parts = urlsplit(url)
        return Location(parts.scheme, parts.netloc, parts.path), file


def _boot_file(answer: Message) -> str:
    """The name as a client reads it: option 67 before the header's field."""
    return answer.text(67) or answer.file.decode("latin-1")


def _check_offer(request: Message, answer: Message, firmware: Firmware) -> None:
    """What makes real firmware drop an offer without a word."""
    if answer.xid != request.xid:
        raise Failed("the offer has another xid than the request")
    if int(answer.yiaddr):
        raise Failed(f"a proxy gave the address {answer.yiaddr}: that is the DHCP server's part")
    if answer.server_id is None or not int(answer.server_id):
        raise Failed("no server identifier (option 54): EDK2 drops such an offer")
    wanted = "HTTPClient" if firmware.stage is Stage.HTTP_BOOT else "PXEClient"
    if not answer.vendor_class.startswith(wanted):
        raise Failed(f"option 60 is {answer.vendor_class!r}, the firmware wants {wanted}")
    if firmware.arch.number == RPIBOOT:
        _check_pi_offer(answer)
    else:
        _check_boot_file(answer)


def _check_pi_offer(answer: Message) -> None:
    """The text that its firmware looks for; the names of its files it knows itself."""
    if b"Raspberry Pi Boot" not in answer.vendor_options.get(_MENU, b""):
        raise Failed('option 43 has no menu with "Raspberry Pi Boot": it drops such an offer')
    if not int(answer.siaddr):
        raise Failed("siaddr is empty: it would not know whom to ask")


def _check_boot_file(answer: Message) -> None:
    if not _boot_file(answer):
        raise Failed("the answer names no boot file")
    if not int(answer.siaddr):
        raise Failed("siaddr is empty: iPXE and EDK2 would not know whom to ask")
