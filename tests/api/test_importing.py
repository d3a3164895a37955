"""Many machines at once: all of them or none, whatever happens to the disk or to us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netbootd.api import batch
from netbootd.registry.load import load

from .rig import CONFIG

ROOT = Path(__file__).parents[2]
A, B, C = (f"52:54:00:12:34:0{n}" for n in (1, 2, 3))
LISTED = "52:54:00:12:34:56"
TABLE = f"mac,hostname,target\n{A},a,nfs/a\n{B},b,nfs/a\n{C},c,localboot/disk\n"


def test_all_of_a_table_is_served_when_the_answer_is_there(rig):
    done = rig.table(TABLE)
    assert (done.status, done.json) == (
        200,
        {"added": 3, "changed": 0, "unchanged": 0, "findings": []},
    )
    assert rig.machine("c")["target"] == "localboot/disk"
    assert len(rig.written()) == 3
    assert rig.reloads == 1


def test_a_dry_run_says_the_same_and_does_nothing(rig):
    done = rig.table(TABLE, "?dry_run=1")
    assert (done.status, done.json["added"]) == (200, 3)
    assert rig.written() == []
    assert rig.reloads == 0


def test_what_is_as_it_should_be_is_not_written_again(rig):
    rig.table(TABLE)
    before = {name: (rig.drop_ins / name).stat().st_mtime_ns for name in rig.written()}
    again = rig.table(TABLE.replace(",c,", ",cc,"))
    assert again.json == {"added": 0, "changed": 1, "unchanged": 2, "findings": []}
    after = {name: (rig.drop_ins / name).stat().st_mtime_ns for name in rig.written()}
    assert sum(before[name] != after[name] for name in before) == 1
    assert rig.table(TABLE.replace(",c,", ",cc,")).json["unchanged"] == 3


def test_columns_that_are_not_there_are_left_and_empty_cells_take_away(rig):
    done = rig.table(f"mac,hostname,rack\n{LISTED},,9\n")
    assert done.json["changed"] == 1
    assert rig.machine(LISTED)["written"] == {
        "type": "nfs",
        "name": "a",
        "group": "rack1",
        "rack": 9,
    }


def test_json_is_a_table_too(rig):
    raw = json.dumps([{"mac": A, "target": "nfs/a"}, {"mac": B, "target": "nfs/a"}])
    assert rig.table(raw, kind="application/json").json["added"] == 2


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (TABLE + "xx,x,nfs/a\n", "table-invalid"),
        (TABLE.replace("localboot/disk", "localboot/disc"), "refused"),
        ("nothing\n", "table-invalid"),
        ("", "no-body"),
    ],
)
@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_one_wrong_row_refuses_the_whole_table(rig, table, code, query):
    no = rig.table(table, query)
    assert no.code == code
    assert rig.written() == []
    assert rig.reloads == 0


def test_two_cards_of_one_machine_are_not_two_rows(make_rig):
    rig = make_rig(machines='"52:54:00:00:00:0a" : { "macs" : [ "52:54:00:00:00:0b" ] },')
    no = rig.table("mac,a,b\n52:54:00:00:00:0a,1,\n52:54:00:00:00:0b,,2\n")
    assert (no.status, no.code) == (422, "table-invalid")
    assert "52:54:00:00:00:0a and 52:54:00:00:00:0b" in no.message
    assert rig.written() == []


def test_findings_of_a_table_have_row_and_column(rig):
    no = rig.table(TABLE + "xx,x,nfs/a\n")
    (finding,) = no.json["error"]["findings"]
    assert (finding["file"], finding["line"], finding["column"]) == ("the table", 5, 1)
    assert "row 5, column 1" in no.message


def test_a_table_of_another_type_is_refused(rig):
    assert rig.table(TABLE, kind="application/vnd.ms-excel").status == 415


# -- the disk --------------------------------------------------------------------------------------


def fails_at(monkeypatch, name, times, problem):
    """The system call *name* fails when it is made that often, open(2) to write that is."""
    real, calls = getattr(os, name), []

    def call(*arguments, **options):
        if name != "open" or arguments[1] & os.O_CREAT:
            calls.append(arguments)
        if len(calls) == times:
            raise OSError(problem, os.strerror(problem))
        return real(*arguments, **options)

    monkeypatch.setattr(batch.os, name, call)


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_files_that_have_their_names_are_taken_back_when_another_fails(rig, times):
    rig.table(TABLE)
    before = {name: (rig.drop_ins / name).read_bytes() for name in rig.written()}
    with pytest.MonkeyPatch.context() as patch:
        fails_at(patch, "replace", times, 28)
        with pytest.raises(Exception, match="No space left"):
            _make(rig)
    assert {name: (rig.drop_ins / name).read_bytes() for name in rig.written()} == before


def _changes(rig):
    from netbootd.api.dropin import Author

    new = "52:54:00:12:34:04"
    rows = [(A, {"rack": 1}), (B, {"rack": 2}), (new, {"type": "nfs", "name": "a"})]
    changes, _, _ = rig.desk.editor.plan(rows, rig.live.snapshot)
    return changes, rig.live.snapshot, Author("me", "command", 0.0)


def _make(rig):
    return rig.desk.editor.make(*_changes(rig))


@pytest.mark.parametrize("call", ["open", "fsync", "link"])
def test_a_disk_that_fails_before_anything_is_decided_leaves_nothing(rig, call):
    rig.table(TABLE)
    before = {name: (rig.drop_ins / name).read_bytes() for name in rig.written()}
    with pytest.MonkeyPatch.context() as patch:
        fails_at(patch, call, 2, 5)
        with pytest.raises(Exception, match="Input/output"):
            _make(rig)
    assert {name: (rig.drop_ins / name).read_bytes() for name in rig.written()} == before


def test_a_file_that_is_changed_by_hand_meanwhile_is_not_overwritten(rig, monkeypatch):
    rig.table(TABLE)
    file = rig.drop_ins / "managed-52-54-00-12-34-02.json"
    load_as_ever = rig.desk.editor._load

    def slowly(pending):
        registry = load_as_ever(pending)
        file.write_text(file.read_text().replace('"b"', '"by hand"'))
        return registry

    monkeypatch.setattr(rig.desk.editor, "_load", slowly)
    no = rig.table(f"mac,rack\n{A},1\n{B},2\n")
    assert (no.status, no.code) == (409, "changed-meanwhile")
    assert "by hand" in file.read_text()
    assert "rack" not in (rig.drop_ins / "managed-52-54-00-12-34-01.json").read_text()
    assert len(rig.written()) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from netbootd.api import batch

folder, times = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
for name in ("replace", "unlink", "link", "open", "fsync"):
    def call(*arguments, real=getattr(os, name), **options):
        global calls
        calls += 1
        if calls == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(batch.os, name, call)
files = {"a.json": b"new a", "b.json": None, "c.json": b"new c"}
batch.write(folder, files, 0o644, {name: batch.stamp(folder / name) for name in files})
print("done")
"""


