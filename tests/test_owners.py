"""Whose is what is remembered: looked up before a configuration is in force, and once more then."""

from __future__ import annotations

import json

from netbootd.mac import MAC
from netbootd.owners import Owner, Owners
from netbootd.registry.load import load
from netbootd.registry.sightings import Sightings

LISTED, NAMED, STRANGER = (f"52:54:00:00:00:0{number}" for number in (1, 2, 3))


def owners(folder, things):
    disk = {"type": "localboot", "name": "disk"}
    machines = {LISTED: disk, "storage": {**disk, "mac": NAMED}, "default": disk}
    file = folder / "netbootd.json"
    file.write_text(json.dumps({"targets": {"localboot": {"disk": {}}}, "machines": machines}))
    return Owners(load(file), Sightings(), lambda key, _: MAC.maybe(key), things)


def test_only_those_are_told_that_the_key_does_not_tell(tmp_path):
    things = dict.fromkeys((LISTED, NAMED, STRANGER, "storage", "gone"))
    found = owners(tmp_path, things).of(things)
    assert found == {NAMED: Owner("storage", True), STRANGER: Owner(STRANGER, False)}


def test_so_are_those_that_have_come_since_and_not_those_that_have_gone(tmp_path):
    found = owners(tmp_path, dict.fromkeys((LISTED, STRANGER)))
    assert found.of(dict.fromkeys((LISTED, NAMED))) == {NAMED: Owner("storage", True)}


class ChangesOnce(dict):
    """As one that the reactor's thread puts something into while another copies it."""

    changed = False

    def items(self):
        if not self.changed:
            self.changed = True
            raise RuntimeError("OrderedDict mutated during iteration")
        return super().items()


def test_things_that_change_while_they_are_copied_are_copied_again(tmp_path):
    things = ChangesOnce(dict.fromkeys((LISTED, NAMED)))
    assert owners(tmp_path, things).of(things) == {NAMED: Owner("storage", True)}
