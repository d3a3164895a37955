"""iPXE's own language, which targets speak themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.dialects.dialect import Dialect, Said, Unfit
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.notice import Notice


@dataclass(frozen=True, slots=True)
class Ipxe(Dialect):
    """*template* is that of the notice."""

    template: ScriptTemplate

    again: ClassVar[str] = "press a key to try again"

    def script(self, target: Target, facts: Facts) -> Said | Unfit:
        text = target.script(facts)
        return Said(text, text)

    def notice(self, reason: str, advice: str, facts: Facts) -> str:
        return Notice("", self.template, reason, advice).script(facts)
