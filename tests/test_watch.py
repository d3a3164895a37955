"""
What counts as a change of the configuration.

The events are the kernel's own, read at once by hand; the clock is a fake one.  At the end the same
is done with a real reactor in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from twisted.internet import inotify
from twisted.internet.inotify import INotifyError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher

from netbootd.watch import Watcher


class Room:
    """A folder, a Watcher, and the count of its calls."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "netbootd.json"
        self.config.write_text("{}")
        self.reactor = MemoryReactorClock()
        self.calls = 0
        self.watcher = None

    def watch(self, *paths, **settings):
        self.watcher = Watcher(self.reactor, paths or [self.config], self._called, **settings)

    def _called(self):
        self.calls += 1

    def hear(self):
        """Read what the kernel has to say by now."""
        for reader in self.reactor.getReaders():
            reader.doRead()

    def told(self, seconds=0.25):
        """How often we were called since last asked, once *seconds* have passed in silence."""
        self.hear()
        self.reactor.advance(seconds)
        self.hear()
        calls, self.calls = self.calls, 0
        return calls


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path)
    yield room
    if room.watcher is not None:
        room.watcher.close()
    assert not room.reactor.getReaders()
    assert not room.reactor.getDelayedCalls()


# --- a file --------------------------------------------------------------------------------------


def write_in_place(file):
    file.write_text('{"new": 1}')


def rename_over(file):
    new = file.with_name("netbootd.json.new")
    new.write_text('{"new": 1}')
    new.rename(file)


def as_vim_does(file):
    """With ``backupcopy=no``: probe, swap file, old one aside, new one, old one away."""
    probe = file.with_name("4913")
    probe.touch()
    probe.unlink()
    swap = file.with_name(f".{file.name}.swp")
    swap.write_text("b0VIM")
    backup = file.with_name(f"{file.name}~")
    file.rename(backup)
    file.write_text('{"new": 1}')
    swap.unlink()
    backup.unlink()


def delete(file):
    file.unlink()


def delete_and_recreate(file):
    file.unlink()
    file.write_text("{}")


def link_over(file):
    file.with_name("other").write_text('{"new": 1}')
    file.with_name("link").symlink_to("other")
    file.with_name("link").rename(file)


def hard_link(file):
    file.unlink()
    other = file.with_name("other")
    other.write_text('{"new": 1}')
    file.hardlink_to(other)


def write_the_same_at_the_same_time(file):
    """As two quick writes may: stat cannot tell them apart."""
    before = file.stat()
    file.write_text(file.read_text())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS = [
    write_in_place,
    rename_over,
    as_vim_does,
    delete,
    delete_and_recreate,
    link_over,
    hard_link,
    write_the_same_at_the_same_time,
]


@pytest.mark.parametrize("change", WAYS)
def test_a_changed_file_is_told_once(room, change):
    room.watch()
    change(room.config)
    assert room.told() == 1
    assert room.told() == 0


@pytest.mark.parametrize("change", WAYS)
def test_a_second_change_is_told_again(room, change):
    room.watch()
    for _ in range(2):
        change(room.config)
        assert room.told() == 1
        room.config.unlink(missing_ok=True)
        room.config.write_text("{}")
        assert room.told() == 1
        for rest in ("other", "link"):
            (room.folder / rest).unlink(missing_ok=True)


def test_a_file_that_was_missing_appears(room):
    room.config.unlink()
    room.watch()
    room.config.write_text("{}")
    assert room.told() == 1


def test_a_file_is_not_read_half_written(room):
    room.config.unlink()
    room.watch()
    with room.config.open("w") as writing:
        writing.write('{"half"')
        writing.flush()
        assert room.told(5) == 0
        writing.write(": 1}")
    assert room.told() == 1


@pytest.mark.parametrize(
    "name", ["other.json", ".netbootd.json.swp", "netbootd.json~", "#netbootd.json#", "4913"]
)
def test_another_file_of_the_folder_does_not_count(room, name):
    room.watch()
    for change in (write_in_place, delete):
        change(room.folder / name)
        assert room.told() == 0


def test_reading_does_not_count(room):
    room.watch()
    room.config.read_text()
    assert room.told() == 0


def test_a_file_that_becomes_readable_is_told(room):
    room.config.chmod(0)
    room.watch()
    room.config.chmod(0o644)
    assert room.told() == 1
    room.config.chmod(0o644)
    assert room.told() == 0


# --- time ----------------------------------------------------------------------------------------


def test_it_waits_for_events_to_settle(room):
    room.watch()
    for _ in range(2):
        write_in_place(room.config)
        assert room.told(0.15) == 0
    assert room.told(0.06) == 1


