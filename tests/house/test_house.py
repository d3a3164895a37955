"""
The rules of the house: imports point down, protocols do not know each other, each library stays
behind its door, and what is pure knows no clock, no chance, no environment and no file.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from netbootd.registry.load import load
from netbootd.relaxedjson import decode
from netbootd.settings import SETTINGS
from netbootd.targets.catalogue import TYPES

from .imports import PACKAGE, PROTOCOLS, calls, floor_of, imports, modules, name_of, own, room_of

ROOT = PACKAGE.parent
#: What examples lack by their nature: the files they name.
NOT_AT_HAND = {"file-missing", "loader-missing", "pi-firmware", "ipxe-vlan"}
EVERY_MODULE = pytest.mark.parametrize("file", modules(), ids=name_of)

#: The one door of each library.
DOORS = {
    "scapy": {"dhcp/wire"},
    "tftpy": {"tftp/wire"},
    "pyroute2": {"interfaces", "neighbours"},
    "libarchive": {"importing/sources"},
    "prometheus_client": {"metrics"},
    "urllib3": {"shipping/web"},
    "rich": {"terminal/paper", "terminal/screen"},
    "shtab": {"commands/completion"},
    "dns": {"naming/nameserver"},
    "cryptography": {"certificate"},
    "OpenSSL": {"http/tls"},
    "jinja2": {"precut", "rendering", "targets/ipxe", "boot/script", "check"},
}
TWISTED = re.compile(
    r"(\w+/service|dhcp/edge|syslog/(?:connections|datagrams)|http/\w+|daemon|serving|descent|collecting|telling|reloading|hooks/hooks|keeper|chronicle|leasing|pacing|nodelogs|journal|watch|naming/(naming|nameserver|updates))$"
)
#: Pure rooms: values in, values out.
PURE = re.compile(
    r"(errors|budget|vitals|boots/progression|shipping/(items|answers)|mac|arch|urls|nearest|relaxedjson|banner|learning|replies|record/(styles|claims)|events/\w+|boot/\w+|dropins/(?:layers|sections)|boots/(?!store)\w+|targets/(?!ipxe)\w+"
    r"|scripts/\w+|api/(values|leases|entry|body|table|no)|registry/(machine|snapshot|live|marks|wildcards|entries|groups|choice)|dhcp/(message|wire|pxe|proxy|destination|frame|styles|fields|telling|overheard|arp|budget|rivals)"
    r"|dhcp/(server|asking|assign|booting|given|granting|matching|naming|prepared|relay|replying|served)"
    r"|tftp/(wire|options|transfer|outcome|habits|limits|gate)"
    r"|bzimage|simulate/walked|why/(?!gather)\w+|macslips|terminal/(words|machines|leases|boots|fleet|logs)|naming/names|replay/(capture|datagram|conversation|said|exchange|telling)"
    r"|leases/(identity|lease|table|usage)|syslog/(wire|framing|netconsole|senders|lines|inbox)|logbook/(line|ecs|marks|trouble|filing|bootlines))$"
)
RIM = {"open", "time.time", "time.monotonic", "os.environ.get", "os.getenv", "random.random"}


@EVERY_MODULE
def test_imports_point_down_or_stay_in_the_room(file):
    here = name_of(file)
    for there in own(file):
        same_room = room_of(here) == room_of(there)
        assert same_room or floor_of(there) <= floor_of(here), (
            f"{here} imports {there}, which is above"
        )


@EVERY_MODULE
def test_protocols_do_not_know_each_other(file):
    here = room_of(name_of(file))
    if here in PROTOCOLS:
        others = {room_of(there) for there in own(file)} & PROTOCOLS - {here}
        assert not others, f"{here} imports {others}"


@EVERY_MODULE
def test_each_library_stays_behind_its_door(file):
    here = name_of(file)
    roots = {name.partition(".")[0] for name in imports(file)}
    for library, doors in DOORS.items():
        assert library not in roots or here in doors, f"{here} imports {library}"
    assert "twisted" not in roots or TWISTED.fullmatch(here), f"{here} imports twisted"


@EVERY_MODULE
def test_the_middle_is_pure(file):
    here = name_of(file)
    if PURE.fullmatch(here):
        assert not calls(file) & RIM, f"{here} is pure"
        outside = {"socket", "os", "time", "random", "subprocess"} - {"os"}
        roots = {name.partition(".")[0] for name in imports(file)}
        assert not roots & outside, f"{here} imports {roots & outside}"


@EVERY_MODULE
def test_packet_sockets_come_from_the_opener(file):
    """One made in another way is missing where the daemon has no rights, as a service."""
    assert name_of(file) == "opener/sockets" or "socket.AF_PACKET" not in file.read_text()


def test_no_module_imports_in_a_circle():
    graph = {name_of(file): own(file) for file in modules()}
    names = set(graph)

    def targets(name):
        return {there if there in names else there.rpartition("/")[0] for there in graph[name]} - {
            ""
        }

    done: set[str] = set()

    def walk(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for there in targets(name) & names:
                walk(there, [*trail, name])
            done.add(name)

    for name in names:
        walk(name, [])


def test_the_live_cell_is_read_at_the_edges_only():
    readers = {
        name_of(file)
        for file in modules()
        if ".snapshot" in re.sub(r"import.*|from.*", "", file.read_text())
    }
    allowed = re.compile(
        r"(\w+/service|dhcp/edge|tftp/locate|http/\w+|api/desk|daemon|telling|reloading|hooks/leases|keeper|chronicle|leasing|pacing|nodelogs|naming/naming|registry/live)"
    )
    assert all(allowed.fullmatch(name) for name in readers), readers


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_in_the_manual_and_the_readme(setting):
    word = f'"{setting.rpartition(".")[2]}"'
    assert word in (ROOT / "etc" / "netbootd.json").read_text()
    assert setting.rpartition(".")[2] in (ROOT / "README.rst").read_text()


@pytest.mark.parametrize("kind", TYPES)
def test_every_target_type_has_an_example_and_is_in_the_readme(kind):
    example = ROOT / "etc" / "machines.d" / f"{kind}.json.example"
    assert f'"{kind}"' in example.read_text()
    assert f"``{kind}``" in (ROOT / "README.rst").read_text()


def test_the_shipped_configuration_is_clean_and_harmless(tmp_path):
    # A copy: an admin's own drop-ins may stand beside the original.
    shutil.copy(ROOT / "etc" / "netbootd.json", tmp_path)
    registry = load(tmp_path / "netbootd.json")
    assert not [finding for finding in registry.findings if finding.level.name != "DEBUG"]
    assert registry.machines == {}
    assert registry.default.title == "localboot/disk"


@pytest.mark.parametrize(
    "example", sorted((ROOT / "etc" / "machines.d").glob("*.example")), ids=lambda path: path.name
)
def test_every_example_loads_and_renders(example, tmp_path):
    from netbootd.check import check
    from netbootd.errors import Level

    (tmp_path / "netbootd.json").write_text((ROOT / "etc" / "netbootd.json").read_text())
    (tmp_path / "machines.d").mkdir()
    (tmp_path / "machines.d" / example.stem).write_text(example.read_text())
    report = check(tmp_path / "netbootd.json")
    worse = [f for f in report.findings if f.level >= Level.WARNING and f.code not in NOT_AT_HAND]
    assert worse == []


def test_all_examples_do_no_harm_to_each_other(tmp_path):
    from netbootd.check import check
    from netbootd.errors import Level

    shutil.copy(ROOT / "etc" / "netbootd.json", tmp_path)
    (tmp_path / "machines.d").mkdir()
    defined = Counter()
    for example in (ROOT / "etc" / "machines.d").glob("*.example"):
        drop_in = decode(example.read_bytes(), example.name).value
        defined.update(list(drop_in["machines"]))
        defined.update((type_, name) for type_, of in drop_in["targets"].items() for name in of)
        shutil.copy(example, tmp_path / "machines.d" / example.stem)
    assert {what for what, times in defined.items() if times > 1} == set()
    report = check(tmp_path / "netbootd.json")
    worse = [f for f in report.findings if f.level >= Level.NOTE and f.code not in NOT_AT_HAND]
    assert worse == []


@pytest.mark.parametrize(
    "words",
    [
        ("check", "etc/netbootd.json"),
        ("diff", "etc/netbootd.json", "etc/netbootd.json"),
        *(
            (*words, "--config", "etc/netbootd.json")
            for words in (
                ("show", "default"),
                ("show", "--as", "grub", "00:25:90:27:db:b4"),
                ("explain", "00:25:90:27:db:b4"),
                ("script", "00:25:90:27:db:b4"),
                ("overlay", "list", "00:25:90:27:db:b4"),
                ("firmware",),
                ("vms", "list"),
            )
        ),
    ],
    ids=" ".join,
)
def test_commands_that_only_read_the_configuration_are_light(words):
    """They import neither scapy nor Twisted: an answer in 30 ms instead of 300."""
    code = (
        "import sys, json; from netbootd.cli import main\n"
        f"status = main({words!r})\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    remembered = {"sqlite3"} if words[0] in ("show", "explain", "script") else set()
    heavy = {"scapy", "twisted", "tftpy", "pyroute2", "rich", "shtab", "sqlite3"} - remembered
    assert not loaded & heavy


@pytest.mark.parametrize(
    "command",
    [
        *("machines", "leases", "why", "timeline", "logs", "status", "watch", "pace", "pace go"),
        *("machines add", "machines set", "machines remove", "reload"),
    ],
)
def test_commands_over_the_api_load_nothing_of_the_daemon(command, tmp_path):
    """And nothing of a terminal's, where there is none: completion of names calls them."""
    words = command.split()
    if words[0] in ("why", "timeline", "logs") or len(words) > 1:
        words += ["00:25:90:27:db:b4", *(["a=1"] if words[-1] == "set" else [])]
    code = (
        "import sys, json; from netbootd.cli import main\n"
        "import netbootd.terminal.boots\n"  # which comes when a daemon has answered
        f"main({words!r} + ['--config', {str(tmp_path / 'none.json')!r}, '--url', 'http://[::1]:9'])\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"scapy", "twisted", "tftpy", "pyroute2", "rich", "shtab", "jinja2"}


def test_a_command_ends_before_anything_is_collected():
    """Neither while it imports, nor at its end; who calls ``main`` keeps the collector he has."""
    code = (
        "import gc, sys; from netbootd import cli; before = gc.get_threshold()\n"
        "seen = []; gc.callbacks.append(lambda phase, about: seen.append(phase))\n"
        "import atexit; atexit.register(lambda: print(len(seen), gc.get_freeze_count()))\n"
        "cli.main(['check', 'etc/netbootd.json'])\n"
        "assert (gc.get_threshold(), bool(seen)) == (before, True)\n"
        "seen.clear(); sys.argv[1:] = ['check', 'etc/netbootd.json']\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    collected, frozen = map(int, done.stdout.splitlines()[-1].split())
    assert collected == 0
    assert frozen > 0


def test_help_and_the_parser_of_a_command_load_next_to_nothing():
    """Every shell that completes, and every script that asks, waits for this."""
    code = (
        "import sys; from netbootd.cli import COMMANDS, _parser\n"
        "_parser('status')\n"
        "loaded = {n.rpartition('.')[2] for n in sys.modules if n.startswith('netbootd.commands.')}\n"
        "assert loaded == {'words', 'daemon', 'status'}, loaded\n"
        "_parser().format_help()\n"
        "heavy = {'netbootd.config', 'netbootd.relaxedjson', 'twisted', 'scapy', 'jinja2', 'shtab', "
        "'rich', 'urllib3', 'importlib.metadata', 'asyncio', 'email', 'http.client'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_each_command_is_added_by_its_module():
    from netbootd.cli import COMMANDS, _parser

    def names(parser):
        return [*next(action for action in parser._actions if action.choices).choices]

    assert names(_parser()) == [name for added in COMMANDS.values() for name in added]
    for module, added in COMMANDS.items():
        for name in added:
            assert names(_parser(name)) == [*added] or module == "completion"
    assert names(_parser("completion")) == names(_parser("--help"))


def test_the_daemon_imports_what_it_does_not_need_yet_later():
    """scapy after it is ready; who ships logs and how, where somebody does."""
    code = (
        "import sys, netbootd.daemon\n"
        "late = {'scapy', 'pyroute2', 'urllib3', 'rich', 'shtab', 'dns', 'libarchive'}\n"
        "assert not late & sys.modules.keys(), late & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
