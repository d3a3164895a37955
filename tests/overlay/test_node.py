"""What runs on the node: shell that any shell can read, and the runner with each of its tools."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

NODE = Path(__file__).parents[2] / "netbootd" / "overlay" / "node"
SHELLS = [
    shell for shell in ("dash", "bash --posix", "busybox sh") if shutil.which(shell.split()[0])
]
RUNNER = NODE / "node-script.sh"
#: What any system has, and the runner uses beside a tool to fetch with.
BASE = ("cat", "chmod", "mkdir", "mkfifo", "rm", "sh", "sleep", "tail", "tee", "wc", "printf")
TOOLS = ["curl", "wget", "busybox", "python3", "bash"]


@pytest.mark.parametrize("file", [*sorted(NODE.glob("*.sh")), NODE / "initramfs-tools.conf"])
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_can_read_it(file, shell):
    done = subprocess.run([*shell.split(), "-n", file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("file", [*sorted(NODE.glob("*.sh")), NODE / "initramfs-tools.conf"])
def test_shellcheck_finds_nothing(file):
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck here")
    # Names from a file that it cannot see, "A && B || C" where C may run, and programs in quotes.
    meant = "--exclude=SC1090,SC1091,SC2154,SC2015,SC2016"
    done = subprocess.run(["shellcheck", "--shell=sh", meant, file], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd here")
    unit = tmp_path / "netbootd-script.service"
    unit.write_text((NODE / unit.name).read_text())
    command = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert unit.name not in done.stderr


class Server(http.server.ThreadingHTTPServer):
    """Gives one script, and keeps what is reported; *down* answers are errors at first."""

    def __init__(self, script: bytes, down: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.down = down
        self.gets = 0
        self.reports: list[tuple[str, dict[str, list[str]], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.gets += 1
        if self.server.gets <= self.server.down:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.script)))
        self.end_headers()
        self.wfile.write(self.server.script)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urlsplit(self.path)
        self.server.reports.append((url.path, parse_qs(url.query), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator:
    started: list[Server] = []

    def start(script: str | bytes, down: int = 0) -> Server:
        server = Server(script if isinstance(script, bytes) else script.encode(), down)
        started.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def run(
    folder: Path, url: str, tool: str | None, timeout: float = 60, token: str = "?token=t"
) -> tuple[int, str]:
    """The runner's status and output, in a system that has nothing but BASE and *tool*."""
    programs = folder / "bin"
    programs.mkdir()
    for name in (*BASE, *((tool,) if tool else ())):
        found = sys.executable if name == "python3" else shutil.which(name)
        if found:
            (programs / name).symlink_to(os.path.realpath(found))
    (folder / "env").write_text(
        f"NETBOOTD_SCRIPT_URL='{url}/scripts/x'\n"
        f"NETBOOTD_DONE_URL='{url}/done/x{token}'\n"
        f"NETBOOTD_FAILED_URL='{url}/failed/x{token}'\n"
        "NETBOOTD_MAC='52:54:00:12:34:56'\n"
    )
    # Into a file: a pipe would be waited for as long as anybody holds it.
    with (folder / "said").open("w+") as said:
        done = subprocess.run(
            ["/bin/sh", RUNNER],
            env={
                "PATH": str(programs),
                "NETBOOTD_ENV": str(folder / "env"),
                "NETBOOTD_WORK": str(folder / "work"),
            },
            stdout=said,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        said.seek(0)
        return done.returncode, said.read()


def available(tool: str) -> str:
    if not shutil.which(tool):
        pytest.skip(f"no {tool} here")
    return tool


@pytest.mark.parametrize("tool", TOOLS)
def test_the_script_is_fetched_run_and_reported_with_any_tool(tmp_path, serve, tool):
    server = serve('#!/bin/sh\necho "hello of $NETBOOTD_MAC"\necho wörld >&2\n')

    status, said = run(tmp_path, server.url, available(tool))

    assert status == 0, said
    assert "hello of 52:54:00:12:34:56\n" in said
    ((path, query, body),) = server.reports
    assert (path, query) == ("/done/x", {"token": ["t"], "status": ["0"]})
    assert body.decode() == "hello of 52:54:00:12:34:56\nwörld\n"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_that_fails_is_told_with_its_status(tmp_path, serve, tool):
    server = serve("#!/bin/sh\necho oh\nexit 3\n")

    assert run(tmp_path, server.url, available(tool), token="")[0] == 3

    ((path, query, body),) = server.reports
    assert (path, query, body) == ("/failed/x", {"status": ["3"]}, b"oh\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_that_is_long_arrives_whole(tmp_path, serve, tool):
    server = serve("#!/bin/sh\n" + "# fill\n" * 40000 + "echo the end\n")

    assert run(tmp_path, server.url, available(tool))[0] == 0

    assert server.reports[0][2] == b"the end\n"


@pytest.mark.parametrize("tool", TOOLS)
def test_it_asks_again_while_the_server_is_not_ready(tmp_path, serve, tool):
    server = serve("#!/bin/sh\necho at last\n", down=2)

    assert run(tmp_path, server.url, available(tool))[0] == 0

    assert server.gets == 3
    assert server.reports[0][2] == b"at last\n"


def test_only_the_last_64_kib_of_its_output_are_reported(tmp_path, serve):
    server = serve(
        "#!/bin/sh\nn=0\nwhile [ $n -lt 9000 ]; do echo 0123456789; n=$((n+1)); done\necho end\n"
    )

    run(tmp_path, server.url, "bash")

    body = server.reports[0][2]
    assert len(body) == 65536
    assert body.endswith(b"0123456789\nend\n")


def test_a_program_that_the_script_leaves_behind_is_not_waited_for(tmp_path, serve):
    server = serve("#!/bin/sh\necho started\nsleep 50 &\n")

    assert run(tmp_path, server.url, "bash", timeout=40)[0] == 0

    assert server.reports[0][2] == b"started\n"


def test_a_script_without_a_shell_of_ours_is_run_by_its_own(tmp_path, serve):
    server = serve(f"#!{sys.executable}\nprint(6 * 7)\n")

    assert run(tmp_path, server.url, "bash")[0] == 0

    assert server.reports[0][2] == b"42\n"


def test_when_it_is_stopped_it_still_reports(tmp_path, serve):
    """As systemd stops a unit whose time is over: SIGTERM to every process of it."""
    server = serve("#!/bin/sh\necho working\nexec sleep 60\n")
    (tmp_path / "env").write_text(
        f"NETBOOTD_SCRIPT_URL={server.url}/s\nNETBOOTD_DONE_URL={server.url}/done\n"
        f"NETBOOTD_FAILED_URL={server.url}/failed\n"
    )
    runner = subprocess.Popen(
        ["/bin/sh", RUNNER],
        env={**os.environ, "NETBOOTD_ENV": f"{tmp_path}/env", "NETBOOTD_WORK": f"{tmp_path}/work"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == b"working\n"

    os.killpg(runner.pid, 15)

    assert runner.wait(30) == 143
    ((path, query, body),) = server.reports
    assert (path, query) == ("/failed", {"status": ["143"]})
    assert b"stopped while it ran" in body


def test_without_any_tool_it_says_so(tmp_path):
    # No two minutes of asking again where nothing can be asked with.
    status, said = run(tmp_path, "http://127.0.0.1:9", None, timeout=20)

    assert status == 75
    assert "none of curl, wget" in said


def test_bash_takes_ipv6_addresses(tmp_path):
    class Server6(Server):
        address_family = socket.AF_INET6

        def __init__(self) -> None:
            http.server.ThreadingHTTPServer.__init__(self, ("::1", 0), Handler)
            self.script, self.down, self.gets, self.reports = b"#!/bin/sh\n", 0, 0, []

    try:
        server = Server6()
    except OSError:
        pytest.skip("no IPv6 here")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert run(tmp_path, f"http://[::1]:{server.server_address[1]}", "bash")[0] == 0
    finally:
        server.shutdown()
        server.server_close()
    assert server.reports
