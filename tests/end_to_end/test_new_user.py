"""A daemon that root starts was nobody first, and is the service's user since the host has one."""

from __future__ import annotations

import grp
import os
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.lab import NETBOOTD, Lab, write_config
from tests.end_to_end.process import Daemon, Process
from tests.users import NOBODY, SERVICE, with_users

pytestmark = pytest.mark.wire

NODE = "52:54:00:00:00:01"


@pytest.fixture
def config(tmp_path: Path) -> dict:
    (tmp_path / "srv").mkdir()
    return {
        "targets": {"localboot": {"disk": {}}},
        "machines": {NODE: {"type": "localboot", "name": "disk"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path / "srv"),
            "state": str(tmp_path / "state"),
        },
    }


@pytest.fixture
def spawn(lab: Lab, config, tmp_path):
    """Starts a daemon on a host with or without the service's user."""

    def start(*, service: bool) -> Daemon:
        file = write_config(tmp_path / "netbootd.json", config)
        argv = [str(NETBOOTD), "run", "--config", str(file)]
        daemon: Daemon = lab._keep(
            Daemon(lab.inside("boot", *with_users(tmp_path, argv, service=service)))
        )
        return daemon

    return start


def ready(daemon: Process) -> Process:
    daemon.wait_for(r"\bready\b", 30)
    assert "Traceback" not in daemon.text
    return daemon


def owners(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for one in (folder, *folder.rglob("*")):
        status = one.lstat()
        found[str(one.relative_to(folder))] = (status.st_uid, status.st_gid)
    return found


def belongs(socket: Path) -> tuple[tuple[int, int], int]:
    status = socket.stat()
    return (status.st_uid, status.st_gid), status.st_mode & 0o777


def order(tmp_path: Path) -> str:
    argv = [str(NETBOOTD), "next", NODE, "localboot/disk"]
    done = subprocess.run(
        [*argv, "--config", str(tmp_path / "netbootd.json")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_it_made_as_nobody_is_handed_over(spawn, tmp_path):
    """And nothing else of nobody's: what has another name, or a second one, or is a link."""
    state, drop_ins, elsewhere = (tmp_path / one for one in ("state", "machines.d", "elsewhere"))
    first = ready(spawn(service=False))
    assert "root is given up: user nobody" in first.text
    first.close()
    order(tmp_path)
    assert set(owners(state).values()) == {NOBODY}
    (drop_ins / "managed-one.json").write_text("{}")
    elsewhere.mkdir()
    (elsewhere / "twice").write_text("")
    (state / "own").mkdir()
    (state / "own" / "record.sqlite").write_text("")
    (state / "secret").write_text("")
    (state / "leases.sqlite.twice").hardlink_to(elsewhere / "twice")
    (state / "vms").symlink_to(elsewhere)
    for one in (drop_ins, state, elsewhere):
        for path in (one, *one.rglob("*")):
            os.chown(path, *NOBODY, follow_symlinks=False)
    second = ready(spawn(service=True))
    assert "root is given up: user netbootd" in second.text
    assert f"handed to user netbootd: {drop_ins}, {state}" in second.text
    for trouble in ("Permission denied", "readonly", "are not kept", "TROUBLE"):
        assert trouble not in second.text
    found = owners(state)
    stays = {"own", "own/record.sqlite", "secret", "leases.sqlite.twice", "vms"}
    assert {name for name, owner in found.items() if owner == NOBODY} == stays
    assert {found[name] for name in found if name not in stays} == {SERVICE}
    assert set(owners(elsewhere).values()) == {NOBODY}
    assert set(owners(drop_ins).values()) == {SERVICE}
    second.wait_for("boots localboot/disk next", 10)  # the order, which nobody has kept


def test_no_group_has_the_socket_of_nobody_but_one_that_is_named(spawn, config, tmp_path):
    """Any program may be in nobody's; the service's is its own, and who is in it is meant."""
    socket = tmp_path / "state" / "api.sock"
    file = tmp_path / "netbootd.json"
    games = grp.getgrnam("games").gr_gid
    nobodys = ready(spawn(service=False))
    assert belongs(socket) == (NOBODY, 0o600)
    order(tmp_path)  # root's commands are not kept out
    config["netbootd"]["api_group"] = "games"
    write_config(file, config)
    nobodys.reload()
    assert belongs(socket) == (NOBODY, 0o600)  # it is not in that group
    nobodys.close()
    nobodys = ready(spawn(service=False))
    assert belongs(socket) == ((NOBODY[0], games), 0o660)
    del config["netbootd"]["api_group"]
    write_config(file, config)
    nobodys.reload()
    assert belongs(socket) == (NOBODY, 0o600)
    nobodys.close()
    config["netbootd"]["api_group"] = grp.getgrgid(NOBODY[1]).gr_name
    nobodys = ready(spawn(service=False))
    assert belongs(socket) == (NOBODY, 0o660)
    nobodys.close()
    del config["netbootd"]["api_group"]
    ready(spawn(service=True))
    assert belongs(socket) == (SERVICE, 0o660)


def test_of_one_that_runs_nothing_is_handed_over(spawn, config, tmp_path):
    """Else it could not write any more, for the sake of one that does not start."""
    first = ready(spawn(service=False))
    second = spawn(service=True)
    assert second.wait(30) == 1
    assert "end that one first" in second.text
    assert set(owners(tmp_path / "state").values()) == {NOBODY}
    assert "TROUBLE" not in first.text
    order(tmp_path)
    first.wait_for("boots localboot/disk next", 10)


def test_of_another_user_it_is_said_what_to_type(spawn, config, tmp_path):
    """Who that was cannot be known: the files may be his own."""
    config["netbootd"]["user"] = "daemon"
    ready(spawn(service=True)).close()
    del config["netbootd"]["user"]
    state = tmp_path / "state"
    line = f"chown -R netbootd {state}"
    told = f"{state} belongs to user daemon, and netbootd cannot write there: {line}"
    second = ready(spawn(service=True))
    assert told in " ".join(second.text.split())
    second.close()
    subprocess.run(with_users(tmp_path, ["sh", "-c", line], service=True), check=True, timeout=30)
    third = ready(spawn(service=True))
    assert "cannot write" not in third.text
    assert "TROUBLE" not in third.text
