"""The store: bytes in are bytes out, over a restart, and never half of them."""

from __future__ import annotations

import contextlib
import errno
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbootd.errors import Level
from netbootd.vms import store as storing
from netbootd.vms.store import Full, Store, read_folder
from netbootd.vms.strict import NotStrict
from netbootd.vms.vm import STORED, Vms, is_key, make

from .descriptions import IMAGE, texts


def always(_before):
    """The condition of somebody who does not mind."""


def vm(key="web", text=b'{"alias": "www"}'):
    return make(key, text, STORED)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "state" / "vms")
    assert made.read() == ()
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=texts)
def test_what_is_put_is_what_is_found_after_a_restart(tmp_path, text):
    folder = tmp_path / "vms"
    kept = Store(folder)
    kept.put(vm(text=text), always)
    again = Store(folder)
    assert again.read() == ()
    assert again.vms.get("web") == kept.vms.get("web")
    assert again.vms.get("web").text == text


def test_a_missing_folder_is_made_with_the_first_description(store):
    assert not store.folder.exists()
    assert store.put(vm(), always) is True
    assert store.put(vm(), always) is False
    assert os.listdir(store.folder) == ["web.json"]
    assert (store.folder / "web.json").stat().st_mode & 0o077 == 0


def test_a_removed_one_is_gone_after_a_restart_too(store):
    store.put(vm(), always)
    store.remove("web", always)
    assert len(store.vms) == 0
    again = Store(store.folder)
    again.read()
    assert len(again.vms) == 0


def test_what_the_condition_raises_leaves_everything_as_it_was(store):
    store.put(vm(), always)

    def never(before):
        assert before.text == b'{"alias": "www"}'
        raise LookupError

    with pytest.raises(LookupError):
        store.put(vm(text=b"{}"), never)
    with pytest.raises(LookupError):
        store.remove("web", never)
    assert store.vms.get("web").text == (store.folder / "web.json").read_bytes() == vm().text


def test_a_full_disk_leaves_everything_as_it_was(store, monkeypatch):
    store.put(vm(), always)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.put(vm(text=b'{"a": 1}'), always)
    assert os.listdir(store.folder) == ["web.json"]
    assert store.vms.get("web").text == (store.folder / "web.json").read_bytes() == vm().text


def test_what_a_crash_left_half_written_is_cleared_away(store):
    store.put(vm(), always)
    (store.folder / ".new-other").write_bytes(b'{"half')
    again = Store(store.folder)
    assert again.read() == ()
    assert os.listdir(store.folder) == ["web.json"]


def test_there_may_not_be_too_many(store, monkeypatch):
    monkeypatch.setattr(storing, "MOST", 1)
    store.put(vm("a"), always)
    store.put(vm("a", b"{}"), always)
    with pytest.raises(Full):
        store.put(vm("b"), always)
    store.put(vm("a"), always)


def test_of_many_writers_with_one_condition_one_succeeds(store):
    begin = threading.Barrier(8)
    kept = []

    def absent(before):
        if before is not None:
            raise LookupError

    def write(number):
        begin.wait()
        try:
            store.put(vm(text=b'{"n": %d}' % number), absent)
        except LookupError:
            return
        kept.append(b'{"n": %d}' % number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.vms.get("web").text] == kept == [(store.folder / "web.json").read_bytes()]


@pytest.mark.parametrize(
    ("name", "make_it", "words"),
    [
        ("bad.json", lambda path: path.write_bytes(b'{"a": 1,}'), "comma"),
        ("a b.json", lambda path: path.write_bytes(b"{}"), "no name"),
        ("big.json", lambda path: path.write_bytes(b'{"a": "%s"}' % (b"x" * (1 << 20))), "larger"),
        ("fifo.json", os.mkfifo, "regular"),
        ("folder.json", lambda path: path.mkdir(), "directory"),
        ("gone.json", lambda path: path.symlink_to("nowhere"), "No such file"),
    ],
)
def test_a_file_that_is_no_description_costs_only_itself(tmp_path, name, make_it, words):
    (tmp_path / "good.json").write_bytes(b"{}")
    make_it(tmp_path / name)
    found = read_folder(tmp_path, Level.RELOAD)
    assert [one.key for one in found.vms] == ["good"]
    (finding,) = found.findings
    assert finding.level is Level.RELOAD
    assert words in str(finding)
    assert name in finding.place.file
    assert str(tmp_path / name) in found.paths


def test_other_files_are_nothing_to_do_with_it(tmp_path):
    for name in (".hidden.json", "notes.txt", "web.json~", "web.json.swp"):
        (tmp_path / name).write_bytes(b"?")
    assert read_folder(tmp_path, Level.RELOAD).findings == ()
    assert read_folder(tmp_path / "missing", Level.RELOAD).vms == ()


@pytest.mark.parametrize("key", ["web", "web01.example.com", "A_b-c.1", IMAGE, "-", "_", "x" * 128])
def test_keys(key):
    assert is_key(key)


@pytest.mark.parametrize(
    "key", ["", ".", "..", ".x", "a/b", "a\\b", "a b", "a\0", "a\n", "ä", "x" * 129, "a%2fb", "~"]
)
def test_what_is_no_key(key):
    assert not is_key(key)
    with pytest.raises(AssertionError):
        Store(None)._file(key)


def test_a_description_is_found_by_key_then_uuid_then_alias():
    by_uuid = vm("one", b'{"uuid": "%s", "alias": "two"}' % IMAGE.encode())
    two = vm("two", b'{"alias": "both"}')
    three = vm("three", b'{"alias": "both", "uuid": 7}')
    vms = Vms([by_uuid, two, three])
    assert vms.find("one") is by_uuid
    assert vms.find(IMAGE) is by_uuid
    assert vms.find("two") is two
    assert vms.find("both") is None, "of two nobody can say which"
    assert vms.minus("two").find("two") is by_uuid
    assert vms.minus("two").find("both") is three
    assert vms.find("four") is None


def test_keys_that_stand_twice_are_told_of():
    (twice, *_) = vm(text=b'{"a": 1, "a": 2}').advice
    assert "stands twice" in twice.text
    assert not twice.refused


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_description_or_not(raw):
    with contextlib.suppress(NotStrict):
        assert make("x", raw, STORED).text == raw
