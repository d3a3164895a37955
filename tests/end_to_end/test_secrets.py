"""
Secret values in a running daemon: every place of the configuration that takes one has one, all
commands, pages, logs and files are searched for them, and only what is made for a machine has them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import Daemon

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

INSTALLED, DISK, BROKEN, GRUB = (f"52:54:00:00:00:0{number}" for number in range(1, 5))
BASE = f"http://{BOOT_SERVER}:3000"
WORD = "canary"
#: Where each stands, and its value.
CANARIES = {
    "machine": f"{WORD}-machine$6$'\"\\x",
    "group": f"{WORD}-group",
    "target": f"{WORD}-target",
    "vars": f"{WORD}-vars",
    "own": f"{WORD}-own",
    "subnet": f"{WORD}-subnet",
    "chap": f"{WORD}-chap",
    "reverse": f"{WORD}-reverse",
    "broken": f"{WORD}-broken",
    "vm": f'{WORD}-vm"\\y',
    "ship": f"user:{WORD}-ship",
}
KICKSTART = """{{ machine_pw }} {{ group_pw }} {{ target_pw }} {{ vars_pw }} {{ own.deep[0].pw }}
{{ subnet_pw }} {{ machine_pw|json }} {{ machine_pw|sh }} {{ hostname }}
"""
#: Jinja2 says of this which key it did not find; with a stand-in all is well.
QUOTES = "{% if '<secret' not in broken_pw %}{{ {}[broken_pw].x }}{% endif %}\n"


class Site:
    """The daemon with all of it; *config* is its file."""

    def __init__(self, lab: Lab, daemon: Daemon, config: Path, folder: Path) -> None:
        self.lab, self.daemon, self.config, self.folder = lab, daemon, config, folder
        socket = str(folder / "state" / "api.sock")
        events = ("curl", "-sSN", "--unix-socket", socket, "http://localhost/api/v1/events")
        watch = (str(NETBOOTD), "watch", "--config", str(config))
        #: Those that are told of all that happens, as long as the tests go on.
        self.streams = [lab.spawn("boot", *argv) for argv in (events, watch, (*watch, "--json"))]

    def get(self, path: str, *options: str) -> str:
        return self.lab.run("lan", "curl", "-sS", "-m", "20", *options, f"{BASE}{path}")

    def local(self, path: str) -> str:
        socket = str(self.folder / "state" / "api.sock")
        url = f"http://localhost{path}"
        return self.lab.run("boot", "curl", "-sS", "-m", "20", "--unix-socket", socket, url)

    def command(self, *words: str) -> str:
        """What a command says, by whatever way, and however it ends."""
        argv = self.lab.inside("boot", str(NETBOOTD), *words)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("secrets")
    for name, value in CANARIES.items():
        place = folder / ("credentials" if name == "own" else "secrets") / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(value + "\n")
        place.chmod(0o600)
    root = folder / "srv"
    root.mkdir()
    for name in ("vmlinuz", "initrd"):
        (root / name).write_bytes(b"x" * 1000)
    (root / "ks.cfg.j2").write_text(KICKSTART)
    (root / "quotes.cfg.j2").write_text(QUOTES)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "secret.sh.j2").write_text("echo {{ machine_pw|sh }} {{ vars_pw }}\n")
    (folder / "overlays" / "o" / "etc").mkdir(parents=True)
    (folder / "overlays" / "o" / "etc" / "pw.j2").write_text("{{ group_pw }} {{ own.deep[0].pw }}")
    config = write_config(folder / "netbootd.json", configuration(folder))
    with pytest.MonkeyPatch.context() as patched, Lab() as lab:
        patched.setenv("CREDENTIALS_DIRECTORY", str(folder / "credentials"))
        yield Site(lab, lab.netbootd(config), config, folder)


def configuration(folder: Path) -> dict[str, object]:
    def secret(name: str) -> dict[str, str]:
        return {"secret_file": f"secrets/{name}"}

    linux = {"kernel": "/vmlinuz", "initrd": "/initrd"}
    args = "pw=__vars_pw__,__group_pw__,__target_pw__ inst.ks=__answer__"
    iscsi = {"server": "192.0.2.5", "target": "iqn.2004-01.org.x:y", "username": "u"}
    iscsi |= {"password": secret("chap"), "reverse_username": "r"}
    iscsi["reverse_password"] = secret("reverse")
    install = {"type": "install", "name": "a"}
    return {
        "own": {"deep": [{"pw": {"secret_credential": "own"}}]},
        "vars": {"vars_pw": secret("vars")},
        "subnets": {"192.0.2.0/24": {"vars": {"subnet_pw": secret("subnet")}}},
        "groups": {"g": {"group_pw": secret("group"), "overlays": ["o"]}},
        "targets": {
            "install": {
                "a": {
                    **linux,
                    "answer": "/ks.cfg",
                    "boot_args": args,
                    "target_pw": secret("target"),
                    "scripts": ["secret"],
                },
                "q": {**linux, "answer": "/quotes.cfg", "boot_args": "ks=__answer__"},
            },
            "iscsi": {"d": {"iscsi": iscsi}},
        },
        "vms": {
            "web": {
                "brand": "joyent",
                "alias": "www",
                "customer_metadata": {"root_pw": secret("vm")},
            }
        },
        "machines": {
            INSTALLED: {
                **install,
                "group": "g",
                "machine_pw": secret("machine"),
                "hostname": "node1",
                "vms": ["www"],
            },
            DISK: {"type": "iscsi", "name": "d"},
            BROKEN: {"type": "install", "name": "q", "broken_pw": secret("broken")},
            GRUB: {
                **install,
                "group": "g",
                "machine_pw": secret("machine"),
                "hostname": "node2",
                "loader": "grub",
            },
        },
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(folder / "srv"),
            "state": str(folder / "state"),
            "ship": {"elasticsearch": [f"http://{BOOT_SERVER}:9"], "credentials": secret("ship")},
        },
    }


def test_a_machine_gets_them_in_all_that_is_made_for_it(site: Site) -> None:
    found = site.get(f"/boot/{INSTALLED}")
    assert f"pw={CANARIES['vars']},{CANARIES['group']},{CANARIES['target']} " in found
    answer = site.get(f"/{INSTALLED}/ks.cfg")
    first, second = answer.splitlines()
    own = [CANARIES[name] for name in ("machine", "group", "target", "vars", "own")]
    assert first == " ".join(own)
    assert second.startswith(f"{CANARIES['subnet']} {json.dumps(CANARIES['machine'])} ")
    assert "<" not in answer
    assert f"{CANARIES['vars']}\n" in site.get(f"/scripts/{INSTALLED}")
    site.get(f"/overlay/{INSTALLED}.cpio", "-o", str(site.folder / "got.cpio"))
    cpio = (site.folder / "got.cpio").read_bytes()
    (site.folder / "got.cpio").unlink()
    assert f"{CANARIES['group']} {CANARIES['own']}".encode() in cpio
    script = site.get(f"/boot/{DISK}")
    assert f"set password {CANARIES['chap']}" in script
    assert f"set reverse-password {CANARIES['reverse']}" in script


def test_another_loader_gets_them_too(site: Site) -> None:
    url = f"tftp://{BOOT_SERVER}/grub/grub.cfg-01-{GRUB.replace(':', '-')}"
    found = site.lab.run("lan", "curl", "-sS", "-m", "20", url)
    assert CANARIES["group"] in found


def test_a_description_of_a_vm_has_its_value_for_its_machine(site: Site) -> None:
    paths = (f"/machines/{INSTALLED}/vms", "/vms/web.json")
    for path in paths:
        assert WORD not in site.get(path)
    site.get(f"/boot/{INSTALLED}", "-A", "iPXE/1.21")  # its address is known from here on
    (its_own,) = json.loads(site.get(paths[0]))
    assert its_own["customer_metadata"]["root_pw"] == CANARIES["vm"]
    assert json.loads(site.get(paths[1])) == its_own
    for path in (*paths, "/vms/"):
        assert WORD not in site.lab.run("boot", "curl", "-sS", f"{BASE}{path}")


def test_an_error_of_a_template_does_not_quote_one(site: Site) -> None:
    answer = site.get(f"/{BROKEN}/quotes.cfg")
    assert WORD not in answer
    assert "error" in answer
    script = site.get(f"/boot/{BROKEN}")
    assert "cannot boot" in script
    assert WORD not in script
    site.daemon.wait_for(r"quotes\.cfg\.j2:1: it cannot be made with its secrets", 10)


def commands(site: Site) -> list[tuple[str, ...]]:
    config = ("--config", str(site.config))
    other = site.folder / "other.json"
    other.write_text(site.config.read_text().replace("secrets/vars", "secrets/subnet"))
    found: list[tuple[str, ...]] = [
        ("check", str(site.config)),
        ("check", "--json", str(site.config)),
        ("check", "--machines", str(site.config)),
        ("diff", str(site.config), str(other)),
        ("diff", "--json", str(site.config), str(other)),
    ]
    for word in ("show", "explain", "script", "overlay", "simulate", "why", "timeline"):
        found.append((word, INSTALLED, *config))
    found += [(word, INSTALLED, "--json", *config) for word in ("show", "explain")]
    found += [("show", mac, *config) for mac in (DISK, BROKEN)]
    found.append(("show", GRUB, "--as", "grub", *config))
    found += [(word, "--json", *config) for word in ("status", "machines", "logs")]
    found += [(word, *config) for word in ("status", "machines", "logs", "firmware", "styles")]
    found += [("logs", INSTALLED, *config), ("why", BROKEN, *config), ("timeline", DISK, *config)]
    found += [("vms", "list", *config), ("vms", "show", "web", *config)]
    found += [("simulate", mac, *config) for mac in (DISK, BROKEN, GRUB)]
    found += [("simulate", INSTALLED, "--json", *config), ("doctor", "eth0", *config)]
    found.append(("doctor", "--json", "eth0", *config))
    return found


def test_no_command_says_one(site: Site) -> None:
    said = 0
    for words in commands(site):
        told = site.command(*words)
        assert WORD not in told, words
        said += "<secret:" in told
    assert said >= 6  # commands that would have shown one


PAGES = (
    *("/status", "/metrics", "/healthz", "/ui", "/ui/", "/api/v1/openapi.json", "/vms/"),
    *(f"/api/v1/{page}" for page in ("machines", "status", "findings", "transfers", "targets")),
    *(f"/api/v1/{page}" for page in ("groups", "fleet", "leases", "unknown", "pace")),
    *(f"/api/v1/machines/{mac}" for mac in (INSTALLED, DISK, BROKEN)),
    *(
        f"/api/v1/machines/{INSTALLED}/{page}"
        for page in ("boots", "timeline", "why", "logs", "?effective=1")
    ),
)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_says_one(site: Site, path: str) -> None:
    assert WORD not in site.get(path)
    assert WORD not in site.local(path)


def test_no_log_and_no_file_has_one_after_all_of_it(site: Site) -> None:
    site.get(f"/boot/{INSTALLED}", "-A", "iPXE/1.21")
    site.get(f"/{BROKEN}/quotes.cfg")
    site.daemon.reload()
    for stream in site.streams:
        stream.wait_for("node1", 30)
        assert WORD not in stream.text
    assert WORD not in site.daemon.text
    assert "Traceback" not in site.daemon.text
    files = [path for path in (site.folder / "state").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert WORD.encode() not in path.read_bytes(), path


def test_a_reload_reads_them_again_and_refuses_what_others_may_read(site: Site) -> None:
    file = site.folder / "secrets" / "vars"
    file.write_text(f"{WORD}-second")
    site.daemon.reload()
    assert f"{WORD}-second," in site.get(f"/boot/{INSTALLED}")
    file.chmod(0o644)
    told = site.command("check", str(site.config))
    assert f"chmod 0600 {file}" in told
    assert WORD not in told
    site.daemon.send(signal.SIGHUP)
    site.daemon.wait_for(f"chmod 0600 {file}", 15)
    site.daemon.wait_for("reload refused", 15)
    assert f"{WORD}-second," in site.get(f"/boot/{INSTALLED}")  # what it had goes on
    file.chmod(0o600)
    file.write_text(CANARIES["vars"])
    site.daemon.reload()
    assert f"{CANARIES['vars']}," in site.get(f"/boot/{INSTALLED}")


def test_a_large_configuration_is_read_by_another_process_and_has_them(site: Site) -> None:
    """That hands over what it has read, values among it."""
    config = json.loads(site.config.read_text())
    plain = {"type": "iscsi", "name": "d", "machine_pw": {"secret_file": "secrets/machine"}}
    config["machines"] |= {f"52:54:00:01:{n // 256:02x}:{n % 256:02x}": plain for n in range(9000)}
    drop_in = {"machines": config["machines"]}
    folder = site.folder / "machines.d"
    folder.mkdir(exist_ok=True)
    write_config(folder / "many.json", drop_in)
    try:
        site.daemon.reload(60)
        assert f"set password {CANARIES['chap']}" in site.get("/boot/52:54:00:01:00:05")
        assert WORD not in site.command("show", "52:54:00:01:00:05", "--config", str(site.config))
        assert "reading it here" not in site.daemon.text
    finally:
        (folder / "many.json").unlink()
        site.daemon.reload(60)
