"""
The configuration as it should never be while the daemon runs: the one before stays in force, it is
said what is wrong, and what is well again is in force without a restart.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.lab import NETBOOTD, Lab, write_config
from tests.end_to_end.process import LabError
from tests.faults.place import Place, until

pytestmark = pytest.mark.wire

LISTED = "00:25:90:27:db:b4"
AGENT = ("-A", "iPXE/1.21.1")


def vanishes(file: Path) -> None:
    file.unlink()


def half_written(file: Path) -> None:
    text = file.read_text()
    file.write_text(text[: len(text) // 2])


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_gigabyte(file: Path) -> None:
    file.write_text("{")
    os.truncate(file, 1 << 30)


def a_link_to_nothing(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def a_link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def a_device(file: Path) -> None:
    """One that has no end."""
    file.unlink()
    file.symlink_to("/dev/zero")


FAULTS: list[Callable[[Path], None]] = [
    *(vanishes, half_written, emptied, fifo, folder, a_gigabyte),
    *(a_link_to_nothing, a_link_to_itself, a_device),
]


@pytest.fixture
def place(lab: Lab) -> Place:
    made = Place(lab)
    made.config["machines"][LISTED] = {"type": "linux", "name": "one", "hostname": "first"}
    made.serve()
    return made


def remove(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)


def test_the_file_is_lost_in_every_way_and_the_one_before_stays_in_force(place: Place) -> None:
    lab, daemon = place.lab, place.daemon
    for fault in FAULTS:
        before = len(daemon.text)
        fault(place.file)
        daemon.wait_for("reload refused", 30, after=before)
        assert "kernel http" in place.asked(f"/boot/{LISTED}", *AGENT), fault.__name__
        assert "is refused" in place.asked("/healthz")
        with pytest.raises(LabError):
            lab.run("boot", str(NETBOOTD), "check", "--config", str(place.file), timeout=60)
        before = len(daemon.text)
        remove(place.file)
        place.config["machines"][LISTED]["hostname"] = fault.__name__.replace("_", "-")
        write_config(place.file, place.config)
        daemon.wait_for("configuration reloaded", 30, after=before)
        assert "is refused" not in place.asked("/healthz")
    assert "Traceback" not in daemon.text


def test_drop_ins_that_vanish_and_links_that_change_between_two_looks(place: Place) -> None:
    """As of a version that is unpacked beside the old one, and the link to it swapped."""
    versions = [place.lab.folder / f"version{number}" for number in range(2)]
    for number, version in enumerate(versions):
        version.mkdir()
        for machine in range(20):
            entry = {"type": "linux", "name": "one", "hostname": f"n{number}-{machine}"}
            drop_in = {"machines": {f"00:25:90:27:dc:{machine:02x}": entry}}
            (version / f"{machine}.json").write_text(json.dumps(drop_in))
    link, new = place.file.with_name("machines.d"), place.file.with_name("link.new")
    if link.is_dir():  # a daemon that root starts makes it
        link.rmdir()
    for turn in range(20):
        new.symlink_to(versions[turn % 2])
        new.rename(link)
        if turn % 5 == 4:
            link.unlink()
        assert "kernel http" in place.asked(f"/boot/{LISTED}", *AGENT)
    new.symlink_to(versions[1])
    new.rename(link)
    until(
        lambda: place.api("/machines/00:25:90:27:dc:00").get("hostname") == "n1-0",
        "the last version is in force",
    )
    assert len(place.api("/machines")["machines"]) == 21
    assert "Traceback" not in place.daemon.text
