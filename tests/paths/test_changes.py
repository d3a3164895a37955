"""
Files that change while they are sent, by real clients, the real daemon and a real disk: what
arrives as a whole is the file as it was when it was asked for, or the client has an error.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netbootd.content import Library
from netbootd.errors import Changed, Shortened
from tests.end_to_end.lab import BOOT_SERVER
from tests.http.serving import serving
from tests.paths.conftest import Site

MIB = 1 << 20
BEFORE = random.Random(1).randbytes(24 * MIB)
AFTER = random.Random(2).randbytes(24 * MIB)


def overwrite(file: Path) -> None:
    """In place, as ``dd conv=notrunc`` and ``rsync --inplace`` do; the same size."""
    with file.open("r+b") as opened:
        opened.write(AFTER[: file.stat().st_size])


def overwrite_and_set_back(file: Path) -> None:
    """As one who restores the file's time does."""
    times = file.stat()
    overwrite(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def overwrite_the_end(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-1000, os.SEEK_END)
        opened.write(bytes(1000))


def rewrite(file: Path) -> None:
    """As ``cp`` does: cut to nothing, and written anew."""
    file.write_bytes(AFTER[: file.stat().st_size])


def grow(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"more")


def shrink(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1000)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def replace(file: Path) -> None:
    new = file.with_name("new")
    new.write_bytes(AFTER[: file.stat().st_size])
    new.replace(file)


def remove(file: Path) -> None:
    file.unlink()


def move_away(file: Path) -> None:
    file.rename(file.with_name("old"))


def allow(file: Path) -> None:
    file.chmod(0o640)


SPOILS = [overwrite, overwrite_and_set_back, overwrite_the_end, rewrite, grow, shrink, empty]
LEAVES = [replace, remove, move_away, allow]


# -- one file that was opened ----------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path):
    (tmp_path / "file").write_bytes(BEFORE[:MIB])
    with contextlib.closing(Library(tmp_path).lookup("file")) as content:
        assert content.read(0, 100) == BEFORE[:100]
        yield content, tmp_path / "file"


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_was_written_to_gives_no_byte_more(opened, spoil):
    content, file = opened
    spoil(file)
    with pytest.raises(Changed):
        content.read(0, 100)
    with pytest.raises(Changed):
        content.read_into([memoryview(bytearray(100))], 0)


@pytest.mark.parametrize("cut", [shrink, empty])
def test_what_was_cut_is_told_apart(opened, cut):
    content, file = opened
    cut(file)
    with pytest.raises(Shortened, match="the file has become shorter"):
        content.read(0, 100)


@pytest.mark.parametrize("leave", LEAVES)
def test_what_has_another_name_or_none_goes_on(opened, leave):
    content, file = opened
    leave(file)
    assert content.read(0, 2 * MIB) == BEFORE[:MIB]
    assert content.read(0, 2 * MIB) == BEFORE[:MIB]


@pytest.mark.parametrize("leave", LEAVES)
def test_what_was_written_to_after_that_is_noticed(opened, leave):
    content, file = opened
    with file.open("r+b") as writing:
        times = file.stat()
        leave(file)
        content.confirm()
        writing.write(b"other")
        writing.flush()
        os.utime(writing.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Changed):
        content.confirm()


def test_a_file_whose_time_was_set_back_has_another_etag(opened, tmp_path):
    content, file = opened
    overwrite_and_set_back(file)
    with contextlib.closing(Library(tmp_path).lookup("file")) as other:
        assert other.etag != content.etag


# -- in mid-transfer, real clients -----------------------------------------------------------------

CLIENTS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "curl": lambda into: (
        *("curl", "-sS", "--limit-rate", "30M", "-o", str(into)),
        f"http://{BOOT_SERVER}:3000/image",
    ),
    "curl, HTTPS": lambda into: (
        *("curl", "-sS", "-k", "--limit-rate", "30M", "-o", str(into)),
        f"https://{BOOT_SERVER}:3443/image",
    ),
    "curl, TFTP": lambda into: ("curl", "-sS", "-o", str(into), f"tftp://{BOOT_SERVER}/image"),
    "atftp, window 16": lambda into: (
        *("atftp", "--option", "windowsize 16", "--option", "blksize 512"),
        *("-g", "-r", "image", "-l", str(into), BOOT_SERVER),
    ),
    "tftp-hpa": lambda into: ("tftp", "-m", "binary", BOOT_SERVER, "-c", "get", "image", str(into)),
}


