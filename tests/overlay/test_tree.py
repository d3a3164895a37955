"""An admin's folder, with everything that may be in one."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from netbootd.overlay import tree
from netbootd.overlay.tree import Fault
from netbootd.rendering import TextTemplate


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "overlays" / "base"
    folder.mkdir(parents=True)
    return folder


def put(folder: Path, path: str, content: str | bytes = "", mode: int = 0o644) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


def read(folder: Path) -> tuple[tree.Tree, list[Fault]]:
    faults: list[Fault] = []
    return tree.read(folder, faults), faults


def test_files_are_taken_as_they_are(overlay):
    put(overlay, "etc/motd", b"\xff\0 {{ not rendered }}", 0o600)

    found, faults = read(overlay)

    assert not faults
    assert found.name == "base"
    folder, file = found.items
    assert (folder.path, stat.S_ISDIR(folder.mode)) == ("etc", True)
    assert (file.path, file.content) == ("etc/motd", b"\xff\0 {{ not rendered }}")
    assert stat.S_IMODE(file.mode) == 0o600


def test_a_template_loses_its_ending_and_keeps_its_mode(overlay):
    put(overlay, "etc/hello.j2", "{{ hostname }}\n", 0o755)

    found, faults = read(overlay)

    assert not faults
    assert isinstance(found.items[1].content, TextTemplate)
    entry = found.items[1].entry({"hostname": "n1"})
    assert (entry.path, entry.body, entry.mode) == ("etc/hello", b"n1\n", 0o100755)


def test_what_is_put_into_lib_goes_to_usr(overlay):
    put(overlay, "lib/systemd/x")
    put(overlay, "usr/lib/y")

    found, faults = read(overlay)

    assert not faults
    assert {item.path for item in found.items} >= {"usr/lib", "usr/lib/systemd/x", "usr/lib/y"}
    assert len({item.path for item in found.items}) == len(found.items)


@pytest.mark.parametrize(
    "to", ["/etc/shadow", "motd", "../etc/motd", "../opt/x", "/../../etc/passwd", "sub/../motd"]
)
def test_a_link_into_the_root_of_the_machine_stays_one(overlay, to):
    (overlay / "etc").mkdir()
    (overlay / "etc/link").symlink_to(to)

    found, faults = read(overlay)

    assert not faults
    assert found.items[1].entry({}).body == to.encode()
    assert stat.S_ISLNK(found.items[1].mode)


@pytest.mark.parametrize("to", ["../../x", "../../base/etc/x", "..", "a/../../.."])
def test_a_link_that_leads_out_of_the_folder_is_a_fault(overlay, to):
    (overlay / "etc").mkdir()
    (overlay / "etc/link").symlink_to(f"{to}/secret" if to != ".." else "../..")

    _, faults = read(overlay)

    assert [(fault.code, fault.file) for fault in faults] == [
        ("overlay-leaves", overlay / "etc/link")
    ]


def test_what_a_link_names_on_the_server_is_never_read(overlay, tmp_path):
    secret = put(tmp_path, "secret/key", "SECRET")
    (overlay / "folder").symlink_to(secret.parent)
    (overlay / "file").symlink_to(secret)

    found, _ = read(overlay)

    assert all(b"SECRET" not in item.entry({}).body for item in found.items)
    assert not any("key" in item.path for item in found.items if item.path != "file")
    assert all(tmp_path / "secret" not in path.parents for path in found.read)


def test_a_link_in_place_of_the_folder_is_not_followed(overlay):
    put(overlay, "etc/x")
    other = overlay.with_name("other")
    other.symlink_to(overlay)

    with pytest.raises(NotADirectoryError):
        read(other)


def test_a_folder_that_is_not_there(overlay):
    with pytest.raises(FileNotFoundError):
        read(overlay / "nothing")


def test_devices_pipes_and_sockets_are_refused(overlay):
    os.mkfifo(overlay / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(overlay / "socket"))
        found, faults = read(overlay)

    assert {fault.file.name for fault in faults} == {"pipe", "socket"}
    assert not found.items


@pytest.mark.parametrize(
    "path", ["run/x", "proc/x", "dev/x", "sys/x", "var/run/x", ".netbootd/x", "run", "run.j2"]
)
def test_what_would_be_mounted_over_is_refused(overlay, path):
    put(overlay, path)

    found, faults = read(overlay)

    assert [fault.code for fault in faults] == ["overlay-path"]
    assert all(stat.S_ISDIR(item.mode) for item in found.items)


def test_a_name_that_only_begins_alike_is_taken(overlay):
    put(overlay, "runner/x")
    put(overlay, "opt/run/x")

    assert not read(overlay)[1]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[0m"])
def test_a_name_with_control_characters_is_refused(overlay, name):
    put(overlay, name)

    assert [fault.code for fault in read(overlay)[1]] == ["overlay-path"]


def test_a_file_and_a_template_for_it_are_one_too_many(overlay):
    put(overlay, "etc/x", "1")
    put(overlay, "etc/x.j2", "2")

    assert [fault.code for fault in read(overlay)[1]] == ["overlay-path"]


def test_a_template_that_does_not_compile_is_a_fault_with_its_line(overlay):
    file = put(overlay, "etc/x.j2", "one\n{{ oops\n")

    (fault,) = read(overlay)[1]

    assert fault.code == "template-error"
    assert f"{file}:" in fault.text


def test_a_template_that_is_no_text_is_a_fault(overlay):
    put(overlay, "etc/x.j2", b"\xff\xfe")

    assert [fault.code for fault in read(overlay)[1]] == ["template-error"]


def test_more_than_the_most_is_a_fault_said_once(overlay, monkeypatch):
    monkeypatch.setattr(tree, "LARGEST", 1000)
    for number in range(5):
        put(overlay, f"file{number}", b"x" * 400)

    _, faults = read(overlay)

    assert [fault.code for fault in faults] == ["overlay-large"]


def test_exactly_the_most_is_taken(overlay, monkeypatch):
    monkeypatch.setattr(tree, "LARGEST", 1000)
    put(overlay, "file", b"x" * 1000)

    assert not read(overlay)[1]


def test_a_file_that_may_not_be_read_is_a_fault(overlay, monkeypatch):
    put(overlay, "etc/x")
    real = os.open

    def without_right(path, flags, *args, **keys):
        if path == "x":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *args, **keys)

    monkeypatch.setattr(os, "open", without_right)

    assert [(fault.code, fault.text) for fault in read(overlay)[1]] == [
        ("overlay-unreadable", "Permission denied")
    ]


def test_every_folder_and_file_read_is_named_for_the_watch(overlay):
    put(overlay, "etc/sub/x")

    found, _ = read(overlay)

    assert set(found.read) == {overlay, overlay / "etc", overlay / "etc/sub", overlay / "etc/sub/x"}
