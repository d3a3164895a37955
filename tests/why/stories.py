"""
Boots as they would be recorded, told in a few words; times are seconds after NOON.

``Story`` writes down what happens to one machine; ``evidence`` is what is known of it a while later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netbootd.boots.begins import FIRST
from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage, Step
from netbootd.errors import Place
from netbootd.mac import MAC
from netbootd.record.standing import Standing
from netbootd.registry.machine import Machine
from netbootd.targets.base import Common
from netbootd.targets.install import Install
from netbootd.targets.ipxe import Templates
from netbootd.targets.linux import Linux
from netbootd.targets.localboot import LocalBoot
from netbootd.targets.nfs import Nfs
from netbootd.why.evidence import Evidence, LoaderFacts, TargetFacts

NOON = 1_790_000_000.0
KEY = "52:54:00:12:34:56"
KERNEL, INITRD = "/linux/vmlinuz", "/linux/initrd.img"
ANSWER = "install/preseed.cfg"
TEMPLATE = Templates().get("linux")
LEASE = "192.0.2.50"
LAN = "192.0.2.1"

_TYPES: dict[str, Any] = {"linux": Linux, "nfs": Nfs, "install": Install}


def target(kind: str = "linux", **more: Any) -> Any:
    """A target of *kind* called ``kind/it``."""
    common = Common(**more.pop("common", {}))
    if kind == "localboot":
        return LocalBoot("localboot/disk", TEMPLATE, common=replace(common, calls_back=False))
    return _TYPES[kind](
        f"{kind}/it", TEMPLATE, KERNEL, (INITRD,), ("ip=dhcp",), **more, common=common
    )


def machine(boots: Any = None, **more: Any) -> Machine:
    """The entry of the machine."""
    mac = MAC.parse(KEY)
    return Machine(mac, boots or target(), Place("machines.json", 3), macs=(mac,), **more)


def facts(of: Any, **more: Any) -> TargetFacts:
    """What ``gather`` would say of the target *of*."""
    return TargetFacts(
        title=of.title,
        kind=of.title.partition("/")[0],
        **{
            "files": tuple(one for one in of.fetched if one.startswith("/")),
            "kernel": getattr(of, "kernel", ""),
            "initrds": getattr(of, "initrds", ()),
            "answer": getattr(of, "answer", ""),
            "is_install": isinstance(of, Install),
            "calls_back": of.common.calls_back,
            **more,
        },
    )


class Story:
    """One boot, step by step; each word returns the story."""

    def __init__(self, number: int = 1, at: float = 0.0, boots: Any = None) -> None:
        self.at = at
        self.target = boots or target()
        self.boot = Boot(
            number=number,
            key=KEY,
            macs=(KEY,),
            arch="UEFI x64",
            target=self.target.title,
            began=NOON + at,
            last=NOON + at,
            generation=1,
        )

    def after(self, seconds: float) -> Story:
        """*seconds* go by."""
        self.at += seconds
        return self

    def step(self, stage: Stage, **more: Any) -> Story:
        """One more step, now."""
        now = NOON + self.at
        step = Step(stage=stage, at=now, until=more.pop("until", now), interface="eth0", **more)
        steps = (*self.boot.steps, step)
        self.boot = replace(self.boot, steps=steps, last=max(self.boot.last, step.until))
        return self

    def note(self, of: Code, text: str = "", times: int = 1, **data: Any) -> Story:
        """One more note, now; it is a sign of life as well."""
        now = NOON + self.at
        note = Note(code=of, at=now, until=now, text=text or of.value, times=times, data=data)
        notes = (*self.boot.notes, note)
        self.boot = replace(self.boot, notes=notes, last=max(self.boot.last, now))
        return self

    def ends(self, outcome: Outcome) -> Story:
        """How it ended."""
        self.boot = replace(self.boot, outcome=outcome)
        return self

    def has(self, **more: Any) -> Story:
        """Something of the boot is other than usual."""
        self.boot = replace(self.boot, **more)
        return self

    # -- the way -------------------------------------------------------------------------------

    def asks(self, times: int = 1, over: float = 0.0, style: str = "boot-server") -> Story:
        """DISCOVER and our OFFER, *times* within *over* seconds."""
        until = NOON + self.at + over
        self.step(Stage.DISCOVER, times=times, until=until, note="UEFI x64")
        return self.step(
            Stage.OFFER, times=times, until=until, path="snponly.efi", note=style
        ).after(over)

    def offered_address(self, **more: Any) -> Story:
        """The DHCP server's OFFER was overheard."""
        data = {"message": "offer", "server": LAN, "address": LEASE, "file": "", "proxy": False}
        return self.note(Code.OVERHEARD, f"got offer {more}", **{**data, **more})

    def takes_address(self) -> Story:
        """Its REQUEST."""
        return self.note(Code.REQUESTED, server=LAN, address=LEASE, netboot=True)

    def asks_4011(self) -> Story:
        """The boot server is asked, and tells the file."""
        return self.step(Stage.BOOT_SERVER, path="snponly.efi")

    def loads(self, name: str = "snponly.efi", **more: Any) -> Story:
        """Its loader, whole."""
        usual = {"size": 300_000, "sent": 300_000, "path": name, "protocol": "TFTP"}
        return self.step(Stage.LOADER, **{**usual, **more})

    def to_loader(self) -> Story:
        """All as far as its loader is whole."""
        return self.asks().after(4).takes_address().asks_4011().after(1).loads()

    def to_ipxe(self) -> Story:
        """All as far as iPXE has our offer."""
        self.to_loader().after(6).step(Stage.IPXE_DISCOVER)
        return self.step(Stage.IPXE_OFFER, path="http://192.0.2.10:3000/boot/x", note="ipxe")

    def to_script(self, **more: Any) -> Story:
        """All as far as its script."""
        self.to_ipxe().takes_address().after(2)
        return self.step(Stage.SCRIPT, **{"note": self.target.title, **more})

    def fetches(self, stage: Stage, path: str, size: int = 10_000_000, **more: Any) -> Story:
        """A file by HTTP, whole unless *more* says otherwise."""
        usual = {"size": size, "sent": size, "path": path, "protocol": "HTTP"}
        return self.step(stage, **{**usual, **more})

    def to_initrd(self) -> Story:
        """All as far as kernel and initrd are whole."""
        self.to_script().after(1).fetches(Stage.KERNEL, KERNEL)
        return self.after(2).fetches(Stage.INITRD, INITRD, 50_000_000)

    def to_system(self) -> Story:
        """All as far as the system's own DHCP."""
        return self.to_initrd().after(15).step(Stage.SYSTEM)


SIGNED = LoaderFacts(
    name="snponly.efi", there=True, family="efi-x64", signed=True, is_efi=True, signers=("CA",)
)
UNSIGNED = replace(SIGNED, signed=False, signers=())


def evidence(*stories: Story, later: float = 3600.0, **more: Any) -> Evidence:
    """What is known *later* seconds after the last sign; *stories* newest first."""
    boots = tuple(story.boot for story in stories)
    own = more.pop("boots_target", stories[0].target if stories else target())
    entry = more.pop("machine", machine(own))
    last = boots[0].last if boots else NOON
    usual: dict[str, Any] = {
        "name": "node1",
        "macs": (KEY,),
        "machine": entry,
        "known": True,
        "standing": Standing(),
        "target": facts(own, **more.pop("facts", {})),
        "loader": SIGNED,
        "generation": 1,
        "heard": {"eth0": last},
        "now": last + later,
    }
    return Evidence(key=KEY, boots=boots, **{**usual, **more})


__all__ = ["FIRST", "Story", "evidence"]
