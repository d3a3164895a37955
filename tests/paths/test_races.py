"""A folder that is swapped for a way out while it is looked into; links of both kinds, and devices."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from netbootd.content import Library
from netbootd.errors import Forbidden, NotFound
from tests.paths.conftest import CANARY

#: Until it is ended: a folder becomes a link that leads out, and a folder again.
FLIP = """
import os, sys
os.chdir(sys.argv[1])
while os.getppid() == int(sys.argv[2]):
    os.rename("folder", "folder.away")
    os.rename("link", "folder")
    os.rename("folder", "link")
    os.rename("folder.away", "folder")
"""
LOOKS = 20_000


def test_a_folder_swapped_for_a_link_between_the_look_and_the_opening_leads_nowhere(tmp_path):
    root, out = tmp_path / "root", tmp_path / "out"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").write_bytes(b"inside")
    out.mkdir()
    (out / "file").write_bytes(CANARY)
    (root / "link").symlink_to(out)
    library = Library(root)
    found, refused = set(), 0
    flips = subprocess.Popen([sys.executable, "-c", FLIP, str(root), str(os.getpid())])
    try:
        for _ in range(LOOKS):
            try:
                content = library.lookup("folder/file")
            except (Forbidden, NotFound):
                refused += 1
                continue
            with contextlib.closing(content):
                found.add(content.read(0, 100))
    finally:
        flips.kill()
        flips.wait()
    assert found == {b"inside"}
    assert refused


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
@pytest.mark.parametrize("linked", [False, True])
def test_a_device_is_not_even_opened(tmp_path, monkeypatch, linked):
    """A tape would rewind, and a watchdog begin to count."""
    os.mknod(tmp_path / "device", 0o600 | 0o020000, os.makedev(1, 5))
    (tmp_path / "link").symlink_to("device")
    library = Library(tmp_path)
    monkeypatch.delattr(os, "open")
    with pytest.raises(Forbidden, match="not a regular file"):
        library.lookup("link" if linked else "device")


def test_a_root_that_is_a_link_is_where_it_leads(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"x")
    (tmp_path / "root").symlink_to("real")
    library = Library(tmp_path / "root")
    library.lookup("file").close()
    (tmp_path / "out").write_bytes(CANARY)
    (tmp_path / "real" / "link").symlink_to("../out")
    with pytest.raises(Forbidden):
        library.lookup("link")


def test_a_hard_link_is_a_file_like_any_other(tmp_path):
    """Nothing tells it from the first name; that the kernel lets strangers make none is its part."""
    (tmp_path / "root").mkdir()
    (tmp_path / "out").write_bytes(b"linked by its owner")
    os.link(tmp_path / "out", tmp_path / "root" / "in")
    with contextlib.closing(Library(tmp_path / "root").lookup("in")) as content:
        assert content.read(0, 100) == b"linked by its owner"
