"""
Everything that scanners try to leave a folder with, by TFTP and HTTP, against the real daemon: the
secret beside the root never comes, each request is refused, and the daemon serves on.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER
from tests.paths import corpus
from tests.paths.conftest import CANARY, IMAGE, NODE, Site

pytestmark = pytest.mark.wire

ASKING = Path(__file__).with_name("asking.py")
URL = f"http://{BOOT_SERVER}:3000"
#: For real clients, which change some of a path themselves.
FEW = (
    *("../secret.txt", "../../../../../secret.txt", "images/../../secret.txt", "..\\secret.txt"),
    *("%2e%2e/secret.txt", "%252e%252e/secret.txt", "..%2fsecret.txt", "..;/secret.txt"),
    *("..%c0%afsecret.txt", "outside", "chain", "loop", "up/secret.txt", "sibling/secret.txt"),
    *("fifo", "socket", "device", "images", "/etc/passwd", "//etc/passwd"),
)


def ask(site: Site, tmp_path: Path, protocol: str, requests: Iterable[bytes]) -> list[dict]:
    """What came for each of *requests*; none of it may be the secret."""
    file = tmp_path / "requests"
    lines = [base64.b64encode(request) for request in dict.fromkeys(requests)]
    file.write_bytes(b"\n".join(lines) + b"\n")
    argv = (sys.executable, str(ASKING), protocol, BOOT_SERVER, str(file))
    told = site.lab.run("lan", *argv, timeout=300)
    answers = [json.loads(line) for line in told.splitlines()]
    assert len(answers) == len(lines)
    for answer in answers:
        came = base64.b64decode(answer["came"])
        assert CANARY[:12] not in came, answer["request"]
        assert b"root:" not in came, answer["request"]
    return answers


def serves(site: Site) -> None:
    """The daemon still gives what it is there for, by both protocols."""
    curl = ("curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{size_download}")
    assert site.lab.run("lan", *curl, f"{URL}/inside") == str(len(IMAGE))
    assert site.lab.run("lan", *curl, f"tftp://{BOOT_SERVER}/inside") == str(len(IMAGE))


def rrq(path: bytes, mode: bytes = b"octet") -> bytes:
    return b"\0\1" + path + b"\0" + mode + b"\0"


def test_the_corpus_is_what_it_says(site):
    assert len(set(corpus.targets(site.secret))) > 3000
    assert len(set(corpus.paths(site.secret))) > 5000


def test_no_read_request_leaves_the_root(site, tmp_path):
    paths = [path for path in corpus.paths(site.secret) if len(path) < 60_000]
    requests = [rrq(path) for path in paths]
    requests += [rrq(corpus.netascii(path), b"netascii") for path in paths[-600:]]
    answers = ask(site, tmp_path, "tftp", requests)
    assert {answer["word"] for answer in answers} == {"error"}, [
        answer for answer in answers if answer["word"] != "error"
    ][:5]
    serves(site)


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_no_request_target_leaves_the_root(site, tmp_path):
    targets = list(corpus.targets(site.secret))
    specials = targets[-200:]
    requests = [get(b"/" + target) for target in targets]
    requests += [get(b"http://192.0.2.10:3000/" + target) for target in specials]
    requests += [get(b"http://elsewhere/" + target) for target in specials]
    requests += [get(f"/{NODE}/".encode() + target) for target in specials]
    bare = [target for target in specials if not target.startswith((b"/", b"?"))]
    requests += [get(target) for target in bare]
    requests += [get(target).replace(b"GET", b"CONNECT", 1) for target in bare]
    for answer in ask(site, tmp_path, "http", requests):
        refused = answer["word"] in ("400", "403", "404", "405", "414", "501", "closed")
        assert refused or leads_to_a_page(answer["request"]), answer
    serves(site)


def leads_to_a_page(request: str) -> bool:
    """Of what stands before the first ``?`` or ``#`` only dots and slashes are left, say."""
    path = request.split(" ")[1].partition("?")[0]
    return path.strip("./\\") in ("", "http:", "http://192.0.2.10:3000", "http://elsewhere", NODE)


@pytest.mark.parametrize("path", FEW)
def test_no_real_client_gets_it_either(site, tmp_path, path):
    into = tmp_path / "got"
    commands = (
        ("curl", "-sS", "-m", "20", "--path-as-is", "-f", "-o", str(into), f"{URL}/{path}"),
        ("curl", "-sS", "-m", "20", "-o", str(into), f"tftp://{BOOT_SERVER}/{path}"),
        ("atftp", "-g", "-r", path, "-l", str(into), BOOT_SERVER),
        ("tftp", "-m", "binary", BOOT_SERVER, "-c", "get", path, str(into)),
    )
    for command in commands:
        into.unlink(missing_ok=True)
        argv = site.lab.inside("lan", *command)
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        assert done.returncode or b"Error code" in said, (command, said)
        assert not into.exists() or not into.stat().st_size, command


def test_a_pipe_that_nobody_writes_to_keeps_nobody_waiting(site, tmp_path):
    """Opened as others open a file, it would hold the daemon until somebody writes."""
    for _ in range(20):
        asked = ask(site, tmp_path, "http", [get(b"/fifo")])
        assert [answer["word"] for answer in asked] == ["403"]
        asked = ask(site, tmp_path, "tftp", [rrq(b"fifo")])
        assert [answer["word"] for answer in asked] == ["error"]
    serves(site)
