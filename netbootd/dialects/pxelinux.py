"""
PXELINUX's language, which syslinux.efi, U-Boot (``pxe boot``) and petitboot speak as well.

Sources: https://wiki.syslinux.org/wiki/index.php?title=Config, U-Boot's doc/README.pxe, petitboot's
discover/pxe-parser.c.  All four know KERNEL, INITRD and APPEND; words that one does not know it
passes over.  Only PXELINUX and syslinux.efi know CONFIG, by which a menu asks for what was chosen,
and several initrds behind one INITRD: the others ask for the whole list as for one file, and get
all of them so by TFTP.

Files are named by a path that begins with a slash.  PXELINUX and U-Boot put the folder of their own
boot file before it all the same (``52-54-00-12-34-56//52-54-00-12-34-56/images/k``), petitboot does
not; whoever looks for it sees the doubled slash (``urls.split_mac``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from netbootd import configfiles
from netbootd.dialects.dialect import Dialect, Said, Unfit, own_path, tftp_path
from netbootd.dialects.quoting import one_word
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import Choices, Disk, Kernel, OnlyIpxe

#: Seconds for which a notice can be read.
_READ_S = 30
#: By these endings PXELINUX takes a KERNEL for something else; petitboot does not know LINUX.
_OTHER_PROGRAMS = (".0", ".bin", ".bs", ".bss", ".c32", ".cbt", ".com", ".img")


@dataclass(frozen=True, slots=True)
class PxeLinux(Dialect):
    """*template* is ``pxelinux.cfg``."""

    template: ScriptTemplate

    again: ClassVar[str] = "type 'again' to try again"

    def script(self, target: Target, facts: Facts) -> Said | Unfit:
        plan = target.plan(facts)
        if isinstance(plan, OnlyIpxe):
            return Unfit(plan.reason)
        values: dict[str, Any]
        match plan:
            case Kernel():
                values = {"kernel": self._kernel(plan, facts)}
            case Disk():
                if "\\" in plan.efi or "://" in plan.efi + plan.bios:
                    told = "its disk is started by a loader that only iPXE or GRUB can start"
                    return Unfit(f"{target.title}: {told}")
                values = {"disk": {"bios": plan.bios}}
            case Choices():
                values = {"menu": self._menu(plan, facts)}
        own = {"target": target.title, **self._every(facts), **values}
        return Said(self.template.render(**{**facts.names(), **own}), plan.says)

    def notice(self, reason: str, advice: str, facts: Facts) -> str:
        told = {"reason": reason, "advice": advice, "tenths": _READ_S * 10}
        return self.template.render(**{**facts.names(), **self._every(facts), "notice": told})

    def file(self, url: str, facts: Facts) -> str:
        """*url* as PXELINUX names a file: a path on our own server, a URL on another."""
        path = own_path(url, facts)
        return one_word(url if path is None else tftp_path(path))

    def _every(self, facts: Facts) -> dict[str, Any]:
        """What the template is always told; of the forms of a plan it gets one."""
        nothing = dict.fromkeys(("kernel", "disk", "menu", "notice"))
        return {**nothing, "again": configfiles.pxelinux_path(facts.mac)}

    def _kernel(self, plan: Kernel, facts: Facts) -> dict[str, Any]:
        file = self.file(plan.url, facts)
        return {
            "word": "LINUX" if file.lower().endswith(_OTHER_PROGRAMS) else "KERNEL",
            "file": file,
            "initrd": ",".join(self.file(url, facts) for url in plan.initrds),
            "args": " ".join(plan.args),
            **{
                key: self._tree(facts.variables.get(key), facts)
                for key in ("fdt", "fdtdir")  # of U-Boot
            },
        }

    def _tree(self, value: Any, facts: Facts) -> str:
        """A device tree, or a folder of them: below the file root, or a URL."""
        if not isinstance(value, str) or not value.strip():
            return ""
        text = value.strip()
        return self.file(text if "://" in text else f"{facts.base}/{text.lstrip('/')}", facts)

    def _menu(self, plan: Choices, facts: Facts) -> dict[str, Any]:
        lines = [
            {
                "name": line.key if line.key.isalpha() else str(line.number),
                "label": line.label,
                "file": configfiles.pxelinux_path(facts.mac, line.number),
            }
            for line in plan.lines
        ]
        tenths = 0 if plan.timeout is None else max(1, round(plan.timeout * 10))
        return {"lines": lines, "default": lines[plan.default - 1]["name"], "tenths": tenths}
