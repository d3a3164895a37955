"""A daemon that root starts is somebody else before it opens a socket, and serves all the same."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.certificates import signed
from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import Daemon
from tests.simulate.kernels import bzimage
from tests.systemd.sandbox import program, shown

pytestmark = pytest.mark.wire

NODE = "52:54:00:00:00:01"
BASE = f"http://{BOOT_SERVER}:3000"
SOCKETS = (1 << 10) | (1 << 13)  # CAP_NET_BIND_SERVICE, CAP_NET_RAW
READING = 1 << 2  # CAP_DAC_READ_SEARCH
NOBODY = pwd.getpwnam("nobody")
#: What a hook writes of itself, and of a file that root alone may read.
HOOK = "cat /proc/self/status; cat /etc/shadow && echo READ; cat {secret}"


@pytest.fixture
def config(tmp_path: Path) -> dict:
    """Of a site in *tmp_path*, which root alone may enter."""
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "k").write_bytes(bzimage(100_000))
    secret = tmp_path / "secret"
    secret.write_text("only for root\n")
    secret.chmod(0o600)
    out = tmp_path / "state" / "told"
    hook = f"({HOOK.format(secret=secret)}) >{out}.new 2>&1; mv {out}.new {out}"
    linux = {"kernel": "k", "initrd": "k", "boot_args": "root=/dev/nfs done=__done__"}
    return {
        "targets": {"nfs": {"one": linux}},
        "machines": {NODE: {"type": "nfs", "name": "one"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path / "srv"),
            "state": str(tmp_path / "state"),
            "hooks": {"up": ["/bin/sh", "-c", hook]},
            "user": "nobody",
            "grace": 2,
        },
    }


@pytest.fixture
def house(lab: Lab, config, tmp_path):
    """The same where everybody may read it: a view of the host of its own, without closed folders."""

    def start() -> Daemon:
        for one in (tmp_path, tmp_path / "srv"):
            one.chmod(0o755)
        file = write_config(tmp_path / "netbootd.json", config)
        view = ["bwrap", "--dev-bind", "/", "/", "--cap-add", "ALL", "--die-with-parent"]
        for hidden in ("/tmp", "/root", "/home"):
            view += ["--tmpfs", hidden]
        view += [*program(), *shown(tmp_path, "--bind")]
        argv = lab.inside("boot", *view, "--", str(NETBOOTD), "run", "--config", str(file))
        daemon: Daemon = lab._keep(Daemon(argv))
        daemon.wait_for(r"\bready\b", 30)
        return daemon

    return start


def statuses(pid: int | str) -> list[dict[str, str]]:
    """What each thread is, as the kernel says it."""
    found = []
    for thread in Path("/proc", str(pid), "task").iterdir():
        lines = (line.partition(":") for line in (thread / "status").read_text().splitlines())
        found.append({name: " ".join(value.split()) for name, _, value in lines})
    return found


def assert_is(one: dict[str, str], uid: int, gid: int, rights: int, lent: int) -> None:
    assert one["Uid"] == " ".join([str(uid)] * 4)
    assert one["Gid"] == " ".join([str(gid)] * 4)
    assert one["Groups"] == ""
    sets = {name: int(one[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")}
    assert sets == {
        **{"CapEff": rights, "CapPrm": rights, "CapBnd": rights},
        **{"CapInh": lent, "CapAmb": lent},
    }
    assert one["NoNewPrivs"] == "1"


def owners_of_sockets(pid: int) -> dict[str, set[str]]:
    """Who made the sockets of its network namespace, by the kernel's tables (proc(5))."""
    found: dict[str, set[str]] = {}
    for table, state, uid in (("udp", 3, 7), ("udp6", 3, 7), ("tcp", 3, 7), ("packet", 5, 7)):
        rows = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        fields = [row.split() for row in rows]
        listening = [one for one in fields if table != "tcp" or one[state] == "0A"]
        if listening:
            found[table] = {one[uid] for one in listening}
    return found


def curl(lab: Lab, *words: str) -> str:
    return lab.run("lan", "curl", "-sS", "-m", "20", *words)


