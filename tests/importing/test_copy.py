"""A folder is there whole or not at all, and what is there is never changed."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import time

import pytest

from . import media

KERNEL = "debian-installer/amd64/linux"
INITRD = "debian-installer/amd64/initrd.gz"
NAME = "debian-12-amd64"


def command(site, medium):
    return [
        *(sys.executable, "-m", "netbootd", "import"),
        *("--config", str(site.config), "--name", NAME, str(medium)),
    ]


@pytest.fixture
def medium(site):
    return media.tree(site.media / "netboot", media.DEBIAN_NETBOOT)


def start_and_stop(site, medium, number):
    """Import something large, and send signal *number* while it is being copied."""
    os.truncate(medium / KERNEL, 2 << 30)
    # A shell's background job ignores SIGINT, and what it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(command(site, medium), stderr=subprocess.PIPE, text=True)
    workshop = site.files / "images" / f".{NAME}.importing"
    while not any(workshop.rglob("linux")):
        assert running.poll() is None
        time.sleep(0.001)
    running.send_signal(number)
    return running.wait(), running.communicate()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(site, medium, number):
    status, said = start_and_stop(site, medium, number)
    assert status == 1
    assert said.splitlines()[-1] == "netbootd: interrupted; no half of it was left behind"
    assert list(site.files.iterdir()) == []


def test_what_a_killed_run_left_is_cleared_away_by_the_next(site, medium):
    status, _ = start_and_stop(site, medium, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert not (site.files / "images" / NAME).exists()
    os.truncate(medium / KERNEL, 1000)
    assert site.run(medium).status == 0
    assert site.contents().keys() == {f"images/{NAME}/linux", f"images/{NAME}/initrd.gz"}


def test_what_a_killed_run_left_is_cleared_away_by_one_of_another_name(site, medium):
    start_and_stop(site, medium, signal.SIGKILL)
    os.truncate(medium / KERNEL, 1000)
    beside = site.files / "images" / ".of-mine.importing"
    beside.write_text("a file")
    assert site.run("--name", "other", medium).status == 0
    assert site.contents().keys() == {
        "images/.of-mine.importing",
        "images/other/linux",
        "images/other/initrd.gz",
    }


def test_what_another_run_is_writing_stays(site, medium):
    workshop = site.files / "images" / ".elsewhere.importing"
    workshop.mkdir(parents=True)
    other = os.open(workshop, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    (workshop / "half").write_text("the other's")
    assert site.run(medium).status == 0
    os.close(other)
    assert (workshop / "half").read_text() == "the other's"


def test_two_imports_of_one_name_do_not_meet(site, medium):
    workshop = site.files / "images" / f".{NAME}.importing"
    workshop.mkdir(parents=True)
    other = os.open(workshop, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    (workshop / "half").write_text("the other's")
    said = site.run(medium)
    os.close(other)
    assert said.status == 1
    assert "another import is writing" in said.err
    assert site.contents() == {f"images/.{NAME}.importing/half": b"the other's"}


def test_a_write_that_fails_leaves_nothing(site, medium):
    os.truncate(medium / KERNEL, 5 << 20)

    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        command(site, medium),
        capture_output=True,
        text=True,
        preexec_fn=small_files_only,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large; nothing was left behind" in done.stderr
    assert done.stdout == ""
    assert list(site.files.iterdir()) == []


def test_too_little_room_is_said_before_a_byte_is_written(site, medium):
    os.truncate(medium / KERNEL, 1 << 43)
    said = site.run(medium)
    assert said.status == 1
    assert "8.0 TiB are needed; nothing was copied" in said.err
    assert list(site.files.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("linux", lambda path: path.write_bytes(media.kernel("DEBIAN"))),
        ("linux", lambda path: path.write_bytes(media.kernel("debian and more"))),
        ("initrd.gz", lambda path: path.unlink()),
    ],
    ids=["other bytes", "longer", "missing"],
)
def test_a_folder_with_other_files_is_not_touched(site, medium, file, change):
    site.run(medium)
    change(site.files / "images" / NAME / file)
    before = site.fingerprint()
    said = site.run(medium)
    assert said.status == 1
    assert f"not as on the medium: {file}; nothing was changed" in said.err
    assert "--name" in said.err
    assert site.fingerprint() == before


def test_files_of_ones_own_beside_the_mediums_do_no_harm(site, medium):
    site.run(medium)
    (site.files / "images" / NAME / "notes.txt").write_text("mine")
    assert site.run(medium).status == 0
    assert (site.files / "images" / NAME / "notes.txt").read_text() == "mine"


def test_the_daemon_can_read_it_whatever_the_umask_and_the_medium(site, medium):
    (medium / KERNEL).chmod(0o4700)
    (medium / "debian-installer").chmod(0o700)
    before = os.umask(0o077)
    try:
        site.run("--files", site.files / "new", medium)
    finally:
        os.umask(before)
    for path in (site.files / "new", *(site.files / "new").rglob("*")):
        expected = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_file_root_that_is_a_file_is_said(site, medium):
    site.files.rmdir()
    site.files.write_text("")
    said = site.run(medium)
    assert said.status == 1
    assert "Not a directory" in said.err
