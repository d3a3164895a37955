"""
What the edges publish while a machine boots, told briefly; and a follower that hears it.

The machines are a table of cards, and paths are told apart by their names; the rest is real.
"""

from __future__ import annotations

from itertools import count

from netbootd.boots.boot import Boot, Stage
from netbootd.boots.follow import Follower
from netbootd.boots.turn import Outside, Who
from netbootd.events.event import (
    Event,
    NodeScripted,
    Offered,
    Reported,
    Scripted,
    Served,
    TransferEnded,
    Transferred,
)
from netbootd.events.lease import AddressInUse, Leased, LeaseOffered, Naked, NoAddress
from netbootd.events.progress import Started
from netbootd.events.witness import NotNetboot, Overheard, Requested
from netbootd.mac import MAC

CARD = MAC.parse("00:25:90:27:db:b4")
OTHER_CARD = MAC.parse("00:25:90:27:db:b5")
STRANGER = MAC.parse("52:54:00:12:34:56")
KEY = str(CARD)
HERE, THERE, DESK = "192.0.2.100", "192.0.2.101", "192.0.2.7"
SERVER = "192.0.2.10"
BASE = f"http://{SERVER}:3000"
NFS, INSTALL, DISK, SAN = "nfs/a", "install/b", "localboot/disk", "sanboot/c"

_STAGES = {
    "undionly.kpxe": Stage.LOADER,
    "snponly.efi": Stage.LOADER,
    "shimx64.efi": Stage.LOADER,
    "grubx64.efi": Stage.LOADER,
    "lpxelinux.0": Stage.LOADER,
    "ldlinux.c32": Stage.LOADER,
    "start4.elf": Stage.LOADER,
    "autoexec.ipxe": Stage.SCRIPT,
    "config.txt": Stage.SCRIPT,
    "cmdline.txt": Stage.SCRIPT,
    "vmlinuz": Stage.KERNEL,
    "initrd": Stage.INITRD,
    "modules": Stage.INITRD,
    "preseed.cfg": Stage.ANSWER_FILE,
}


def stage_of(path: str, _target: str, _mac: MAC | None) -> Stage:
    name = path.rpartition("/")[2]
    if "pxelinux.cfg/" in path or name.startswith("grub.cfg"):
        return Stage.SCRIPT
    return _STAGES.get(name, Stage.FILES)


class Story:
    """
    A follower with the machines *whose*, by card; others are strangers.

    *now* moves by *passes*; ``boots`` has every boot that was shown, by number.
    """

    def __init__(self, whose: dict[MAC, Who] | None = None) -> None:
        listed = {card: Who(KEY) for card in (CARD, OTHER_CARD)}
        self.whose = listed if whose is None else whose
        self.elsewhere: set[str] = set()
        self.now = 1000.0
        self.generation = 1
        self.boots: dict[int, Boot] = {}
        self.follower = Follower(
            Outside(
                who=lambda mac: self.whose.get(mac, Who(str(mac), known=False)),
                stage_of=stage_of,
                reports={INSTALL: True, DISK: False, SAN: None}.get,
                looks_on=lambda _mac, peer: peer in self.elsewhere,
                number=count(1).__next__,
            )
        )

    def tell(self, *events: Event, every: float = 1.0) -> list[Boot]:
        """What the last of *events* changes, each *every* seconds after the one before."""
        changed: list[Boot] = []
        for event in events:
            self.passes(every)
            changed = self.follower.notice(event, self.now, self.generation)
            self.boots |= {boot.number: boot for boot in changed}
        return changed

    def passes(self, seconds: float) -> None:
        self.now += seconds

    @property
    def boot(self) -> Boot:
        """The one with the highest number."""
        return self.boots[max(self.boots)]

    @property
    def stages(self) -> list[str]:
        return [step.stage.value for step in self.boot.steps]


# -- what is published ------------------------------------------------------------------------


def firmware(mac: MAC = CARD, file: str = "undionly.kpxe", **more) -> Offered:
    """A DISCOVER of firmware, answered."""
    said = {"arch": "BIOS x86", "style": "menu", "target": NFS, "interface": "eth0", **more}
    return Offered(mac=mac, file=file, server=SERVER, **said)


def http_firmware(mac: MAC = CARD) -> Offered:
    file = f"{BASE}/{mac.dashed}/snponly.efi"
    return firmware(mac, file, arch="UEFI x64 HTTP", stage="HTTP boot")


def ipxe(mac: MAC = CARD, file: str = "", **more) -> Offered:
    """A DISCOVER of iPXE, answered with its script."""
    return firmware(mac, file or f"{BASE}/boot/{mac}", stage="iPXE", **more)


def on_4011(mac: MAC = CARD, file: str = "undionly.kpxe") -> Offered:
    return firmware(mac, file, message="acknowledged", peer=HERE, style="")


