"""The archive, as the real cpio reads it, and as Linux wants it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from netbootd.overlay import cpio
from netbootd.pieces import Pieces

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map(
    "/".join
)


def listed(archive: Pieces) -> list[str]:
    done = subprocess.run(
        ["cpio", "-t", "--null", "--quiet"], input=bytes(archive), capture_output=True, check=True
    )
    assert not done.stderr, done.stderr
    return done.stdout.decode().split("\0")[:-1]


def unpacked(archive: Pieces, folder: Path) -> None:
    done = subprocess.run(
        ["cpio", "-id", "--quiet", "--no-absolute-filenames"],
        *(),
        input=bytes(archive),
        cwd=folder,
        capture_output=True,
    )
    assert done.returncode == 0
    assert not done.stderr, done.stderr


def test_cpio_unpacks_what_was_put_in(tmp_path):
    archive = cpio.archive(
        [
            cpio.file("etc/motd", b"hello\n", 0o640),
            cpio.file("etc/empty", b""),
            cpio.link("etc/link", "/usr/lib/os-release"),
            cpio.folder("root/.ssh", 0o700),
            cpio.file("usr/bin/tool", b"#!/bin/sh\n", 0o755),
        ]
    )

    unpacked(archive, tmp_path)

    assert (tmp_path / "etc/motd").read_bytes() == b"hello\n"
    assert stat.S_IMODE((tmp_path / "etc/motd").stat().st_mode) == 0o640
    assert (tmp_path / "etc/empty").read_bytes() == b""
    assert (tmp_path / "etc/link").readlink() == Path("/usr/lib/os-release")
    assert stat.S_IMODE((tmp_path / "root/.ssh").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "usr/bin/tool").stat().st_mode) == 0o755


def test_folders_come_before_all_files_and_after_those_they_are_in():
    names = listed(cpio.archive([cpio.file("a/b/c/file", b""), cpio.file("z/file", b"")]))

    assert names == ["a", "a/b", "a/b/c", "z", "a/b/c/file", "z/file"]


@pytest.mark.parametrize("first", sorted(cpio.MERGED))
def test_what_may_be_a_link_in_the_main_initrd_gets_no_entry(first):
    names = listed(cpio.archive([cpio.folder(first), cpio.file(f"{first}/x/file", b"")]))

    assert names == ["usr", f"usr/{first}", f"usr/{first}/x", f"usr/{first}/x/file"]


def test_only_a_whole_first_part_is_moved():
    assert listed(cpio.archive([cpio.file("libfoo/x", b"")])) == ["libfoo", "libfoo/x"]
    assert "opt/lib/x" in listed(cpio.archive([cpio.file("opt/lib/x", b"")]))


def test_a_later_entry_replaces_an_earlier_one(tmp_path):
    archive = cpio.archive([cpio.file("lib/a", b"one"), cpio.file("usr/lib/a", b"two")])

    unpacked(archive, tmp_path)

    assert (tmp_path / "usr/lib/a").read_bytes() == b"two"
    assert listed(archive).count("usr/lib/a") == 1


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/x",
        "etc//x",
        "etc/",
        "../x",
        "a/../b",
        "./a",
        "a\0b",
        cpio.TRAILER,
        f"{cpio.TRAILER}/x",
    ],
)
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ValueError, match="no path inside"):
        cpio.archive([cpio.file(path, b"")])


def test_a_path_longer_than_linux_takes_is_refused():
    with pytest.raises(ValueError, match="too long"):
        cpio.archive([cpio.file("/".join(["x" * 200] * 21), b"")])


def test_a_file_cannot_be_a_folder_as_well():
    with pytest.raises(ValueError, match="etc is a file, and etc/x is to be in it"):
        cpio.archive([cpio.file("etc", b""), cpio.file("etc/x", b"")])


def test_each_header_is_that_of_the_new_ascii_format():
    archive = cpio.archive([cpio.file("ab", b"12345", 0o644)])

    assert archive[:6] == b"070701"
    fields = [int(archive[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
    assert fields == [1, 0o100644, 0, 0, 1, 0, 5, 0, 0, 0, 0, 3, 0]
    assert archive[110:116] == b"ab\0\0\0\0"  # header and name end at 116
    assert archive[116:124] == b"12345\0\0\0"
    assert archive[124:130] == b"070701"


@given(st.dictionaries(PATHS, st.binary(max_size=600), max_size=8))
def test_any_files_give_an_archive_that_cpio_lists(files):
    names = {cpio.merged(path) for path in files}
    assume(len(names) == len(files) and cpio.TRAILER not in names)
    assume(not any(one.startswith(f"{other}/") for one in names for other in names))
    entries = [cpio.file(path, body) for path, body in files.items()]

    archive = cpio.archive(entries)

    assert len(archive) % 512 == 0
    assert bytes(archive) == bytes(cpio.archive(reversed(entries))), "the order counted"
    assert names <= set(listed(archive))