def told_by_hook(lab: Lab, tmp_path: Path) -> str:
    script = curl(lab, "-A", "iPXE/1.21", f"{BASE}/boot/{NODE}")
    curl(lab, re.search(r"done=(\S+)", script)[1])
    told = tmp_path / "state" / "told"
    until(told.exists)
    return told.read_text()


def until(condition, patience: float = 20) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)


def child_of(daemon: Daemon) -> int:
    """bubblewrap waits for the daemon, which is its only child."""
    [pid] = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return int(pid)


# --- who it is ------------------------------------------------------------------------------------


def test_each_thread_and_what_it_starts_have_two_rights_and_none(lab, house, tmp_path):
    daemon = house()
    assert "is kept out" not in daemon.text
    pid = child_of(daemon)
    threads = statuses(pid)
    assert len(threads) > 1
    for one in threads:
        assert_is(one, NOBODY.pw_uid, NOBODY.pw_gid, SOCKETS, 0)
    told = told_by_hook(lab, tmp_path)
    assert "CapEff:\t0000000000000000" in told
    assert "NoNewPrivs:\t1" in told
    assert f"Uid:\t{NOBODY.pw_uid}\t" in told
    assert "Permission denied" in told
    assert "READ" not in told
    assert "only for root" not in told


def test_every_socket_was_made_by_the_user(lab, config):
    """So none was open, and no packet was read, before root was given up."""
    daemon = lab.netbootd(config)
    assert "Traceback" not in daemon.text
    owners = owners_of_sockets(daemon.pid)
    assert set(owners) >= {"udp", "tcp", "packet"}
    assert {one for each in owners.values() for one in each} == {str(NOBODY.pw_uid)}
    assert daemon.text.index("root is given up: user nobody") < daemon.text.index("listening")


def test_where_the_user_may_not_read_the_right_to_read_stays_for_what_is_served(
    lab, config, tmp_path
):
    daemon = lab.netbootd(config)
    told = " ".join(daemon.text.split())
    assert re.search(r"user nobody is kept out of \S+\. So netbootd keeps a third right", told)
    assert "(CAP_DAC_READ_SEARCH): only in what is served, the program" in told
    for one in statuses(daemon.pid):
        assert_is(one, NOBODY.pw_uid, NOBODY.pw_gid, SOCKETS | READING, READING)
    told = told_by_hook(lab, tmp_path)
    assert f"CapEff:\t{READING:016x}" in told
    assert "only for root" in told
    assert "READ" not in told, "confined by Landlock"


def test_where_reading_is_confined_what_is_put_in_place_anew_is_read(
    lab, config, tmp_path, tmp_path_factory
):
    """A certificate is renewed, and a loader is a link to another folder, as Debian's are."""
    tls, boot = tmp_path_factory.mktemp("tls"), tmp_path_factory.mktemp("boot")
    pem = tls / "pem"
    signed("first", BOOT_SERVER).write(pem)
    (boot / "snponly.efi").write_bytes(Path("/usr/lib/ipxe/snponly.efi").read_bytes())
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "snponly.efi").symlink_to(boot / "snponly.efi")
    config["netbootd"]["firmware"] = str(tmp_path / "firmware")
    config["netbootd"]["tls"] = {"certificate": str(pem), "port": 8443}
    daemon = lab.netbootd(config)
    assert "is kept out" in daemon.text
    signed("second", BOOT_SERVER).write(tls / "new").rename(pem)
    told = daemon.reload()
    ask = f"openssl s_client -connect {BOOT_SERVER}:8443 </dev/null | openssl x509 -noout -subject"
    assert "second" in lab.run("lan", "sh", "-c", ask)
    assert "is gone" not in told


