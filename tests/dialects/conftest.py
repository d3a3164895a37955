"""One configuration with a target of each kind, and what a loader would read of it."""

from __future__ import annotations

import json

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.script import Past, boot_script
from netbootd.configfiles import Reader
from netbootd.dialects.catalogue import dialect_of
from netbootd.dialects.dialect import TFTP, Way
from netbootd.mac import MAC
from netbootd.record.standing import Standing
from netbootd.registry.load import load

NODE = MAC.parse("52:54:00:12:34:56")
HOST = "192.0.2.1:3000"
NAMES = {Reader.GRUB: "grub.cfg", Reader.PXELINUX: "01-52-54-00-12-34-56"}


class Site:
    """A configuration of one machine; files of the configuration's folder may be put before."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "root").mkdir()

    def boots(self, title, keys, machine=None, **others):
        """NODE boots *title*; *others* are targets of their own, by ``type__name``."""
        titles = {title: keys, **{name.replace("__", "/"): of for name, of in others.items()}}
        targets = {}
        for one, of in titles.items():
            type_, _, name = one.partition("/")
            targets.setdefault(type_, {})[name] = of
        type_, _, name = title.partition("/")
        whole = {
            "targets": targets,
            "machines": {str(NODE): {"type": type_, "name": name, **(machine or {})}},
            "netbootd": {"files": str(self.folder / "root")},
        }
        (self.folder / "c.json").write_text(json.dumps(whole))
        self.registry = load(self.folder / "c.json")
        return self

    def answer(self, reader, *, by=TFTP, name="", choice="", standing=None):
        """What *reader* would be told."""
        dialect = dialect_of(
            reader, name or NAMES.get(reader, "config.txt"), Way(by, HOST), self.registry.dialects
        )
        client = Client(stage=Stage.IPXE, mac=NODE, address="192.0.2.77")
        past = Past(standing=standing or Standing(), token="tok")
        return boot_script(client, self.registry, f"http://{HOST}", past, choice, dialect)

    def lines(self, reader, **asked):
        """The commands of what boots, without blanks and comments."""
        answer = self.answer(reader, **asked)
        assert answer.status == 200, answer.says
        lines = (line.strip() for line in answer.text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)