def test_events_that_never_cease_are_told_within_the_second(room):
    room.watch()
    told = []
    for step in range(1, 31):
        write_in_place(room.config)
        told += [step * 0.1] * room.told(0.1)
    assert told[0] <= 0.75
    assert max(b - a for a, b in pairwise(told)) <= 0.85


def test_the_delay_can_be_chosen(room):
    room.watch(delay=0.02)
    write_in_place(room.config)
    assert room.told(0.03) == 1


# --- folders -------------------------------------------------------------------------------------


@pytest.fixture
def drop_ins(room):
    folder = room.folder / "machines.d"
    folder.mkdir()
    (folder / "rack1.json").write_text("{}")
    return folder


def test_in_a_folder_the_names_count(room, drop_ins):
    room.watch(room.config, drop_ins)
    delete(drop_ins / "rack1.json")
    assert room.told() == 1
    (drop_ins / "rack2.json").write_text("{}")
    assert room.told() == 1
    (drop_ins / "rack2.json").rename(room.folder / "elsewhere")
    assert room.told() == 1
    (drop_ins / "rack3.json").symlink_to(room.folder / "elsewhere")
    assert room.told() == 1
    (drop_ins / "row").mkdir()
    assert room.told() == 1


def test_content_counts_where_the_file_is_given_too(room, drop_ins):
    room.watch(drop_ins, drop_ins / "rack1.json")
    for change in (write_in_place, rename_over, as_vim_does):
        change(drop_ins / "rack1.json")
        assert room.told() == 1


@pytest.mark.parametrize("polling", [False, True])
def test_our_own_log_beside_the_configuration_is_no_reason_to_reload(room, polling, monkeypatch):
    if polling:
        monkeypatch.setattr(inotify, "INotify", Refused)
    room.watch(room.config, room.folder)
    with (room.folder / "netbootd.log").open("w") as stream:
        stream.write("reloaded\n")
    assert sum(room.told() for _ in range(6)) == 1
    for _ in range(3):
        with (room.folder / "netbootd.log").open("a") as stream:
            stream.write("reloaded\n")
        room.watcher.update([room.config, room.folder])
        assert sum(room.told() for _ in range(6)) == 0


def test_a_new_drop_in_is_told_when_it_is_complete(room, drop_ins):
    room.watch(drop_ins)
    with (drop_ins / "rack2.json").open("w") as writing:
        writing.write('{"half"')
        writing.flush()
        assert room.told(5) == 0
    assert room.told() == 1


@pytest.mark.parametrize(
    "name", [".rack1.json.swp", "rack1.json~", "#rack1.json#", "4913", "rack1.json.dpkg-new"]
)
def test_what_editors_leave_in_a_folder_does_not_count(room, drop_ins, name):
    room.watch(drop_ins)
    (drop_ins / name).write_text("x")
    assert room.told() == 0
    (drop_ins / name).unlink()
    assert room.told() == 0


def test_a_file_named_counts_whatever_its_name(room, drop_ins):
    room.watch(drop_ins, drop_ins / ".hidden~")
    (drop_ins / ".hidden~").write_text("x")
    assert room.told() == 1


def test_a_folder_that_was_missing_appears(room):
    room.watch(room.folder / "a" / "machines.d")
    (room.folder / "a" / "machines.d").mkdir(parents=True)
    assert room.told() == 1
    (room.folder / "a" / "machines.d" / "rack1.json").write_text("{}")
    assert room.told() == 1
    assert room.told() == 0


def test_a_folder_may_vanish_and_return(room, drop_ins):
    room.watch(room.config, drop_ins, drop_ins / "rack1.json")
    for _ in range(3):
        shutil.rmtree(drop_ins)
        assert room.told() == 1
        drop_ins.mkdir()
        (drop_ins / "rack1.json").write_text("{}")
        assert room.told() >= 1
        room.told()
        write_in_place(drop_ins / "rack1.json")
        assert room.told() == 1
        write_in_place(room.config)
        assert room.told() == 1


def test_a_folder_may_be_replaced_between_two_looks(room, drop_ins):
    room.watch(drop_ins / "rack1.json")
    shutil.rmtree(drop_ins)
    drop_ins.mkdir()
    (drop_ins / "rack1.json").write_text("{}")
    assert room.told() == 1
    write_in_place(drop_ins / "rack1.json")
    assert room.told() == 1


def test_a_folder_may_be_moved_away_and_back(room, drop_ins):
    room.watch(drop_ins / "rack1.json")
    drop_ins.rename(room.folder / "aside")
    assert room.told() == 1
    write_in_place(room.folder / "aside" / "rack1.json")
    assert room.told() == 0
    (room.folder / "aside").rename(drop_ins)
    assert room.told() == 1


