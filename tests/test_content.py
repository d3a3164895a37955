"""Paths from clients: what is served, and what never is."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd import content
from netbootd.content import Library
from netbootd.errors import Forbidden, NotFound
from netbootd.programs import find_programs


@pytest.fixture
def library(tmp_path):
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    (root / "images" / "vmlinuz").write_bytes(b"kernel")
    (root / "inside").symlink_to("images/vmlinuz")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-and-more").mkdir()
    (tmp_path / "root-and-more" / "file").write_bytes(b"neighbour")
    firmware = tmp_path / "firmware"
    firmware.mkdir()
    (firmware / "undionly.kpxe").write_bytes(b"loader")
    (firmware / "private.key").write_bytes(b"secret")
    return Library(root, find_programs(root, [firmware]))


def read(library, path):
    found = library.lookup(path)
    try:
        return found.read(0, 100)
    finally:
        found.close()


@pytest.mark.parametrize(
    "path",
    [
        "images/vmlinuz",
        "/images/vmlinuz",
        "//images//vmlinuz",
        "\\images\\vmlinuz",
        "./images/./vmlinuz",
        "inside",
    ],
)
def test_a_file_is_found_by_every_spelling(library, path):
    assert read(library, path) == b"kernel"


@pytest.mark.parametrize("path", ["undionly.kpxe", "/undionly.kpxe", "undionly.ipxe"])
def test_a_loader_is_found_by_name_and_alias(library, path):
    assert read(library, path) == b"loader"


def test_a_firmware_folder_serves_nothing_but_loaders(library):
    with pytest.raises(NotFound):
        library.lookup("private.key")


def test_the_file_root_comes_before_the_firmware_folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "memdisk").write_bytes(name.encode())
    library = Library(tmp_path / "a", find_programs(tmp_path / "a", [tmp_path / "b"]))
    assert read(library, "memdisk") == b"a"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "images/../../secret",
        "..\\secret",
        "images/..",
        "outside",
        "up/secret",
        "up/root-and-more/file",
        "fifo",
        "images",
        "a\x00b",
        "a\nb",
        "x" * 300,
        "x/" * 600,
    ],
)
def test_nothing_but_regular_files_below_the_root(library, path):
    with pytest.raises(Forbidden):
        library.lookup(path)


@pytest.mark.parametrize("path", ["", "/", "missing", "images/vmlinuz/x", "%2e%2e/secret"])
def test_what_is_not_there_is_not_found(library, path):
    with pytest.raises(NotFound):
        library.lookup(path)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE])
def test_trouble_that_may_pass_is_no_refusal(library, monkeypatch, number):
    def trouble(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", trouble)
    with pytest.raises(OSError, match=os.strerror(number)):
        library.lookup("images/vmlinuz")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO])
def test_what_is_not_ours_to_open_is_forbidden(library, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Forbidden):
        library.lookup("images/vmlinuz")


def test_a_loader_is_not_hashed_again_for_each_client(library, monkeypatch):
    known = library.program("undionly.kpxe").sha256[:32]
    monkeypatch.delattr(content, "hashlib")
    assert library.lookup("undionly.kpxe").etag == known


@given(st.text(max_size=80))
def test_any_text_is_found_or_refused(text):
    try:
        parts = content.parts_of(text)
    except Forbidden:
        return
    assert ".." not in parts
    assert all("/" not in part and "\\" not in part for part in parts)


def test_a_file_replaced_while_open_keeps_its_bytes(library):
    found = library.lookup("images/vmlinuz")
    new = library.root / "images" / "new"
    new.write_bytes(b"other!")
    new.rename(library.root / "images" / "vmlinuz")
    assert found.read(0, 100) == b"kernel"
    found.close()
    assert read(library, "images/vmlinuz") == b"other!"


def test_the_etag_changes_with_the_file(library):
    before = library.lookup("images/vmlinuz")
    os.utime(library.root / "images" / "vmlinuz", ns=(1, 1))
    after = library.lookup("images/vmlinuz")
    assert before.etag != after.etag
    before.close()
    after.close()


# -- templates -------------------------------------------------------------------------------------


@pytest.fixture
def templates(library):
    root = library.root
    (root / "a.j2").write_bytes(b"secret")
    (root / "link").symlink_to("a.j2")
    (root / "folder.j2").mkdir()
    (root / "folder.j2" / "file").write_bytes(b"no secret")
    (root / "out.j2").symlink_to("/etc/passwd")
    return library


@pytest.mark.parametrize(
    "path", ["a.j2", "/a.j2", "//a.j2/", ".\\a.j2", "link", "./link", "none.j2"]
)
def test_a_templates_own_text_is_not_found(templates, path):
    with pytest.raises(NotFound):
        templates.lookup(path)


def test_a_folder_may_be_called_like_a_template(templates):
    assert read(templates, "folder.j2/file") == b"no secret"


def test_a_template_is_opened_for_rendering_alone(templates):
    content = templates.template("a.j2")
    assert content.read(0, 100) == b"secret"
    content.close()
    with pytest.raises(Forbidden):
        templates.template("out.j2")
    with pytest.raises(Forbidden):
        templates.template("../secret")


def test_what_a_template_stands_for_is_known(templates):
    assert templates.renders("/a")
    assert not any(templates.renders(path) for path in ("b", "out", "folder", "../secret"))


def test_what_lies_below_the_root_is_known(templates, tmp_path):
    root = templates.root
    assert templates.holds(str(root / "images"))
    assert templates.holds(str(root / "inside"))
    assert not templates.holds(str(root / "outside"))
    assert not templates.holds(str(root))
    assert not templates.holds(str(tmp_path / "root-and-more" / "file"))
