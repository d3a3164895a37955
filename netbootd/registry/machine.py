"""
A machine of the registry: its MAC, what it boots, and the free data its admin wrote beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netbootd.errors import Place
from netbootd.mac import MAC
from netbootd.targets.base import Target


@dataclass(frozen=True, slots=True)
class Machine:
    """
    One entry, defaults and inheritance resolved.

    *mac* is None only for ``machines.default`` itself.  *known* is False for a machine that got
    the default because the file does not name it.  *variables* are the keys that are not the
    target's: ``hostname``, ``ip``, ``label`` and whatever else was written.  *scripts*, *overlays*
    and *vms* are the names it adds to what its target brings.
    """

    mac: MAC | None
    target: Target
    place: Place = field(compare=False)
    known: bool = True
    variables: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """``nfs/Centos6.2_x64``."""
        return self.target.title

    def for_stranger(self, mac: MAC) -> Machine:
        """The default entry as *mac*, which has none of its own, gets it."""
        return replace(self, mac=mac, known=False)
