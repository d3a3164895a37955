"""
The walk of a network boot, from the first DISCOVER to the kernel, told step by step.

Each step says what the client does and why, what came back, and what would have gone wrong had it
been different.  Pure but for the Network it is given.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from netbootd.boot.client import Stage
from netbootd.dhcp import wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Message
from netbootd.errors import NetbootdError
from netbootd.mac import MAC
from netbootd.simulate.firmware import Firmware, ipxe_on
from netbootd.simulate.network import File, Network
from netbootd.simulate.script import Ending, Outcome, Player, settings_of

_FIRMWARE_AGENT = "UefiHttpBoot/1.0"
_IPXE_AGENT = "iPXE/1.21.1"
_PLAIN_AGENT = "netbootd-simulate"
_MOST_CHAINS = 5
_DISCOVERY_CONTROL = 6  # sub-option of 43 (PXE 2.1, section 2.2.3)
_TAKE_THIS_FILE = 8
#: Machine type in a PE header, by iPXE's name of the processor (PE format, section 3.3.1).
_PE_MACHINES = {"x86_64": 0x8664, "i386": 0x14C, "arm64": 0xAA64, "arm32": 0x1C2}


class Failed(NetbootdError):
    """The boot ends here; the text says why."""


class Walk:
    """One client on one network; ``run`` tells it all to *say*."""

    def __init__(
        self,
        network: Network,
        firmware: Firmware,
        mac: MAC,
        address: str,
        say: Callable[[str], None],
    ) -> None:
        self._network = network
        self._firmware = firmware
        self._mac = mac
        self._address = address
        self._say = say
        self._number = 0
        self._bytes = 0
        self._files = 0

    def run(self) -> bool:
        """Walk to the end; False where the machine would not boot."""
        self._say(
            f"{self._mac} as {self._firmware.name} ({self._firmware.arch}), "
            f"asking {self._network.name}"
        )
        began = time.monotonic()
        try:
            url = self._to_script_url()
            ending = self._play(url)
        except NetbootdError as problem:
            self._say("")
            self._say(f"FAILED at step {self._number}: {problem}")
            return False
        self._say("")
        seconds = time.monotonic() - began
        self._say(f"{ending}  {self._files} files, {self._bytes:,} bytes, {seconds:.2f} s.")
        return True

    # -- telling -------------------------------------------------------------------------------

    def _step(self, title: str, *text: str) -> None:
        self._number += 1
        self._say("")
        self._say(f"{self._number:2}  {title}")
        for line in text:
            self._say(f"      {line}")

    def _detail(self, name: str, value: object) -> None:
        self._say(f"        {name:<15} {value}")

    def _file(self, file: File) -> None:
        self._files += 1
        self._bytes += file.size
        self._detail("size", f"{file.size:,} bytes in {file.seconds * 1000:.1f} ms ({file.how})")
        self._detail("SHA-256", file.sha256)

    # -- from firmware to iPXE -----------------------------------------------------------------

    def _to_script_url(self) -> str:
        answer = self._discover(self._firmware)
        if self._firmware.stage is Stage.IPXE:
            return _boot_file(answer)
        if self._firmware.stage is Stage.HTTP_BOOT:
            self._load_by_http(_boot_file(answer))
        else:
            self._load_by_tftp(self._boot_server(answer))
        self._step(
            "The loader starts: it is iPXE",
            "It asks DHCP again, now with the user class iPXE (option 77), and so gets the URL of",
            "its script instead of the loader once more.",
        )
        return _boot_file(self._discover(ipxe_on(self._firmware)))

    def _discover(self, firmware: Firmware) -> Message:
        request = firmware.discover(self._mac)
        self._step(
            "DHCPDISCOVER, broadcast to UDP port 67",
            "Who has an address for me, and who knows what I shall boot?",
        )
        self._detail("vendor class", f"{firmware.vendor_class} (option 60)")
        self._detail("architecture", f"{firmware.arch.number}, {firmware.arch} (option 93)")
        answer = self._network.dhcp(wire.encode(request), Port.DHCP, "")
        self._step(
            f"DHCPOFFER of a ProxyDHCP server, {answer.server_id}",
            "It names the boot file and gives no address: that comes from the site's DHCP server.",
        )
        self._tell_boot_file(answer)
        for reason in self._network.why():
            self._detail("because", reason)
        _check_offer(request, answer, firmware)
        return answer

    def _tell_boot_file(self, answer: Message) -> None:
        self._detail(
            "vendor class", f"{answer.vendor_class} (option 60: the offer is for netbooting)"
        )
        self._detail("next server", f"{answer.siaddr} (siaddr)")
        self._detail("boot file", _boot_file(answer))

    def _boot_server(self, offer: Message) -> Message:
        """The second question, where the offer leaves it open."""
        control = offer.vendor_options.get(_DISCOVERY_CONTROL, b"\0")
        if control[0] & _TAKE_THIS_FILE:
            self._step(
                "No second question",
                "Option 43 has discovery control 8: the file of this offer may be taken as it is.",
            )
            return offer
        self._step(
            f"DHCPREQUEST to {offer.server_id}, UDP port 4011",
            "The offer has no option 43, so the firmware asks the boot server itself, once it has",
            "an address.  A firewall that drops this port ends the boot here.",
        )
        request = self._firmware.boot_server_request(self._mac, self._address)
        answer = self._network.dhcp(wire.encode(request), Port.BOOT_SERVER, str(offer.server_id))
        self._step("DHCPACK from port 4011")
        self._tell_boot_file(answer)
        _check_boot_file(answer)
        return answer

    def _load_by_tftp(self, answer: Message) -> None:
        path, server = _boot_file(answer), str(answer.siaddr)
        asked = ", ".join(f"{name} {value}" for name, value in self._firmware.tftp.items())
        self._step(
            f"TFTP read of {path} from {server}, UDP port 69",
            "The machine's MAC travels in the path, so that the server knows who is loading.",
            f"Options asked for: {asked}.",
        )
        file = self._network.tftp(server, path, self._firmware.tftp)
        self._file(file)
        self._check_loader(file)

    def _load_by_http(self, url: str) -> None:
        self._step(
            f"HTTP HEAD and GET of {url}", "The firmware loads a URL itself: no TFTP, no 4011."
        )
        file = self._network.http(url, _FIRMWARE_AGENT)
        self._file(file)
        if PurePosixPath(urlsplit(url).path).suffix != ".efi":
            raise Failed("the URL does not end in .efi, which EDK2 wants to see")
        self._check_loader(file)

    def _check_loader(self, file: File) -> None:
        arch = self._firmware.arch
        if not arch.efi:
            return
        machine = _pe_machine(file.head)
        wanted = _PE_MACHINES.get(arch.cpu)
        if machine is None:
            raise Failed("this is no EFI program (no PE header), so the firmware would refuse it")
        if wanted and machine != wanted:
            raise Failed(f"an EFI program for machine type {machine:#x}, and {arch} is {wanted:#x}")
        self._detail("format", f"an EFI program for {arch.cpu}")

    # -- iPXE's part ---------------------------------------------------------------------------

    def _play(self, url: str) -> str:
        arch = self._firmware.arch
        settings = settings_of(self._mac, arch.platform, arch.cpu, self._address)
        for _ in range(_MOST_CHAINS):
            self._step(f"HTTP GET of {url}", "iPXE fetches its script, and does what it says:")
            file = self._network.http(url, _IPXE_AGENT)
            self._file(file)
            text = file.head.decode(errors="replace")
            for line in text.splitlines():
                self._say(f"        | {line}")
            outcome = Player(settings, self._fetch, self._echo).play(text)
            if outcome.ending is Ending.EXIT:
                # iPXE gets a script whatever is wrong; the status behind it is for all others.
                self._network.http(url, _PLAIN_AGENT)
            if outcome.ending is not Ending.CHAIN:
                return self._ending(outcome)
            url = outcome.url
        raise Failed(f"more than {_MOST_CHAINS} scripts, each leading to the next")

    def _fetch(self, command: str, url: str) -> bool:
        self._step(f"iPXE: {command} {url}")
        if not url.startswith("http://"):
            self._detail("not fetched", "only http:// is, here")
            return True
        self._file(self._network.http(url, _IPXE_AGENT))
        return True

    def _echo(self, text: str) -> None:
        self._say(f"        on the console: {text}")

    @staticmethod
    def _ending(outcome: Outcome) -> str:
        match outcome.ending:
            case Ending.BOOT:
                return "The kernel starts."
            case Ending.DISK:
                return "The first disk starts."
        if outcome.status == 1:
            return "iPXE leaves, and the firmware goes on with its next boot device."
        raise Failed("the script ends without booting anything")


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
    _check_boot_file(answer)


def _check_boot_file(answer: Message) -> None:
    if not _boot_file(answer):
        raise Failed("the answer names no boot file")
    if not int(answer.siaddr):
        raise Failed("siaddr is empty: iPXE and EDK2 would not know whom to ask")


def _pe_machine(head: bytes) -> int | None:
    """The machine type of a PE program, None for what is none (PE format, section 2)."""
    if head[:2] != b"MZ" or len(head) < 64:
        return None
    [at] = struct.unpack_from("<I", head, 60)
    if head[at : at + 4] != b"PE\0\0" or len(head) < at + 6:
        return None
    machine: int = struct.unpack_from("<H", head, at + 4)[0]
    return machine
