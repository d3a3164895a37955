"""
HTTPS with real sockets, the server in a process of its own: the same bytes as by HTTP, the right
certificate, and what a client may cost that does not mean well.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
import warnings
from ipaddress import ip_interface
from types import SimpleNamespace

import pytest

from netbootd.http.bodies import SMALL
from netbootd.simulate.network import Unreachable
from netbootd.simulate.wire import Wire
from tests.certificates import authority, signed

from .serving import MAC, allow_many_files, fetch, serving

MIB = 1 << 20
PATTERN = random.Random(1).randbytes(MIB)
BIG = 24 * MIB
SIZES = {"big": BIG, "medium": MIB, "edge": SMALL + 1, "small": 1000, "empty": 0}


@pytest.fixture(scope="module")
def pair():
    return signed("server", "127.0.0.1", signer=authority())


@contextlib.contextmanager
def secured(folder, pair, *options):
    (folder / "files").mkdir()
    for name, size in SIZES.items():
        (folder / "files" / name).write_bytes((PATTERN * (size // MIB + 1))[:size])
    file = pair.write(folder / "pair.pem")
    with serving(folder, "--certificate", str(file), *options) as server:
        assert server.event("tls")["trouble"] == ""
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory, pair):
    """One for all tests that leave it as it is."""
    with secured(tmp_path_factory.mktemp("tls"), pair) as server:
        yield server


@pytest.fixture
def start(tmp_path, pair):
    """``start("--handshakes", "3")``: a server for one test."""
    with contextlib.ExitStack() as stack:
        yield lambda *options: stack.enter_context(secured(tmp_path, pair, *options))


def trusting(*, of_2023=False):
    context = ssl.create_default_context(cadata=authority().pem.decode())
    if of_2023:  # as iPXE was
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES256-SHA256:AES128-SHA256")
    return context


def connect(server, context=None):
    plain = socket.create_connection(("127.0.0.1", server.secure_port), timeout=30)
    return (context or trusting()).wrap_socket(plain, server_hostname="127.0.0.1")


def test_files_are_the_same_bytes_as_by_http(server):
    with connect(server) as secure, server.connect() as plain:
        for name, size in SIZES.items():
            head, body = fetch(secure, name)
            assert body == (PATTERN * (size // MIB + 1))[:size], name
            assert _lines(head) == _lines(fetch(plain, name)[0])
        part = fetch(secure, "big", f"Range: bytes={MIB - 5}-{20 * MIB}\r\n")[1]
        assert part == (PATTERN * 21)[MIB - 5 : 20 * MIB + 1]


def _lines(head):
    return [line for line in head.splitlines() if not line.startswith(b"Date")]


def test_no_browser_is_told_to_keep_to_https(server):
    """It would ask our ports of HTTP by HTTPS, for a year."""
    with connect(server) as secure:
        for page in ("small", "ui/", "api/v1/machines", "nothing"):
            assert b"strict-transport-security" not in fetch(secure, page)[0].lower()


def test_each_file_is_told_as_by_http(server):
    with connect(server) as secure:
        fetch(secure, "medium")
    while (served := server.event("served"))["path"] != "/medium":
        pass
    assert (served["sent"], served["problem"]) == (MIB, "")


def test_a_script_that_came_by_https_leads_to_https(server):
    with connect(server) as secure, server.connect() as plain:
        own = f"https://127.0.0.1:{server.secure_port}/images/vmlinuz"
        assert own.encode() in fetch(secure, f"boot/{MAC}")[1]
        assert (
            f"http://127.0.0.1:{server.port}/images/vmlinuz".encode()
            in fetch(plain, f"boot/{MAC}")[1]
        )


def test_a_machine_that_is_played_fetches_by_https_from_whom_it_trusts(
    server, tmp_path, monkeypatch
):
    """``netbootd simulate --interface``."""
    lo = SimpleNamespace(name="lo", index=1, addresses=(ip_interface("127.0.0.1/8"),))
    played, url = Wire(lo), f"https://127.0.0.1:{server.secure_port}/medium"
    with pytest.raises(Unreachable, match="SSL_CERT_FILE"):
        played.http(url, "iPXE/1.0")
    (tmp_path / "anchor.pem").write_bytes(authority().pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "anchor.pem"))
    assert played.http(url, "iPXE/1.0").size == MIB


def test_a_client_that_goes_in_mid_body_leaves_nothing_behind(server):
    with connect(server) as secure:
        fetch(secure, "empty")
        before = server.descriptors()
    for _ in range(5):
        with connect(server) as secure:
            secure.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert secure.recv(100)
        while (served := server.event("served"))["path"] != "/big":
            pass
        assert served["sent"] < BIG
    with connect(server) as secure:
        fetch(secure, "empty")
        assert server.descriptors() <= before


def test_a_file_that_shrinks_ends_the_connection_before_the_body(start):
    server = start()
    with connect(server) as secure:
        secure.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        got = len(secure.recv(1000))
        with open(server.files / "big", "r+b") as file:
            file.truncate(MIB)
        while more := _received(secure):
            got += more
    assert got < BIG
    assert "shorter" in server.event("served")["problem"]


def _received(secure):
    try:
        return len(secure.recv(MIB))
    except (ssl.SSLError, ConnectionError):
        return 0


def test_a_client_that_reads_nothing_is_given_up(start):
    server = start("--stall", "2")
    with connect(server) as secure:
        secure.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        served = server.event("served")
    assert served["sent"] < BIG
    assert "taken nothing" in served["problem"]


# -- certificates ----------------------------------------------------------------------------------


def serial(secure):
    return int(secure.getpeercert()["serialNumber"], 16)


def reload(server):
    server.process.send_signal(signal.SIGHUP)
    return server.event("tls")["trouble"]


def test_a_new_certificate_is_for_new_connections(start, pair, tmp_path):
    server = start()
    new = signed("newer", "127.0.0.1", signer=authority())
    with connect(server) as before:
        assert serial(before) == pair.certificate.serial_number
        new.write(tmp_path / "pair.pem")
        assert reload(server) == ""
        with connect(server) as after:
            assert serial(after) == new.certificate.serial_number
            assert fetch(after, "small")[1] == PATTERN[:1000]
        assert fetch(before, "small")[1] == PATTERN[:1000]


def test_a_broken_pair_leaves_the_old_in_force(start, pair, tmp_path):
    server = start()
    with connect(server) as before:
        file = tmp_path / "pair.pem"
        file.write_bytes(signed("other", "127.0.0.1", signer=authority()).pem + pair.key_pem())
        trouble = reload(server)
        assert trouble == (
            f"HTTPS: {file} is not the key of the certificate in {file}; the certificate from before"
            " stays in force"
        )
        with connect(server) as after:
            assert serial(after) == serial(before)
        pair.write(file)
        assert reload(server) == ""


# -- what a client may ask for ---------------------------------------------------------------------


def test_old_protocols_and_suites_are_refused(server):
    old = trusting()
    with warnings.catch_warnings(action="ignore"):  # that they are old
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    for context in (old, trusting(of_2023=True)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connect(server, context)
    with connect(server) as secure:
        assert fetch(secure, "small")[1] == PATTERN[:1000]


def test_old_clients_are_let_in_where_that_is_wanted(start):
    server = start("--old-clients")
    with connect(server, trusting(of_2023=True)) as secure:
        assert secure.cipher()[0] == "AES256-SHA256"
        assert fetch(secure, "small")[1] == PATTERN[:1000]
    with connect(server) as secure:
        assert secure.version() == "TLSv1.3"


def test_nobody_renegotiates(server):
    """s_client does it at a line with an R (openssl-s_client(1))."""
    client = subprocess.run(
        ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{server.secure_port}"],
        input=b"R\n",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert b"RENEGOTIATING" in client.stdout + client.stderr
    assert b"no renegotiation" in client.stderr


@pytest.mark.parametrize(
    "said",
    [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x03" + b"\xff" * 5000],
    ids=["nothing", "half-a-hello", "no-tls", "junk"],
)
def test_a_handshake_that_comes_to_no_end_is_cut_off(start, said):
    server = start("--handshake", "1")
    before = server.descriptors()
    with socket.create_connection(("127.0.0.1", server.secure_port), timeout=30) as plain:
        plain.sendall(said)
        with contextlib.suppress(ConnectionError):
            while plain.recv(1000):
                pass
    with connect(server) as secure:
        assert fetch(secure, "small")[1] == PATTERN[:1000]
        assert server.descriptors() <= before + 1


def test_more_handshakes_than_there_may_be_wait_for_their_turn(start):
    server = start("--handshakes", "3")
    done = []

    def ask():
        with connect(server) as secure:
            done.append(fetch(secure, "small")[1])

    crowd = [threading.Thread(target=ask) for _ in range(12)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(60)
    assert done == [PATTERN[:1000]] * 12


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half-a-hello"]
)
def test_thousands_of_handshakes_that_come_to_no_end_are_counted_and_keep_nobody_out(start, said):
    """All from the address that the real ones come from as well."""
    allow_many_files()
    server = start("--handshakes", "100000", "--of-one", "200")
    before = server.descriptors()
    with contextlib.ExitStack() as crowd:
        for _ in range(2000):
            there = ("127.0.0.1", server.secure_port)
            one = crowd.enter_context(socket.create_connection(there, timeout=30))
            with contextlib.suppress(ConnectionError):  # it had to go already
                one.sendall(said)
        for _ in range(5):
            with connect(server) as secure, server.connect() as plain:
                assert fetch(secure, "small")[1] == PATTERN[:1000]
                assert fetch(plain, "small")[1] == PATTERN[:1000]
            assert before + 100 < server.descriptors() <= before + 205
    until = time.monotonic() + 30
    while (left := server.descriptors()) > before + 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert left <= before + 2
