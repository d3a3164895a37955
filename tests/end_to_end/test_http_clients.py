"""
Other people's HTTP clients against a real server on loopback: curl, wget, busybox wget.

And the crowds: many large bodies at once, thousands of idle connections.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.http.serving import MAC, fetch, length_of, read_head, serving

pytestmark = pytest.mark.wire

MIB = 1 << 20
BIG = 300 * MIB
PART = random.Random(7).randbytes(MIB)
IMAGE = random.Random(8).randbytes(40 * MIB + 12345)
TRUNCATED = 18  # curl's exit status for a body that ends early


def has(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    (folder / "files" / "images").mkdir(parents=True)
    (folder / "firmware").mkdir()
    (folder / "firmware" / "snponly.efi").write_bytes(PART)
    (folder / "files" / "images" / "initrd.img").write_bytes(IMAGE)
    (folder / "files" / "images" / "a b%c").write_bytes(b"odd name")
    with open(folder / "files" / "big", "wb") as big:
        for _ in range(BIG // MIB):
            big.write(PART)
    with serving(folder) as server:
        yield server


def run(*command, check=True):
    return subprocess.run(command, capture_output=True, check=check, timeout=120)


def curl(*arguments, check=True):
    return run("curl", "-sS", "--max-time", "60", *arguments, check=check)


def digest(data):
    return hashlib.sha256(data).hexdigest()


# -- single clients --------------------------------------------------------------------------------


@has("curl")
@pytest.mark.parametrize(
    "extra", [(), ("--http1.0",), ("--no-keepalive", "-H", "Connection: close")]
)
def test_curl_gets_the_same_bytes(server, extra):
    got = curl(*extra, server.url("images/initrd.img")).stdout
    assert digest(got) == digest(IMAGE)


@has("curl")
def test_curl_head_has_the_headers_of_get(server, tmp_path):
    def headers(*arguments):
        text = curl("-D", "-", "-o", str(tmp_path / "body"), *arguments).stdout.decode()
        return [line for line in text.splitlines() if not line.startswith("Date")]

    for path in ("images/initrd.img", MAC, "", "snponly.efi", "status", "none"):
        assert headers("-I", server.url(path)) == headers(server.url(path)), path


@has("curl")
def test_curl_ranges_and_resumes(server, tmp_path):
    url = server.url("images/initrd.img")
    assert curl("-r", "100-299", url).stdout == IMAGE[100:300]
    assert curl("-r", "-70000", url).stdout == IMAGE[-70000:]
    begun = tmp_path / "image"
    begun.write_bytes(IMAGE[: 10 * MIB])
    curl("-C", "-", "-o", str(begun), url)
    assert digest(begun.read_bytes()) == digest(IMAGE)
    assert (
        curl("-r", f"{len(IMAGE)}-", "-w", "%{http_code}", "-o", "/dev/null", url).stdout == b"416"
    )


@has("curl")
def test_curl_conditions(server):
    url = server.url("images/initrd.img")
    etag = re.search(rb'ETag: (".*?")', curl("-I", url).stdout)[1].decode()
    code = ("-o", "/dev/null", "-w", "%{http_code}", url)
    assert curl("-H", f"If-None-Match: {etag}", *code).stdout == b"304"
    assert curl("-H", f"If-Match: {etag}", *code).stdout == b"200"
    assert curl("-H", 'If-Match: "other"', *code).stdout == b"412"
    assert curl("-z", "Fri, 01 Jan 2100 00:00:00 GMT", *code).stdout == b"304"
    assert curl("-z", "Mon, 01 Jan 2001 00:00:00 GMT", *code).stdout == b"200"


@has("curl")
def test_curl_keeps_one_connection_for_a_whole_boot(server):
    paths = ("", MAC, "images/initrd.img", "snponly.efi", "images/initrd.img", MAC)
    urls = [part for path in paths for part in ("-o", "/dev/null", server.url(path))]
    assert curl("-w", "%{num_connects}", *urls).stdout == b"100000"


@has("curl")
def test_curl_sends_odd_names_and_gets_no_redirects(server):
    assert curl(server.url("images/a%20b%25c")).stdout == b"odd name"
    for path in ("boot/", "images/initrd.img/", f"{MAC}/", "//boot"):
        told = curl(
            "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", server.url(path)
        ).stdout
        assert told == b"200 "


@has("curl")
@pytest.mark.parametrize(
    "path", ["../c.json", "%2e%2e/c.json", "..%5cc.json", "images/../../c.json"]
)
def test_curl_cannot_leave_the_root(server, path):
    told = curl("--path-as-is", "-w", "%{http_code}", server.url(path)).stdout
    assert told.endswith(b"403")


@has("wget")
def test_wget_gets_the_same_bytes_and_continues(server, tmp_path):
    url = server.url("images/initrd.img")
    run("wget", "-q", "-O", str(tmp_path / "whole"), url)
    assert digest((tmp_path / "whole").read_bytes()) == digest(IMAGE)
    (tmp_path / "initrd.img").write_bytes(IMAGE[:MIB])
    run("wget", "-q", "-c", "-P", str(tmp_path), url)
    assert digest((tmp_path / "initrd.img").read_bytes()) == digest(IMAGE)
    assert run("wget", "-q", "-O", "-", server.url("none"), check=False).returncode == 8


@has("busybox")
def test_busybox_wget_gets_the_same_bytes_and_continues(server, tmp_path):
    url = server.url("images/initrd.img")
    part = tmp_path / "image"
    run("busybox", "wget", "-q", "-O", str(part), url)
    assert digest(part.read_bytes()) == digest(IMAGE)
    os.truncate(part, MIB)
    run("busybox", "wget", "-q", "-c", "-O", str(part), url)
    assert digest(part.read_bytes()) == digest(IMAGE)


# -- what goes wrong in the middle -----------------------------------------------------------------


def comes(file):
    """Wait until the first of it is there."""
    deadline = time.monotonic() + 30
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline, "nothing comes"
        time.sleep(0.02)


@has("curl")
def test_a_file_cut_short_in_mid_transfer_is_an_error_for_curl(server, tmp_path):
    file = server.files / "shrinking"
    file.write_bytes(IMAGE)
    process = subprocess.Popen(
        ["curl", "-sS", "--limit-rate", "4M", "-o", str(tmp_path / "got"), server.url("shrinking")],
        stderr=subprocess.PIPE,
    )
    comes(tmp_path / "got")
    os.truncate(file, MIB)
    process.communicate(timeout=60)
    assert process.returncode == TRUNCATED


@has("curl")
def test_a_file_replaced_in_mid_transfer_arrives_as_it_was(server, tmp_path):
    file = server.files / "replaced"
    file.write_bytes(IMAGE)
    process = subprocess.Popen(
        ["curl", "-sS", "--limit-rate", "20M", "-o", str(tmp_path / "got"), server.url("replaced")]
    )
    comes(tmp_path / "got")
    (server.files / "new").write_bytes(b"new bytes")
    os.replace(server.files / "new", file)
    assert process.wait(60) == 0
    assert digest((tmp_path / "got").read_bytes()) == digest(IMAGE)
    assert curl(server.url("replaced")).stdout == b"new bytes"


# -- crowds ----------------------------------------------------------------------------------------


def compare(server, path, block):
    """Fetch and compare as it comes; SHA-256 of 10 GB would be the slowest part of this test."""
    with server.connect() as connection:
        connection.sendall(f"GET /{path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        head, piece = read_head(connection)
        expected = block + block
        received = 0
        while received < length_of(head):
            place = received % len(block)
            assert piece == expected[place : place + len(piece)], f"wrong bytes at {received}"
            received += len(piece)
            piece = connection.recv(MIB)
            assert piece or received == length_of(head)
        return received


def test_32_clients_fetch_300_mib_at_once_past_a_dead_and_a_slow_one(server):
    dead, slow = server.connect(receive_buffer=4096), server.connect(receive_buffer=4096)
    for connection in (dead, slow):
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    assert slow.recv(10)
    done = threading.Event()
    waits = []

    def ask_for_scripts():
        with server.connect() as connection:
            while not done.is_set():
                begun = time.monotonic()
                assert b"#!ipxe" in fetch(connection, MAC)[1]
                waits.append(time.monotonic() - begun)
                slow.recv(10)
                time.sleep(0.02)

    asker = threading.Thread(target=ask_for_scripts)
    asker.start()
    with ThreadPoolExecutor(32) as pool:
        sizes = list(pool.map(lambda _: compare(server, "big", PART), range(32)))
    done.set()
    asker.join()
    assert sizes == [BIG] * 32
    assert len(waits) > 5
    assert sorted(waits)[len(waits) // 2] < 1  # both sides share this machine's few cores
    dead.close()
    slow.close()


@has("curl", "sha256sum")
def test_32_curls_at_once_get_the_same_sum(server):
    fetch_and_sum = f"curl -sS {server.url('images/initrd.img')} | sha256sum"
    processes = [
        subprocess.Popen(fetch_and_sum, shell=True, stdout=subprocess.PIPE) for _ in range(32)
    ]
    sums = {process.communicate(timeout=120)[0].split()[0].decode() for process in processes}
    assert sums == {digest(IMAGE)}


def test_scripts_are_answered_beside_2000_idle_connections(server):
    threads = server.threads()
    idle = [server.connect() for _ in range(1000)]
    for connection in idle:
        fetch(connection, "boot")  # kept alive, as iPXE keeps its own
    half = [server.connect() for _ in range(1000)]
    for connection in half:
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
    begun = time.monotonic()
    for _ in range(200):
        with server.connect() as connection:
            assert b"#!ipxe" in fetch(connection, MAC)[1]
    assert time.monotonic() - begun < 10
    assert server.threads() == threads
    for connection in (idle[0], idle[-1]):
        assert b"#!ipxe" in fetch(connection, "boot")[1]
    for connection in (*idle, *half):
        connection.close()