@pytest.mark.parametrize(("what", "good"), [("secret", "reloaded"), ("key", "listening +HTTPS")])
def test_of_what_root_alone_may_read_a_reload_says_both_ways_out(
    house, config, tmp_path, what, good
):
    """And each is one."""
    file = tmp_path / what
    daemon = house()
    if what == "key":
        signed("boot", BOOT_SERVER).write(file)
        config["netbootd"]["tls"] = {"certificate": str(file), "port": 8443}
    else:
        config["machines"][NODE]["password"] = {"secret_file": str(file)}
    write_config(tmp_path / "netbootd.json", config)
    os.kill(child_of(daemon), signal.SIGHUP)
    line = f"chown nobody {file} && chmod 0600 {file}"
    ways = f"restart netbootd, which root starts and then reads it, or type: {line}"
    told = f"user nobody cannot read {file}: {ways}"
    until(lambda: told in " ".join(daemon.text.split()))
    subprocess.run(["sh", "-c", line], check=True)
    os.kill(child_of(daemon), signal.SIGHUP)
    daemon.wait_for(good, 20)
    daemon.close()
    os.chown(file, 0, 0)
    daemon = house()
    assert f"cannot read {file}" not in daemon.text
    assert f"is kept out of {file}." in daemon.text


def test_root_who_wants_to_stay_root_is_warned(lab, config):
    config["netbootd"]["user"] = "root"
    daemon = lab.netbootd(config)
    assert 'all rights of root\'s are kept: "user" is root' in daemon.text
    assert {one["Uid"] for one in statuses(daemon.pid)} == {"0 0 0 0"}


def test_a_user_that_is_not_there_is_told_and_nothing_is_served(lab, config, tmp_path):
    config["netbootd"]["user"] = "nosuch"
    file = write_config(tmp_path / "netbootd.json", config)
    daemon = lab.spawn("boot", str(NETBOOTD), "run", "--config", str(file))
    assert daemon.wait(20) == 1
    assert "there is no user nosuch to run as" in daemon.text
    assert "listening" not in daemon.text


def test_who_owns_the_configuration_is_who_it_becomes(lab, config, tmp_path):
    """A developer's clone, where the host has no user netbootd."""
    del config["netbootd"]["user"]
    file = write_config(tmp_path / "netbootd.json", config)
    os.chown(file, 1234, 1234)
    try:
        expected = pwd.getpwnam("netbootd").pw_uid
    except KeyError:
        expected = 1234
    daemon = lab.netbootd(file)
    assert {one["Uid"].split()[0] for one in statuses(daemon.pid)} == {str(expected)}


def test_it_still_ends_with_who_started_it_and_wanted_that(lab, config, tmp_path):
    file = write_config(tmp_path / "netbootd.json", config)
    run = f"setpriv --pdeathsig TERM {NETBOOTD} run --config {file} & echo pid=$!; wait"
    shell = lab.spawn("boot", "sh", "-c", run)
    shell.wait_for(r"\bready\b", 30)
    pid = re.search(r"pid=(\d+)", shell.text)[1]
    shell.send(signal.SIGKILL)
    until(lambda: not Path("/proc", pid).exists())