@pytest.mark.wire
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_back, rewrite, grow, shrink])
def test_a_client_notices(site, tmp_path, client, change):
    with fetching(site, tmp_path / "got", CLIENTS[client]) as (process, image):
        change(image)
        said, _ = process.communicate(timeout=60)
    assert process.returncode or b"Error code" in said
    got = (tmp_path / "got").read_bytes() if (tmp_path / "got").exists() else b""
    assert len(got) < len(BEFORE)


@pytest.mark.wire
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("change", [replace, remove, move_away])
def test_a_client_gets_the_file_as_it_was(site, tmp_path, client, change):
    with fetching(site, tmp_path / "got", CLIENTS[client]) as (process, image):
        change(image)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert b"Error code" not in said
    assert (tmp_path / "got").read_bytes() == BEFORE


@contextlib.contextmanager
def fetching(
    site: Site, into: Path, client: Callable[[Path], tuple[str, ...]]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A client that has begun to fetch a file of 24 MB, and has not all of it."""
    image = site.root / "image"
    image.write_bytes(BEFORE)
    argv = site.lab.inside("lan", *client(into))
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 20
        while not into.exists() or not into.stat().st_size:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
        assert into.stat().st_size < len(BEFORE)
        yield process, image
    finally:
        process.kill()
        process.wait()
        image.unlink(missing_ok=True)


# -- what has been lent to a connection ------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lent")
    (folder / "firmware").mkdir()
    (folder / "files").mkdir()
    with serving(folder) as server:
        yield server


def read_all(connection: socket.socket) -> bytes:
    """Up to the end, of whatever kind."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(MIB):
            received += piece
    return received


@pytest.mark.wire
@pytest.mark.fast_path("sendfile")
@pytest.mark.parametrize("kept", ["Connection: close\r\n", ""])
def test_what_changes_on_its_way_does_not_come_to_an_end(server, kept):
    """
    All of it fits into the connection's buffers: when the client begins to read, the daemon has
    long sent whatever it sends ahead.
    """
    (server.files / "lent").write_bytes(BEFORE[:MIB])
    with server.connect(receive_buffer=4096) as connection:
        connection.sendall(f"GET /lent HTTP/1.1\r\nHost: x\r\n{kept}\r\n".encode())
        connection.recv(1000, socket.MSG_PEEK)
        time.sleep(0.3)  # for what it sends ahead
        overwrite(server.files / "lent")
        received = read_all(connection)
    assert b"Content-Length: 1048576" in received
    assert len(received.partition(b"\r\n\r\n")[2]) < MIB
    assert server.event("served")["problem"] == "the file was written to while it was sent"


@pytest.mark.wire
def test_what_stays_comes_to_its_end_when_the_client_is_slow(server):
    (server.files / "slow").write_bytes(BEFORE[:MIB])
    with server.connect(receive_buffer=4096) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        connection.recv(1000, socket.MSG_PEEK)
        time.sleep(0.3)
        received = read_all(connection)
    assert received.partition(b"\r\n\r\n")[2] == BEFORE[:MIB]
    assert server.event("served")["sent"] == MIB


@pytest.mark.wire
def test_a_part_is_not_continued_with_another_file(server, tmp_path):
    """If-Range: the rest of the same file, or all of the new one (RFC 9110, 13.1.5)."""
    file = server.files / "part"
    file.write_bytes(BEFORE[:MIB])
    argv = ("curl", "-sS", "-m", "20", "-D", "-", "-o", str(tmp_path / "got"), server.url("part"))
    head = subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout.decode()
    (etag,) = [line.split(": ")[1] for line in head.splitlines() if line.startswith("ETag")]
    asked = ("-H", f"If-Range: {etag}", "-r", "1000-")
    for change, status in ((None, "206"), (overwrite_and_set_back, "200")):
        if change:
            change(file)
        head = subprocess.run((*argv, *asked), capture_output=True, check=True, timeout=30)
        assert head.stdout.decode().split()[1] == status
        whole = file.read_bytes()
        assert (tmp_path / "got").read_bytes() == (whole if change else whole[1000:])
