"""What may have the name of one of our SQLite files, or of what SQLite keeps beside it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from netbootd import sqlitefile
from netbootd.sqlitefile import NoDatabase, is_broken, set_aside, transaction

TABLES = """
CREATE TABLE IF NOT EXISTS one (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS two (number INTEGER NOT NULL);
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One of ours, with a row in it."""
    made = tmp_path / "state" / "book.sqlite"
    add(made, "first")
    return made


def connect(file: Path) -> sqlite3.Connection:
    return sqlitefile.connect(file, TABLES, 1)


def add(file: Path, key: str) -> None:
    with closing(connect(file)) as connection, transaction(connection):
        connection.execute("INSERT INTO one VALUES (?, '')", (key,))


def keys(file: Path) -> list[str]:
    with closing(connect(file)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM one ORDER BY key")]


def change(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("DROP TABLE two", "no table two"),
        ("DROP TABLE two; CREATE VIEW two AS SELECT 1 AS number", "no table two"),
        ("DROP TABLE one; CREATE TABLE one (a, b)", "table one has other columns"),
        ("ALTER TABLE one ADD COLUMN more TEXT", "table one has other columns"),
        ("DROP TABLE one; CREATE TABLE one (key TEXT, value TEXT)", "table one has other columns"),
        (
            "CREATE TRIGGER no BEFORE INSERT ON one BEGIN SELECT RAISE(ABORT, 'no'); END",
            "a trigger that is not ours, no",
        ),
        ("PRAGMA application_id = 0x47504B47", "another program's"),
        ("PRAGMA user_version = 99", "a newer netbootd"),
    ],
)
def test_what_is_none_of_ours_is_set_aside_and_begun_anew(file, script, why):
    change(file, script)
    with pytest.raises(NoDatabase, match=why) as raised:
        connect(file)
    assert is_broken(raised.value)
    broken = set_aside(file)
    add(file, "anew")
    assert keys(file) == ["anew"]
    with closing(sqlite3.connect(broken)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall()


def test_a_file_of_an_earlier_netbootd_had_no_application_id(file):
    change(file, "PRAGMA application_id = 0")
    assert keys(file) == ["first"]


def test_an_index_that_an_operator_has_made_does_no_harm(file):
    change(file, "CREATE INDEX mine ON one (value)")
    assert keys(file) == ["first"]


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("full", [False, True])
def test_a_folder_with_the_name_of_a_journal_makes_way(file, ending, full, caplog):
    for _ in range(2):
        folder = file.with_name(file.name + ending)
        folder.mkdir()
        if full:
            (folder / "something").write_text("")
        assert keys(file) == ["first"]
    add(file, "second")
    assert keys(file) == ["first", "second"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    aside = f"{file.name}{ending}.broken"
    assert told[0].endswith(f"{folder} is no file; it is {folder}.broken now")
    kept = {one.name for one in file.parent.iterdir() if aside in one.name}
    assert kept == ({aside, f"{aside}.2"} if full else {aside})


@pytest.mark.parametrize("full", [False, True])
def test_a_folder_in_the_place_of_the_file_itself(file, full):
    for number in range(3):
        file.unlink()
        file.mkdir()
        if full:
            (file / "something").write_text(str(number))
        with pytest.raises(NoDatabase, match="no file at all"):
            connect(file)
        set_aside(file)
        add(file, "anew")
    found = sorted(str(one.read_text()) for one in file.parent.glob("*.broken*/something"))
    assert found == (["0", "1", "2"] if full else [])


def as_user(work) -> None:
    """*work* in a process that is not root, whom no mode keeps out."""
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            work()
            os._exit(0)
        except BaseException as problem:
            print(repr(problem), flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def theirs():
    """The folder is the daemon's user's, the file root's: somebody has put a backup back."""
    if os.geteuid() != 0:
        pytest.skip("root alone can give files away")
    with tempfile.TemporaryDirectory() as folder:  # below pytest's own nobody else may look
        Path(folder).chmod(0o711)
        made = Path(folder, "state", "book.sqlite")
        add(made, "first")
        os.chown(made.parent, 65534, 65534)
        yield made


def test_a_file_that_may_only_be_read_is_replaced_by_a_copy(theirs):
    theirs.chmod(0o444)
    as_user(lambda: add(theirs, "second"))
    assert theirs.stat().st_uid == 65534
    assert keys(theirs) == ["first", "second"]


def test_a_file_that_may_neither_be_read_nor_written_is_set_aside(theirs):
    theirs.chmod(0o600)

    def work() -> None:
        with pytest.raises(NoDatabase, match="may not be written"):
            connect(theirs)
        set_aside(theirs)
        add(theirs, "anew")

    as_user(work)
    assert keys(theirs) == ["anew"]
    assert theirs.with_name("book.sqlite.broken").stat().st_uid == 0


def test_our_own_file_without_the_right_to_write_is_written_again(theirs):
    os.chown(theirs, 65534, 65534)
    theirs.chmod(0o400)
    as_user(lambda: add(theirs, "second"))
    assert keys(theirs) == ["first", "second"]


def test_what_was_set_aside_before_stays_and_the_last_of_five_is_given_up(file):
    for number in range(7):
        file.write_text(str(number))
        set_aside(file)
    kept = {one.name: one.read_text() for one in file.parent.glob("*.broken*")}
    assert kept == {
        f"{file.name}.broken{ending}": text
        for ending, text in (("", "0"), (".2", "1"), (".3", "2"), (".4", "3"), (".5", "6"))
    }