def takes(mac: MAC = CARD, address: str = HERE, *, netboot: bool = True) -> Requested:
    return Requested(
        mac=mac, server="192.0.2.1", address=address, interface="eth0", netboot=netboot
    )


def is_given(mac: MAC = CARD, address: str = HERE) -> Overheard:
    return Overheard(mac=mac, message="ack", server="192.0.2.1", address=address, interface="eth0")


def is_offered(mac: MAC = CARD, address: str = HERE, *, netboot: bool = True) -> LeaseOffered:
    """An address of ours."""
    return LeaseOffered(mac=mac, address=address, interface="eth0", netboot=netboot)


def has(mac: MAC = CARD, address: str = HERE, how: str = "new", *, netboot: bool = True) -> Leased:
    return Leased(
        mac=mac, address=address, seconds=3600, how=how, interface="eth0", netboot=netboot
    )


def gets(mac: MAC = CARD, address: str = HERE, file: str = "snponly.efi", **more) -> list[Event]:
    """The four messages between a client and us as its DHCP server, as the edge tells of them."""
    named = firmware(mac, file, style="", **more)
    acknowledged = firmware(mac, file, style="", message="acknowledged", **more)
    return [is_offered(mac, address), named, has(mac, address), acknowledged]


def is_denied(mac: MAC = CARD, code: str = "exhausted") -> NoAddress:
    return NoAddress(mac=mac, reason="none is free", code=code, subnet="192.0.2.0/24")


def is_refused(mac: MAC = CARD, address: str = HERE) -> Naked:
    return Naked(mac=mac, address=address, reason="of another network", interface="eth0")


def in_use(mac: MAC = CARD, address: str = HERE) -> AddressInUse:
    return AddressInUse(mac=mac, address=address, by=str(STRANGER), interface="eth0")


def asks_size(path: str, mac: MAC | None = CARD, peer: str = HERE) -> list[Event]:
    reason = "aborted by the client"
    return [
        Started(mac=mac, peer=peer, protocol="TFTP", path=path, size=70_000),
        TransferEnded(mac=mac, peer=peer, path=path, reason=reason, end="aborted", size=70_000),
    ]


def by_tftp(path: str, mac: MAC | None = CARD, peer: str = HERE, size: int = 70_000) -> list[Event]:
    return [
        Started(mac=mac, peer=peer, protocol="TFTP", path=path, size=size),
        Transferred(mac=mac, peer=peer, path=path, size=size, seconds=0.5),
    ]


def by_http(
    path: str, mac: MAC | None = None, peer: str = HERE, size: int = 1000, sent: int | None = None
) -> list[Event]:
    return [
        Started(mac=mac, peer=peer, protocol="HTTP", path=path, size=size),
        Served(
            mac=mac,
            peer=peer,
            path=path,
            status=200,
            size=size,
            count=size,
            sent=size if sent is None else sent,
            seconds=0.5,
        ),
    ]


def part(path: str, first: int, count: int, size: int, peer: str = HERE) -> Served:
    return Served(
        peer=peer,
        path=path,
        status=206,
        size=size,
        first=first,
        count=count,
        sent=count,
        seconds=0.1,
    )


def script(mac: MAC | None = CARD, peer: str = HERE, target: str = NFS, **more) -> Scripted:
    """To a loader; ``looked_at`` is to anybody."""
    said = {"mac": mac, "peer": peer, "target": target, "says": target, "surely": True}
    return Scripted(**{**said, **more})


def looked_at(mac: MAC = CARD, peer: str = DESK) -> Scripted:
    return script(mac, peer, surely=False)


def first_script(peer: str = HERE) -> Scripted:
    return Scripted(peer=peer, says="first contact", code="first", path="/boot", surely=True)


def node_script(mac: MAC = CARD, peer: str = HERE) -> NodeScripted:
    return NodeScripted(mac=mac, peer=peer, target=NFS, says="hello")


def reports(outcome: str = "done", mac: MAC = CARD, peer: str = HERE, **more) -> Reported:
    return Reported(mac=mac, peer=peer, target=NFS, outcome=outcome, **more)


def runs(mac: MAC = CARD) -> NotNetboot:
    """The DHCP client of a system."""
    return NotNetboot(mac=mac, protocol="DHCP", reason="not a netboot client", vendor_class="Linux")


def loads(mac: MAC = CARD, peer: str = HERE) -> list[Event]:
    """From firmware to the script."""
    path = f"{mac}/undionly.kpxe"
    return [
        firmware(mac),
        takes(mac, peer),
        is_given(mac, peer),
        *asks_size(path, mac, peer),
        *by_tftp(path, mac, peer),
        ipxe(mac),
        takes(mac, peer),
        is_given(mac, peer),
        script(mac, peer),
    ]


def boots(mac: MAC = CARD, peer: str = HERE) -> list[Event]:
    """From firmware to the kernel."""
    kernel, initrd = by_http("/images/vmlinuz", None, peer), by_http("/images/initrd", None, peer)
    return [*loads(mac, peer), *kernel, *initrd]
