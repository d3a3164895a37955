"""Media that lie, are broken or would like to write elsewhere: refused, and nothing is left."""

from __future__ import annotations

import gzip
import os
import tarfile

import pytest

from . import media

KERNEL = "debian-installer/amd64/linux"
INITRD = "debian-installer/amd64/initrd.gz"


def member(name, data=b"", kind=tarfile.REGTYPE, link="", size=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if size is None else size
    return info, data


def hostile(file, *members):
    """A tar of exactly these members, whatever they say."""
    with file.open("wb") as made:
        for info, data in members:
            made.write(info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512))
        made.write(bytes(1024))
    return file


GOOD = (member(KERNEL, b"kernel"), member(INITRD, b"initrd"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("../../escaped", b"x"), "leaves the root"),
        (member("a/../../escaped", b"x"), "leaves the root"),
        (member("/tmp/escaped", b"x"), "absolute path"),
        (member("a\\..\\escaped", b"x"), "backslash"),
        (member("a" * 300, b"x"), "more than 255 bytes"),
        (member("/".join(["a" * 200] * 6), b"x"), "characters"),
        (member("a\nnetbootd: all is well", b"x"), "control character"),
        (member("node", kind=tarfile.BLKTYPE), "device"),
        (member("console", kind=tarfile.CHRTYPE), "device"),
        (member("pipe", kind=tarfile.FIFOTYPE), "FIFO"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_not_be_taken_is_left_out_with_a_word(site, bad, reason):
    said = site.run(hostile(site.media / "a.tar", bad, *GOOD))
    assert said.status == 0, said.err
    assert reason in said.err
    assert len(said.err.splitlines()) == 4  # and not one more by a line end in a name
    assert set(site.contents().values()) == {b"kernel", b"initrd"}
    assert not list(site.config.parent.parent.rglob("*escaped*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize(
    "link", ["/etc/hostname", "../../../../../../../../etc/hostname", "initrd.gz/..", "missing", ""]
)
def test_a_link_that_leaves_the_medium_leads_nowhere(site, kind, link):
    members = (member(KERNEL, kind=kind, link=link), member(INITRD, b"initrd"))
    said = site.run(hostile(site.media / "a.tar", *members))
    assert said.status == 1
    assert "no system that is known" in said.err
    assert site.contents() == {}


def test_links_in_a_circle_lead_nowhere(site):
    members = (
        member(KERNEL, kind=tarfile.SYMTYPE, link="other"),
        member("debian-installer/amd64/other", kind=tarfile.SYMTYPE, link="linux"),
        member("debian-installer/amd64/loop", kind=tarfile.SYMTYPE, link="loop/loop"),
        member(INITRD, kind=tarfile.SYMTYPE, link="loop/x"),
    )
    assert site.run(hostile(site.media / "a.tar", *members)).status == 1


def test_a_link_on_the_medium_stands_for_its_file(site):
    members = (
        member("real/linux", b"kernel"),
        member("real/initrd.gz", b"initrd"),
        member("debian-installer/amd64", kind=tarfile.SYMTYPE, link="../real"),
        member(KERNEL, kind=tarfile.LNKTYPE, link="real/linux"),
        member("debian-installer/amd64/initrd.gz", kind=tarfile.LNKTYPE, link="./real/initrd.gz"),
    )
    assert site.run(hostile(site.media / "a.tar", *members), "--name", "d").status == 0
    assert site.contents() == {"images/d/linux": b"kernel", "images/d/initrd.gz": b"initrd"}
    assert not any(path.is_symlink() for path in site.files.rglob("*"))


def test_a_folder_that_is_a_link_is_never_written_through(site):
    outside = site.media / "outside"
    outside.mkdir()
    members = (
        member("images/pxeboot/vmlinuz", b"kernel"),
        member("images/pxeboot/initrd.img", b"initrd"),
        member("repodata/repomd.xml", b"<repomd/>"),
        member("Packages", kind=tarfile.SYMTYPE, link=str(outside)),
        member("Packages/evil.rpm", b"evil"),
    )
    said = site.run(hostile(site.media / "a.tar", *members), "--name", "r")
    assert list(outside.iterdir()) == []
    assert said.status == 0
    assert site.contents()["images/r/Packages/evil.rpm"] == b"evil"


def test_a_file_that_is_also_a_folder_is_refused(site):
    members = (
        member("images/pxeboot/vmlinuz", b"kernel"),
        member("images/pxeboot/initrd.img", b"initrd"),
        member("repodata/repomd.xml", b"<repomd/>"),
        member("repodata/repomd.xml/below", b"x"),
    )
    said = site.run(hostile(site.media / "a.tar", *members), "--name", "r")
    assert said.status == 1
    assert "a file and a folder at once" in said.err
    assert list(site.files.iterdir()) == []


def test_links_in_a_folder_that_lead_out_of_it_are_not_followed(site):
    (site.media / "secret").write_text("secret")
    folder = media.tree(site.media / "d", {INITRD: "initrd"})
    (folder / KERNEL).symlink_to("../../../secret")
    assert site.run(folder).status == 1
    (folder / KERNEL).unlink()
    os.mkfifo(folder / KERNEL)
    assert site.run(folder).status == 1
    assert site.contents() == {}


def test_a_size_beyond_the_end_of_the_archive_is_refused(site):
    members = (member(INITRD, b"initrd"), member(KERNEL, b"kernel", size=1 << 50))
    said = site.run(hostile(site.media / "a.tar", *members))
    assert said.status == 1
    assert "cannot be read: Truncated" in said.err
    assert list(site.files.iterdir()) == []


def test_a_sparse_file_of_an_exabyte_does_not_fill_the_disk(site):
    info, _ = member(KERNEL, b"")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(1 << 60),
        "GNU.sparse.map": "0,0",
    }
    said = site.run(hostile(site.media / "a.tar", member(INITRD, b"initrd"), (info, b"")))
    assert said.status == 1
    assert "are needed; nothing was copied" in said.err
    assert list(site.files.iterdir()) == []


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz", "a.iso", "a.deb"])
def test_a_medium_that_is_cut_off_leaves_nothing(site, name, share):
    files = {KERNEL: os.urandom(300_000), INITRD: os.urandom(300_000)}
    content = media.tree(site.media / "content", files)
    if name.endswith(".iso"):
        medium = media.iso(site.media / name, content)
    elif name.endswith(".deb"):
        medium = media.deb(site.media / name, files)
    else:
        medium = media.tar(site.media / name, content)
    os.truncate(medium, int(medium.stat().st_size * share))
    said = site.run(medium)
    assert said.status == 1
    assert said.err.startswith("netbootd: ")
    assert list(site.files.iterdir()) == []


def test_an_iso_that_is_cut_off_says_by_how_much(site):
    content = media.tree(site.media / "content", {"live/vmlinuz": os.urandom(500_000)})
    medium = media.iso(site.media / "a.iso", content)
    whole = medium.stat().st_size
    os.truncate(medium, 400_000)
    assert f"it has 400000 of {whole}" in site.run(medium).err.replace(" bytes", "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100_000,
        b"#!/bin/sh\necho hello\n",
        b"\x7fELF" + bytes(1000),
        b"!<arch>\n" + b"garbage" * 100,
        b"!<arch>\ndebian-binary   0           0     0     100644  -9        `\n2.0\n",
        b"PK\x03\x04" + bytes(100),
        gzip.compress(b"a log line\n" * 100, mtime=0),
        b"\x1f\x8b" + b"\xff" * 1000,
        b"\xfd7zXZ\x00" + b"\xff" * 1000,
        b"#mtree\n./linux type=file content=/etc/hostname\n",
        bytes(0x8001) + b"CD001" + bytes(10),
        bytes(0x8001) + b"CD001" + b"\xff" * 20_000,
    ],
    ids=lambda data: f"{data[:8]!r}-{len(data)}",
)
def test_what_is_no_medium_is_refused_in_one_line(site, data):
    file = site.media / "file"
    file.write_bytes(data)
    said = site.run(file)
    assert said.status == 1
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert list(site.files.iterdir()) == []


def test_a_missing_medium_and_a_device_are_refused(site):
    assert "No such file" in site.run(site.media / "missing").err
    assert "neither a file nor a folder" in site.run("/dev/null").err


def test_a_medium_whose_name_is_hostile_stays_on_its_line(site):
    content = media.tree(site.media / "content", media.DEBIAN_NETBOOT)
    medium = media.tar(site.media / "a.tar", content)
    odd = medium.rename(site.media / 'x\n{ "machines" : {} }.tar')
    said = site.run("--write", odd)
    assert said.status == 0
    assert said.out.splitlines()[0].startswith("# Proposed")
    assert [line for line in said.out.splitlines() if line.startswith("{")] == ["{"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-x", "a b", "a" * 65, "ä"])
def test_a_name_that_is_no_folders_name_is_refused(site, name):
    said = site.run(f"--name={name}", site.media)
    assert said.status == 2
    assert "is no name" in said.err
