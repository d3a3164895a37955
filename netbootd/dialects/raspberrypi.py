"""
What the firmware of a Raspberry Pi reads: ``config.txt`` and ``cmdline.txt``.

A Pi has no way to say anything, nor to be told that it shall boot its own disk: what it is not to
boot it must not find, so that it goes on in its boot order.  File names are relative to the folder
in which it looks for ``config.txt``.

Of a line of ``config.txt`` it reads 98 characters.  So the extra initrd is named without the token
of the boot: where the configuration is ``private``, a Pi is known by its address.

Source: https://www.raspberrypi.com/documentation/computers/config_txt.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from netbootd.configfiles import PI_BOOT
from netbootd.dialects.dialect import Dialect, Said, Unfit, own_path, tftp_path
from netbootd.dialects.quoting import one_line, one_word
from netbootd.errors import RenderError
from netbootd.forms import lines
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import Kernel, OnlyIpxe

#: Characters of a line that count.
_LONGEST_LINE = 98


@dataclass(frozen=True, slots=True)
class RaspberryPi(Dialect):
    """*template* is that of the file which is asked for."""

    template: ScriptTemplate

    again: ClassVar[str] = ""

    def script(self, target: Target, facts: Facts) -> Said | Unfit:
        plan = target.plan(facts)
        if isinstance(plan, OnlyIpxe):
            return Unfit(plan.reason)
        if not isinstance(plan, Kernel) or plan.bios_only:
            return Unfit(f"{target.title} is nothing that a Raspberry Pi's firmware can boot")
        values = {
            "target": target.title,
            "kernel": self.file(plan.url, facts),
            "initrds": [self.file(url, facts) for url in plan.initrds],
            "args": one_line(" ".join(plan.args)),
            "lines": self._lines(facts.variables.get("config_txt")),
        }
        text = self.template.render(**{**facts.names(), **values})
        if self.template.name == PI_BOOT.name:
            _check_lengths(text)
        return Said(text, plan.says)

    def notice(self, reason: str, advice: str, facts: Facts) -> str:
        return ""

    def file(self, url: str, facts: Facts) -> str:
        """*url* as a path below the folder of ``config.txt``."""
        path = own_path(url, facts)
        if path is None:
            raise RenderError(f"a Raspberry Pi fetches all from one server, not {url:.80}")
        path = path.partition("?")[0].removeprefix(f"/{facts.mac.dashed}")
        return one_word(tftp_path(path).lstrip("/"))

    @staticmethod
    def _lines(written: Any) -> list[str]:
        """``config_txt``: lines that go into the file as they are, in one string or several."""
        if written is None:
            return []
        listed = written if isinstance(written, (list, tuple)) else [written]
        try:
            told = [one.splitlines() if isinstance(one, str) else [one] for one in listed]
            return lines([line for some in told for line in some])
        except ValueError as problem:
            raise RenderError(f"config_txt: {problem}") from None


def _check_lengths(text: str) -> None:
    """Raises RenderError where *text* has a line of which the end would not be read."""
    for line in text.splitlines():
        if len(line) > _LONGEST_LINE and not line.startswith("#"):
            told = f"a Raspberry Pi reads {_LONGEST_LINE} characters of a line, and not the end of"
            raise RenderError(f"{told} {line!r}")
