"""
``ipxe``: an iPXE script of your own.

``script`` is a file beside the configuration, a Jinja2 template that knows all that ours know.  It
is compiled when the configuration is loaded, may build on ours (``netbootd/linux.ipxe``), and must
begin with ``#!ipxe``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import Settings


@dataclass(frozen=True, slots=True)
class OwnScript(Target):
    """Its template says it all."""

    keys: ClassVar[frozenset[str]] = frozenset({"script"})
    template_name: ClassVar[str] = "ipxe"
    needs_ipxe: ClassVar[str] = "it is a script for it"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """``script`` was read already: *template* is made of it."""
        settings.check_boot_server()
        return cls(settings.title, template)

    def values(self, facts: Facts) -> dict[str, Any]:
        return {}