def test_who_is_killed_at_any_moment_has_written_all_or_nothing(tmp_path):
    old, new = {"a.json": b"old a", "b.json": b"old b"}, {"a.json": b"new a", "c.json": b"new c"}
    seen = set()
    for times in range(1, 200):
        folder = tmp_path / str(times)
        folder.mkdir()
        for name, content in old.items():
            (folder / name).write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder), str(times)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        batch.finish(folder)
        found = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert found in (old, new), f"killed at call {times}"
        seen.add("new" if found == new else "old")
        if done.returncode != -signal.SIGKILL:
            assert done.stdout == "done\n", done.stderr
            break
    else:
        pytest.fail("it never came to its end")
    assert seen == {"old", "new"}


# -- where it cannot be written --------------------------------------------------------------------

ASKING = """
import json, sys
from pathlib import Path
from netbootd.api.dropin import Author
from netbootd.api.edit import Editor
from netbootd.api.no import No
from netbootd.registry.load import load

main = Path(sys.argv[1])
editor = Editor(main, lambda pending: load(main, (), pending), lambda machines, registry: ())
rows = [(f"52:54:00:12:35:{n:02x}", {"type": "nfs", "name": "a", "note": "x" * 2000})
        for n in range(int(sys.argv[2]))]
before = load(main)
changes, _, _ = editor.plan(rows, before)
try:
    editor.make(changes, before, Author("me", "command", 0.0))
    print("done")
except No as no:
    print(json.dumps([no.status, no.code, no.text]))
"""


def in_namespace(folder, setup, count):
    """What is answered where *setup*, a line of shell, was run in a mount namespace before."""
    script = f'{setup}\nexec "$0" -c "$1" "$2" {count}'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, sys.executable, ASKING, str(folder / "c.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def configured(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG % ("", ""))
    (tmp_path / "machines.d").mkdir()
    return tmp_path


@pytest.mark.wire
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_full_disk_is_told_and_nothing_is_left_on_it(configured):
    setup = f"""
        mount -t tmpfs -o size=96k none {configured}/machines.d
        trap 'ls -A {configured}/machines.d' EXIT
        run() {{ "$@"; }}
    """
    script = setup + 'run "$0" -c "$1" "$2" 40; run "$0" -c "$1" "$2" 3'
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-ec",
            script,
            sys.executable,
            ASKING,
            str(configured / "c.json"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    first, second, *left = done.stdout.splitlines()
    status, code, text = json.loads(first)
    assert (status, code) == (507, "disk-full")
    assert "nothing was changed" in text
    assert second == "done", "there must be room again for a few"
    assert len(left) == 3


@pytest.mark.wire
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_folder_that_may_not_be_written_is_told_with_what_to_do(configured):
    setup = f"mount --bind -o ro {configured}/machines.d {configured}/machines.d"
    done = in_namespace(configured, setup, 2)
    status, code, text = json.loads(done.stdout)
    assert (status, code) == (503, "not-writable")
    assert f"install -d -g netbootd -m 2775 {configured}/machines.d" in text
    assert f"ReadWritePaths=-{configured}/machines.d" in text


def test_what_was_left_of_a_batch_is_no_drop_in(configured):
    for name in (".netbootd-new-managed-x.json", ".netbootd-old-managed-x.json", ".netbootd-batch"):
        (configured / "machines.d" / name).write_text("{ half")
    load(configured / "c.json")
    batch.finish(configured / "machines.d")
    assert list((configured / "machines.d").iterdir()) == []
