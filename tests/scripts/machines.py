"""Machines and their scripts, from a configuration's text."""

from __future__ import annotations

import json

from netbootd.mac import MAC
from netbootd.registry import scripts
from netbootd.registry.facts import for_a_look
from netbootd.registry.load import load
from netbootd.targets.base import Facts

NODE = MAC.parse("52:54:00:12:34:56")
BASE = "http://192.0.2.1:3000"


def facts(target="nfs/a", **variables):
    """What a script may know of the machine NODE."""
    return Facts(mac=NODE, base=BASE, retry="", target=target, variables=variables)


def built_in(*names):
    """Pieces of the built-in fragments of these names."""
    return [scripts.Piece("test", scripts.built_in()[name]) for name in names]


class Configuration:
    """A folder with a configuration: one target, the machine NODE, and what a test adds."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "netbootd.json"
        self.written = {
            "targets": {"nfs": {"a": {"kernel": "k", "boot_args": "root=x"}}},
            "machines": {str(NODE): {"type": "nfs", "name": "a"}},
        }

    @property
    def target(self):
        return self.written["targets"]["nfs"]["a"]

    @property
    def machine(self):
        return self.written["machines"][str(NODE)]

    def put(self, name, text):
        """A file beside the configuration."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def load(self):
        self.file.write_text(json.dumps(self.written, indent=1))
        return load(self.file)

    def script(self):
        registry = self.load()
        machine = registry.machines[NODE]
        return scripts.build(machine, for_a_look(machine, registry), registry)


def of(registry, *codes):
    """The findings of these codes."""
    return [finding for finding in registry.findings if finding.code in codes]
