"""
``install``: an installer's kernel and initrd, and its answer file.

The answer file is named in the arguments, or ``answer`` says where it stands below the file root
and ``os`` which installer reads it, which then gets these, each unless ``boot_args`` has it:

==============  ================================================================================
``debian``      ``auto=true priority=critical interface=auto url=ANSWER``, and ``hostname`` and
                ``domain`` of the machine (Debian's installation guide, appendix B)
``ubuntu``      ``autoinstall ds=nocloud-net;s=ANSWER/`` and the rest of a casper boot; ``answer``
                is a folder with ``user-data``, ``tree`` the ISO (subiquity's netboot guide)
``rhel`` …      ``inst.ks=ANSWER inst.ks.sendmac ip=dhcp``, ``tree`` as ``inst.repo`` (anaconda)
``centos6``     ``ks=ANSWER kssendmac ksdevice=MAC``, ``tree`` as ``method``
``suse``        ``autoyast=ANSWER``, ``tree`` as ``install`` (linuxrc)
``cloud-init``  ``ds=nocloud-net;s=ANSWER/``; ``answer`` is a folder
==============  ================================================================================

The file is served as the machine sees it, so one may serve all.  ``once`` is on: a machine that
has told ``/done`` is not installed again; one whose installer never tells is not concerned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from netbootd.targets.base import Facts
from netbootd.targets.linux import Linux, absent, by_card
from netbootd.targets.settings import Settings

#: Anaconda's and dracut's old spellings, and today's.  Anaconda dropped the bare ones with
#: Red Hat Enterprise Linux 7 (https://anaconda-installer.readthedocs.io/en/latest/boot-options.html).
_RENAMED = {
    "ks": "inst.ks",
    "ksdevice": "BOOTIF or bootdev",
    "rdshell": "rd.shell",
    "rd_NO_DM": "rd.dm=0",
    "rd_NO_MD": "rd.md=0",
    "rd_NO_LUKS": "rd.luks=0",
    "rd_NO_LVM": "rd.lvm=0",
}
_OLD = re.compile(r"(centos|rhel|red ?hat|scientific|oracle|sl)[^0-9]*[56](\D|$)", re.IGNORECASE)

# cloud-init before 23 wants ds=nocloud-net for http, later ones take both names.
_SEED = "ds=nocloud-net;s=__answer__/"
#: What each installer is told.
_ARGUMENTS: dict[str, str] = {
    "debian": "auto=true priority=critical interface=auto url=__answer__",
    # cloud-init reads url= too and would fetch the whole ISO once more but for cloud-config-url.
    "ubuntu": f"ip=dhcp root=/dev/ram0 ramdisk_size=1500000 autoinstall {_SEED} "
    "cloud-config-url=/dev/null url=__tree__",
    "rhel": "inst.ks=__answer__ inst.ks.sendmac ip=dhcp inst.repo=__tree__",
    "centos6": "ks=__answer__ kssendmac ksdevice=__mac__ method=__tree__",
    "suse": "autoyast=__answer__ install=__tree__",
    "cloud-init": _SEED,
}
_SAME = {
    **dict.fromkeys(("centos", "rocky", "almalinux", "alma", "fedora", "oracle", "redhat"), "rhel"),
    **dict.fromkeys(("opensuse", "sles"), "suse"),
}
#: Those that take the card from ``BOOTIF``.
_BY_CARD = frozenset({"debian", "ubuntu", "rhel"})
#: What reads the arguments of an installer first.
_READERS = {"rhel": "dracut", "suse": "linuxrc"}
#: The file that must be in the folder which ``answer`` names.
_IN_FOLDER = {"ubuntu": "user-data", "cloud-init": "user-data"}


@dataclass(frozen=True, slots=True)
class Install(Linux):
    """An unattended install; *answer* is a path below the file root or a URL, *tree* a location."""

    answer: str = ""
    tree: str = ""
    system: str = ""

    keys: ClassVar[frozenset[str]] = Linux.keys | {"answer", "tree"}
    template_name: ClassVar[str] = "install"
    once: ClassVar[bool] = True

    @classmethod
    def completed(cls, settings: Settings, args: tuple[str, ...]) -> tuple[str, ...]:
        system = family(settings.text("os") or "")
        if "answer" not in settings:
            return args
        if system not in _ARGUMENTS:
            if not any("__answer__" in word for word in args):
                told = (
                    f'"answer" needs "os" (one of {", ".join(sorted(_ARGUMENTS))}), or __answer__'
                )
                settings.warn("answer-unused", f'{told} in "boot_args"', "answer")
            return args
        tree = "tree" in settings
        words = _ARGUMENTS[system].split()
        words += by_card(args) if system in _BY_CARD else ()
        added = absent(args, (word for word in words if tree or "__tree__" not in word))
        if system == "ubuntu" and not tree and not any(word.startswith("url=") for word in args):
            settings.warn("install-no-tree", 'no "tree": the installer wants its ISO', "answer")
        return (*added, *args)  # in front: what stands behind "---" is for the installed system

    @classmethod
    def extras(cls, settings: Settings) -> dict[str, Any]:
        system = family(settings.text("os") or "")
        answer = settings.own_file("answer", needs=_IN_FOLDER.get(system, "")) or ""
        tree = settings.location("tree", file=system == "ubuntu") or ""
        return {"answer": answer, "tree": tree, "system": system}

    @property
    def reads(self) -> int:
        """linuxrc looks in it for settings of its own, and YaST fetches it anew."""
        return 2 if self.system == "suse" else 1

    @property
    def reader(self) -> str:
        return _READERS.get(self.system, self.initramfs)

    @property
    def log_reader(self) -> str:
        return self.system or self.initramfs

    def own_names(self, facts: Facts) -> dict[str, Any]:
        names = {"answer_url": facts.file_url(self.answer)} if self.answer else {}
        return names | ({"tree": facts.url(self.tree)} if self.tree else {})

    def words(self, facts: Facts) -> tuple[str, ...]:
        words = Linux.words(self, facts)
        if self.system != "debian" or not self.answer:
            return words
        facts.compares()
        named = [
            f"{name}=__{name}__"
            for name in ("hostname", "domain")
            if isinstance(value := facts.variables.get(name), str) and value
        ]
        return (*(self.filled(word, facts) for word in absent(words, named)), *words)


def family(system: str) -> str:
    """The installer that *system* (``Debian 12``, ``rocky``, ``CentOS 6.2``) brings."""
    match = re.match(r"[a-z]+(-[a-z]+)*", system.strip().lower())
    name = match[0] if match else ""
    name = _SAME.get(name, name)
    return "centos6" if name == "rhel" and _OLD.search(system) else name


def check_legacy_args(settings: Settings, words: tuple[str, ...]) -> None:
    """Old spellings do nothing in a new image; said only where ``os`` says that it is new."""
    system = settings.text("os")
    if not system or _OLD.search(system):
        return
    for word in words:
        name = word.partition("=")[0]
        if name in _RENAMED:
            settings.warn("args-legacy", f"{name} is {_RENAMED[name]} in {system}", "boot_args")