def test_its_home_is_the_state_folder(lab, config, tmp_path, monkeypatch):
    """Where libraries keep what they want to find again; what root has of theirs stays as it is."""
    home = tmp_path / "root"
    cache = home / ".cache" / "scapy" / "services.pickle"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"root's")
    cache.chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    config["subnets"] = {"192.0.2.0/24": {"dhcp": "server", "pools": ["192.0.2.101-192.0.2.150"]}}
    daemon = lab.netbootd(config)
    busybox = ("busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "9", "-s", "/bin/true")
    lab.run("lan", *busybox)
    assert "Traceback" not in daemon.text
    assert cache.read_bytes() == b"root's"
    assert sum(one.is_file() for one in home.rglob("*")) == 1


def test_nothing_of_roots_environment_stays_but_what_is_needed_or_named(
    lab, config, tmp_path, monkeypatch
):
    """Neither in the process, as the kernel shows it, nor in what it starts."""
    canaries = {"SSH_AUTH_SOCK": "/canary", "SUDO_USER": "canary", "AWS_SECRET_KEY": "canary"}
    wanted = {"https_proxy": "http://wanted", "LD_LIBRARY_PATH": "/nowhere"}
    for name, value in {**canaries, **wanted}.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "state" / "told"
    hooks = {"up": ["/bin/sh", "-c", f"env >{out}.new; mv {out}.new {out}"]}
    config["netbootd"]["hooks"] = {**hooks, "environment": ["https_proxy"]}
    daemon = lab.netbootd(config)
    assert '"environment" in section hooks' in daemon.text
    assert b"canary" not in Path(f"/proc/{daemon.pid}/environ").read_bytes()
    told = told_by_hook(lab, tmp_path)
    assert "canary" not in told
    assert "https_proxy=http://wanted\n" in told
    assert "LD_LIBRARY_PATH=/nowhere\n" in told  # what it starts is Python, too
    names = {line.partition("=")[0] for line in told.splitlines()}
    assert names >= {"PATH", "HOME", "NETBOOTD_MAC", "NETBOOTD_EVENT"}
    config["netbootd"]["hooks"]["environment"] = ["SUDO_USER"]
    write_config(tmp_path / "netbootd.json", config)
    assert "another environment of hooks counts after a restart" in daemon.reload()


# --- what it can do afterwards --------------------------------------------------------------------


def test_a_reload_opens_low_ports_packet_sockets_and_new_interfaces(lab, house, config, tmp_path):
    config["netbootd"]["interfaces"] = ["eth0", "eth9"]
    daemon = house()
    lab.segment("other")
    lab.cable("boot", "eth9", "198.51.100.1", segment="other")
    daemon.wait_for(r"UDP 69 on 198\.51\.100\.1", 20)
    config["netbootd"]["http_port"] = [80, 3000]
    config["netbootd"]["tftp"] = {"port": 70}
    config["netbootd"]["proxydhcp"] = {"mode": "snoop"}
    write_config(tmp_path / "netbootd.json", config)
    os.kill(child_of(daemon), signal.SIGHUP)
    daemon.wait_for("listening      HTTP       TCP 80", 20)
    daemon.wait_for("snooping UDP 67 on eth9", 20)
    assert "#!ipxe" in curl(lab, f"http://{BOOT_SERVER}/boot/{NODE}")
    assert "TROUBLE" not in daemon.text.partition("reloaded")[2]


def test_a_large_configuration_that_only_root_may_read_is_read_by_another_process(
    lab, config, tmp_path
):
    drop_ins = tmp_path / "machines.d"
    drop_ins.mkdir()
    many = {
        f"52:54:01:00:{number >> 8:02x}:{number & 255:02x}": {
            **{"type": "nfs", "name": "one", "hostname": f"many{number}", "remark": "x" * 200},
        }
        for number in range(5000)
    }
    (drop_ins / "many.json").write_text(json.dumps({"machines": many}))
    daemon = lab.netbootd(config)
    daemon.reload(60)
    assert "5001 machines" in daemon.text.replace(",", "")
    assert "no process can read" not in daemon.text


def test_commands_of_root_leave_what_the_daemon_can_use(lab, config, tmp_path):
    """While it runs, and while it does not."""
    config["targets"]["localboot"] = {"disk": {}}
    daemon = lab.netbootd(config)
    file = tmp_path / "netbootd.json"

    def netbootd(*words: str) -> str:
        done = subprocess.run(
            [str(NETBOOTD), *words, "--config", str(file)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "boots localboot/disk next" in netbootd("next", NODE, "localboot/disk")
    daemon.wait_for("boots localboot/disk next", 10)
    daemon.close()
    assert "as soon as netbootd runs" in netbootd("next", NODE, "localboot/disk")
    for one in (tmp_path / "state").iterdir():
        assert one.stat().st_uid == NOBODY.pw_uid, one
    again = lab.netbootd(file)
    again.wait_for("boots localboot/disk next", 10)


# --- what is handed over --------------------------------------------------------------------------


def test_what_root_has_left_in_the_folders_is_handed_over_and_nothing_else(lab, config, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "record.sqlite") as earlier:
        earlier.execute("CREATE TABLE x (y)")
    (state / "logs").mkdir()
    (state / "logs" / "old").write_text("")
    (tmp_path / "elsewhere").write_text("root's")
    (state / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "twice").write_text("root's")
    (state / "twice").hardlink_to(tmp_path / "twice")
    (state / "bin").write_text("")
    os.chown(state / "bin", 2, 2)
    daemon = lab.netbootd(config)
    assert f"{state}" in re.search("handed to user nobody: (.*)", daemon.text)[1]
    owners = {one.name: one.lstat().st_uid for one in (*state.iterdir(), state / "logs" / "old")}
    assert {owners[name] for name in ("record.sqlite", "logs", "old")} == {NOBODY.pw_uid}
    assert (owners["twice"], owners["bin"]) == (0, 2)
    assert (tmp_path / "elsewhere").stat().st_uid == 0
    assert (tmp_path / "srv").stat().st_uid == (tmp_path / "netbootd.json").stat().st_uid == 0


def refused(lab: Lab, config: dict, tmp_path: Path) -> str:
    """What it says when it does not even start, having opened nothing."""
    file = write_config(tmp_path / "netbootd.json", config)
    daemon = lab.spawn("boot", str(NETBOOTD), "run", "--config", str(file))
    assert daemon.wait(60) == 2
    assert "Traceback" not in daemon.text
    assert "listening" not in daemon.text
    return " ".join(daemon.text.split())


@pytest.mark.parametrize("by_root", [False, True])
def test_a_folder_that_the_user_made_a_link_stays_whose_it_is(lab, config, tmp_path, by_root):
    """Who writes the state folder could have any folder of root's handed over else."""
    (tmp_path / "state").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job").write_text("root's")
    (tmp_path / "state" / "record.sqlite").write_text("")
    for link, to in (("state/logs", "on"), ("state/on", elsewhere)):
        (tmp_path / link).symlink_to(to)
    os.chown(
        tmp_path / "state" / "on", *([0, 0] if by_root else NOBODY[2:4]), follow_symlinks=False
    )
    if by_root:
        lab.netbootd(config)
    else:
        told = refused(lab, config, tmp_path)
        assert f"{tmp_path}/state/on is a link that root has not made" in told
    owner = NOBODY.pw_uid if by_root else 0
    assert elsewhere.stat().st_uid == (elsewhere / "job").stat().st_uid == owner


@pytest.mark.parametrize("setting", ["state", "logs", "hosts"])
def test_a_folder_of_somebody_elses_is_refused_and_stays_roots(lab, config, tmp_path, setting):
    """As when its name is misspelt: the state of a package manager is nobody's but root's."""
    folder = tmp_path / "dpkg"
    (folder / "info").mkdir(parents=True)
    for name in ("available", "status", "lock", "info/hosts"):
        (folder / name).write_text("")
    settings = {
        "state": {"state": str(folder)},
        "logs": {"logs": {"folder": str(folder)}},
        "hosts": {"dhcp": {"hosts": str(folder / "hosts")}},
    }
    config["netbootd"] |= settings[setting]
    told = refused(lab, config, tmp_path)
    assert f"{folder}{'/hosts' if setting == 'hosts' else ''} cannot be written by nobody" in told
    assert "name a folder of its own" in told or "(available, info, lock, …): is the name" in told
    assert {one.stat().st_uid for one in (folder, *folder.rglob("*"))} == {0}
    # Who may write there needs nothing handed over.
    for one in (folder, *folder.rglob("*")):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)
    (folder / "triggers").write_text("root's")
    lab.netbootd(config)
    assert (folder / "triggers").stat().st_uid == 0


def test_a_new_disk_is_handed_over(lab, config, tmp_path):
    """One that mkfs has just made is not quite empty."""
    (tmp_path / "state" / "lost+found").mkdir(parents=True)
    lab.netbootd(config)
    assert (tmp_path / "state").stat().st_uid == NOBODY.pw_uid


def test_of_the_drop_ins_those_alone_are_handed_over(lab, config, tmp_path):
    """A repository beside them may hold what root runs."""
    drop_ins = tmp_path / "machines.d"
    (drop_ins / ".git" / "hooks").mkdir(parents=True)
    (drop_ins / "one.json").write_text("{}")
    (drop_ins / "README").write_text("")
    lab.netbootd(config)
    theirs = {one.name for one in drop_ins.rglob("*") if one.stat().st_uid == NOBODY.pw_uid}
    assert drop_ins.stat().st_uid == NOBODY.pw_uid
    assert theirs == {"one.json"}


#: In a view of the host where nothing can be written: a mistake would change nothing.
READ_ONLY = ("bwrap", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--cap-add", "ALL")


@pytest.mark.parametrize("folder", ["/", "/srv", "/var/lib", "/usr/local", "/tmp", "/etc/ssh"])
def test_no_folder_of_the_system_is_handed_to_anybody(folder):
    code = (
        "from pathlib import Path; from netbootd.config import Config;"
        "from netbootd.handover import hand_over; from netbootd.privilege import User;"
        f"hand_over(Config(state=Path('{folder}')), Path('/nonexistent/x'), User('x', 1234, 1234))"
    )
    argv = [*READ_ONLY, sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert f"NotOurs: {folder} is not netbootd's alone" in done.stderr, done.stdout


def test_a_folder_that_is_swapped_for_a_link_meanwhile_is_not_followed(tmp_path):
    """By the user who owns what it lies in, again and again, while root hands it over."""
    elsewhere, state = tmp_path / "elsewhere", tmp_path / "state"
    for one in (elsewhere, state, state / "logs"):
        one.mkdir()
    (elsewhere / "index.sqlite").write_text("root's")
    (state / "record.sqlite").write_text("")
    swap = (
        f"import ctypes, os; os.chdir({str(state)!r})\n"
        f"os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})\n"
        "os.symlink('../elsewhere', 'link'); print(flush=True)\n"
        "rename, exchange = ctypes.CDLL(None).renameat2, 2\n"
        "while True: rename(-100, b'link', -100, b'logs', exchange)\n"
    )
    code = (
        "from pathlib import Path;"
        "from netbootd.config import Config, Logs;"
        "from netbootd.handover import hand_over, NotOurs; from netbootd.privilege import User\n"
        f"state, user = Path({str(state)!r}), User('nobody', {NOBODY.pw_uid}, {NOBODY.pw_gid})\n"
        "found = set()\n"
        "for _ in range(4000):\n"
        "    try: hand_over(Config(state=state), Path('/nonexistent/x'), user)\n"
        "    except NotOurs as problem: found.add('refused')\n"
        "    else: found.add('handed')\n"
        "print(*sorted(found))\n"
    )
    for one in (state, state / "logs"):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)
    swapper = subprocess.Popen([sys.executable, "-c", swap], stdout=subprocess.PIPE)
    try:
        assert swapper.stdout.readline()
        argv = [sys.executable, "-c", code]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    finally:
        swapper.kill()
        swapper.wait()
        swapper.stdout.close()
    assert done.stdout.split() == ["handed", "refused"], done.stderr
    assert elsewhere.stat().st_uid == (elsewhere / "index.sqlite").stat().st_uid == 0


@pytest.mark.parametrize("name", ["toor", "netbootd"])
def test_root_by_another_name_is_no_user_to_become(tmp_path, name):
    passwd = tmp_path / "passwd"
    others = [line for line in Path("/etc/passwd").read_text().splitlines(keepends=True)
              if not line.startswith("netbootd:")]  # fmt: skip
    passwd.write_text("".join([*others, f"{name}:x:0:0::/root:/bin/sh\n"]))
    code = (
        "import sys; from pathlib import Path; from netbootd import privilege\n"
        "try: print(privilege.chosen(sys.argv[1], Path(sys.argv[2])))\n"
        "except privilege.NotGivenUp as problem: print('no:', problem)\n"
    )
    named = name if name == "toor" else ""  # that one is the usual
    script = f'mount --bind {passwd} /etc/passwd; exec "$0" -c "$1" "$2" {passwd}'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, sys.executable, code, named],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith(f"no: user {name} is root by another name")
