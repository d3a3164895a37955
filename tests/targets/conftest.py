"""A configuration written for one test, loaded, and asked for scripts."""

from __future__ import annotations

import json

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.script import Past, boot_script
from netbootd.check import check
from netbootd.errors import Level
from netbootd.mac import MAC
from netbootd.record.standing import Standing
from netbootd.registry.load import load

NODE = MAC.parse("52:54:00:12:34:56")
OWN = "http://192.0.2.1:3000"


class Site:
    """A configuration's folder and its file root."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        self.file = folder / "netbootd.json"
        self.registry = None

    def put(self, *paths, text="x"):
        """Files below the file root."""
        for path in paths:
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def load(self, targets, machine=None, **sections):
        """*targets* by ``type/name``; *machine* is the entry of NODE, by itself the first of them."""
        by_type = {}
        for title, keys in targets.items():
            type_, _, name = title.partition("/")
            by_type.setdefault(type_, {})[name] = keys
        first_type, _, first_name = next(iter(targets)).partition("/")
        entry = {"type": first_type, "name": first_name, **(machine or {})}
        whole = {
            "targets": by_type,
            "machines": {"default": {"type": first_type, "name": first_name}, str(NODE): entry},
            "netbootd": {"files": str(self.root)},
            **sections,
        }
        self.file.write_text(json.dumps(whole))
        self.registry = load(self.file)
        return self.registry

    def one(self, title, keys, machine=None, **sections):
        """The meaning of the script of the only target there is."""
        self.load({title: keys}, machine, **sections)
        return self.script()

    def answer(self, mac=NODE, choice="", completed=()):
        """What *mac* gets; *completed* are the once-targets that it has behind it."""
        client = Client(stage=Stage.IPXE, mac=mac, address="192.0.2.77")
        past = Past(standing=Standing(completed=completed))
        return boot_script(client, self.registry, OWN, past, choice)

    def text(self, mac=NODE, choice=""):
        return self.answer(mac, choice).text

    def script(self, mac=NODE, choice=""):
        """The commands of its script; see ``meaning``."""
        answer = self.answer(mac, choice)
        assert answer.status == 200, answer.logged
        return meaning(answer.text)

    def codes(self, least=Level.WARNING):
        """What the loader and ``check`` say, but for files that are not there."""
        found = [f for f in check(self.file).findings if f.level >= least]
        return {f.code for f in found} - {"file-missing"}

    def told(self, code):
        return [f.text for f in check(self.file).findings if f.code == code]


def meaning(text):
    """Each command of a script as its words; echoes, comments and what stands behind ``||`` are free."""
    assert text.startswith("#!ipxe\n")
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if words and words[0] not in ("echo", "sleep") and not line.startswith("#"):
            found.append(" ".join(words[: words.index("||")] if "||" in words else words))
    return found


#: How nearly every script ends.
END = [":failed", "exit 1"]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)