def test_another_folder_may_take_the_place_of_one_moved_away(room, drop_ins):
    room.watch(drop_ins / "rack1.json")
    shutil.copytree(drop_ins, room.folder / "next")
    drop_ins.rename(room.folder / "aside")
    (room.folder / "next").rename(drop_ins)
    assert room.told() == 1
    write_in_place(drop_ins / "rack1.json")
    assert room.told() == 1
    write_in_place(room.folder / "aside" / "rack1.json")
    assert room.told() == 0


# --- links ---------------------------------------------------------------------------------------


def test_behind_a_link_both_the_link_and_the_file_count(room, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("one", "two"):
        (elsewhere / name).write_text(name)
    link = room.folder / "link.json"
    link.symlink_to(elsewhere / "one")
    room.watch(link)
    write_in_place(elsewhere / "one")
    assert room.told() == 1
    link.unlink()
    link.symlink_to(elsewhere / "two")
    assert room.told() == 1
    write_in_place(elsewhere / "one")
    assert room.told() == 0
    rename_over(elsewhere / "two")
    assert room.told() == 1


def test_a_linked_folder_on_the_way_counts(room, drop_ins):
    (room.folder / "current").symlink_to("machines.d")
    room.watch(room.folder / "current" / "rack1.json")
    write_in_place(drop_ins / "rack1.json")
    assert room.told() == 1
    shutil.copytree(drop_ins, room.folder / "next")
    (room.folder / "swap").symlink_to("next")
    (room.folder / "swap").rename(room.folder / "current")
    assert room.told() == 1


@pytest.mark.parametrize("what", ["file", "folder"], ids=["file", "file and folder"])
def test_the_swap_of_a_kubernetes_volume_is_told(room, what):
    """A ConfigMap's files are links into ``..data``, itself a link that is replaced."""
    volume = room.folder / "volume"

    def publish(version):
        content = volume / f"..{version}"
        content.mkdir(parents=True)
        (content / "netbootd.json").write_text(f"{{}}  // {version}")
        (volume / "..data_tmp").symlink_to(content.name)
        (volume / "..data_tmp").rename(volume / "..data")

    publish("1")
    (volume / "netbootd.json").symlink_to("..data/netbootd.json")
    room.watch(volume / "netbootd.json", *([volume] if what == "folder" else []))
    for version in ("2", "3"):
        publish(version)
        assert room.told() == 1
        shutil.rmtree(volume / f"..{int(version) - 1}")
        assert room.told() == 0


def test_links_in_a_circle_harm_nobody(room):
    (room.folder / "a").symlink_to("b")
    (room.folder / "b").symlink_to("a")
    room.watch(room.folder / "a")
    (room.folder / "b").unlink()
    (room.folder / "b").write_text("{}")
    assert room.told() == 1


# --- other paths ---------------------------------------------------------------------------------


def test_other_paths_can_be_watched_instead(room, drop_ins):
    room.watch()
    room.watcher.update([drop_ins])
    write_in_place(room.config)
    assert room.told() == 0
    delete(drop_ins / "rack1.json")
    assert room.told() == 1


def test_an_update_does_not_lose_what_was_not_told_yet(room, drop_ins):
    room.watch()
    write_in_place(room.config)
    room.watcher.update([room.config, drop_ins])
    assert room.told() == 1


def test_a_change_while_the_last_one_is_loaded_is_told(room):
    room.watch()
    write_in_place(room.config)
    assert room.told() == 1
    room.config.write_text("while loading")
    room.watcher.update([room.config])
    assert room.told() == 1


def test_after_close_nobody_is_called(room):
    room.watch()
    write_in_place(room.config)
    room.hear()
    room.watcher.close()
    room.watcher.close()
    assert room.told(60) == 0


def test_no_descriptor_is_left(room, drop_ins):
    before = sorted(os.listdir("/proc/self/fd"))
    room.watch(room.config, drop_ins)
    shutil.rmtree(drop_ins)
    assert room.told() == 1
    room.watcher.update([room.config])
    room.watcher.close()
    assert sorted(os.listdir("/proc/self/fd")) == before


# --- trouble -------------------------------------------------------------------------------------


@pytest.fixture
def warnings():
    heard = []

    def observe(event):
        if event.get("log_level") is not None and event["log_level"].name in ("warn", "critical"):
            heard.append(event)

    globalLogPublisher.addObserver(observe)
    yield heard
    globalLogPublisher.removeObserver(observe)


class Refused:
    """What inotify_init(2) says at the limit."""

    def __init__(self, reactor):
        raise INotifyError("INotify initialization error.")


def refused_watch(*args, **settings):
    """What inotify_add_watch(2) says at the limit."""
    raise INotifyError("Failed to add watch")


@pytest.fixture(params=["no instance", "no watch"])
def limits(request, monkeypatch):
    if request.param == "no instance":
        monkeypatch.setattr(inotify, "INotify", Refused)
    else:
        monkeypatch.setattr(inotify.INotify, "watch", refused_watch)


def test_without_inotify_it_looks_every_second(room, limits, warnings):
    room.watch()
    assert len(warnings) == 1
    for change in (write_in_place, rename_over, delete):
        change(room.config)
        assert sum(room.told(0.25) for _ in range(5)) == 1
    assert sum(room.told(0.25) for _ in range(9)) == 0
    assert len(warnings) == 1


def test_inotify_is_used_again_when_there_is_room(room, warnings, monkeypatch):
    with monkeypatch.context() as limited:
        limited.setattr(inotify, "INotify", Refused)
        room.watch()
    room.watcher.update([room.config])
    write_in_place(room.config)
    assert room.told() == 1


def test_what_inotify_does_not_hear_is_found_by_a_look(room):
    """As on a network file system, changed by another host."""
    room.watch()
    before = room.config.stat()
    write_in_place(room.config)
    for reader in room.reactor.getReaders():
        os.read(reader.fileno(), 65536)
    assert before.st_size != room.config.stat().st_size
    assert sum(room.told(0.25) for _ in range(4 * 31)) == 1


def test_a_failing_listener_is_called_again(room, warnings):
    calls = []

    def fail():
        calls.append(1)
        raise RuntimeError("a bug of the caller")

    room.watcher = Watcher(room.reactor, [room.config], fail)
    for expected in (1, 2):
        write_in_place(room.config)
        room.told()
        assert len(calls) == expected
        assert len(warnings) == expected


# --- a real reactor ------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol
from netbootd.watch import Watcher

class UntilClosed(Protocol):
    def connectionLost(self, reason):
        watcher.close()
        reactor.stop()

watcher = Watcher(reactor, map(Path, sys.argv[1:]), lambda: print("changed", flush=True))
stdio.StandardIO(UntilClosed())
print("watching", flush=True)
reactor.run()
"""


@pytest.mark.slow
def test_a_real_reactor_tells_of_each_way_within_a_second(tmp_path):
    config = tmp_path / "netbootd.json"
    config.write_text("{}")
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    impatience = threading.Timer(30, process.kill)
    impatience.start()
    try:
        assert process.stdout.readline() == "watching\n"
        for change in (write_in_place, as_vim_does, rename_over, delete_and_recreate):
            change(config)
            begun = time.monotonic()
            assert process.stdout.readline() == "changed\n", change
            assert time.monotonic() - begun < 1, change
        rest, _ = process.communicate(timeout=10)
        assert (rest, process.returncode) == ("", 0)
    finally:
        impatience.cancel()
        process.kill()
        process.wait()


# --- what we write ourselves ----------------------------------------------------------------------


def put(file, text):
    """As drop-ins are written: a hidden file that gets the name."""
    new = file.with_name(f".new-{file.name}")
    new.write_text(text)
    new.rename(file)


@pytest.mark.parametrize("events_come_first", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
def test_what_we_are_about_to_read_is_not_told(room, is_new, events_come_first):
    folder = room.folder / "machines.d"
    folder.mkdir()
    ours = folder / "managed-a.json"
    if not is_new:
        ours.write_text("{}")
    room.watch(room.config, folder, *([] if is_new else [ours]))
    put(ours, '{"new": 1}')
    if events_come_first:
        room.hear()
    room.watcher.about_to_read([ours])
    room.hear()
    room.watcher.update([room.config, folder, ours])
    assert room.told() == 0
    assert room.told(31) == 0


def test_what_is_changed_by_hand_after_that_is_told(room):
    folder = room.folder / "machines.d"
    folder.mkdir()
    ours = folder / "managed-a.json"
    room.watch(room.config, folder)
    put(ours, '{"new": 1}')
    room.watcher.about_to_read([ours])
    room.watcher.update([room.config, folder, ours])
    assert room.told() == 0
    put(ours, '{"new": 2}')
    assert room.told() == 1
    (folder / "other.json").write_text("{}")
    assert room.told() == 1


def test_what_is_changed_by_hand_while_we_read_is_told(room):
    folder = room.folder / "machines.d"
    folder.mkdir()
    room.watch(room.config, folder)
    put(folder / "managed-a.json", "{}")
    room.watcher.about_to_read([folder / "managed-a.json"])
    room.config.write_text('{"by": "hand"}')
    room.watcher.update([room.config, folder, folder / "managed-a.json"])
    assert room.told() == 1
