"""``/scripts/<mac>`` and what lies beside it, as asked over HTTP."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

from netbootd import urls
from netbootd.events.event import NodeScripted, Refused
from netbootd.http.node_script import FILES
from netbootd.registry.load import load

from .inmemory import MAC, Rig

MACHINES = """
    "52:54:00:12:34:60" : { "type" : "nfs", "name" : "a", "hostname" : "node7" },
    "52:54:00:12:34:61" : { "type" : "nfs", "name" : "a", "scripts" : [ "broken" ] },
"""


@pytest.fixture
def rig(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "broken.j2").write_text("echo one\necho {{ no_such_name }}\n")
    return Rig(tmp_path, machines=MACHINES)


@pytest.mark.parametrize(
    "mac", ["52:54:00:12:34:60", "52-54-00-12-34-60", "525400123460", "52:54:00:12:34:60".upper()]
)
def test_a_machine_gets_its_program(rig, mac):
    response = rig.get(f"/scripts/{mac}")
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text.startswith("#!/bin/sh\n")
    assert "name=node7\n" in response.text
    assert subprocess.run(["sh", "-n"], input=response.body, check=True)
    (event,) = rig.events
    assert isinstance(event, NodeScripted)
    assert str(event) == "52:54:00:12:34:60 (nfs/a) got its node script: hostname, hosts"


def test_head_says_the_same_as_get(rig):
    get, head = rig.get("/scripts/525400123460"), rig.ask("HEAD", "/scripts/525400123460")
    same = ("content-length", "etag", "content-type")
    assert head.status == 200
    assert head.body == b""
    assert [head.headers[name] for name in same] == [get.headers[name] for name in same]


def test_the_etag_is_that_of_the_content(rig):
    first = rig.get("/scripts/525400123460").headers["etag"]
    assert first == rig.get("/scripts/525400123460").headers["etag"]
    assert first != rig.get(f"/scripts/{MAC}").headers["etag"]
    again = rig.get("/scripts/525400123460", If_None_Match=first)
    assert (again.status, again.body) == (304, b"")


def test_a_stranger_gets_one_line_and_404(rig):
    response = rig.get("/scripts/02:00:00:00:00:01")
    assert response.status == 404
    assert response.text.count("\n") == 1
    assert "not in the configuration" in response.text


def test_nothing_to_do_is_no_error(rig):
    response = rig.get(f"/scripts/{MAC}")
    assert response.status == 200
    done = subprocess.run(["sh"], input=response.body, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_an_error_tells_its_reason_to_the_log_alone_and_is_never_half_a_script(rig):
    response = rig.get("/scripts/52:54:00:12:34:61")
    assert response.status == 500
    assert "echo" not in response.text
    assert "no_such_name" not in response.text
    (event,) = rig.events
    assert isinstance(event, Refused)
    assert "scripts/broken.j2:2: 'no_such_name' is undefined" in event.reason


def test_a_changed_fragment_counts_from_the_reload_on(rig, tmp_path):
    (tmp_path / "scripts" / "broken.j2").write_text("echo mended\n")
    assert rig.get("/scripts/52:54:00:12:34:61").status == 500
    rig.live.swap(load(tmp_path / "c.json"))
    assert "echo mended\n" in rig.get("/scripts/52:54:00:12:34:61").text


@pytest.mark.parametrize("path", ["/scripts/", "/scripts/x", "/scripts/netbootd-envy"])
def test_what_is_no_machine_is_not_found(rig, path):
    assert rig.get(path).status == 404


# -- how a node comes to run it --------------------------------------------------------------------


def test_every_file_has_its_address_and_the_other_way_round():
    assert FILES.keys() == urls.NODE_FILES


@pytest.mark.parametrize("name", FILES)
def test_each_is_served_and_finds_us(rig, name):
    response = rig.get(f"/scripts/{name}")
    assert response.status == 200
    assert "@BASE@" not in response.text
    assert "//SERVER" not in response.text


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
@pytest.mark.parametrize("name", ["netbootd-env", "netbootd-dracut.sh"])
def test_shellcheck_finds_nothing(name):
    excluded = "SC2154" if "dracut" in name else "SC0000"  # NEWROOT is dracut's
    words = ["shellcheck", "--shell=sh", f"--exclude={excluded}", "-"]
    done = subprocess.run(words, input=FILES[name], capture_output=True, text=True, check=False)
    assert done.stdout == ""


_ASK = 'echo "$NETBOOTD_SCRIPT_URL $NETBOOTD_DONE_URL $NETBOOTD_FAILED_URL"'


@pytest.mark.parametrize(
    ("arguments", "url", "query"),
    [
        ("BOOTIF=01-52-54-00-12-34-60 ro", "http://192.0.2.1:3000/scripts/52-54-00-12-34-60", ""),
        (
            "ro netbootd.script=http://b/scripts/52-54-00-12-34-61 netbootd.token=abc",
            "http://b/scripts/52-54-00-12-34-61",
            "?token=abc",
        ),
        ("ro quiet", "http://192.0.2.1:3000/scripts/52:54:00:00:00:99", ""),
    ],
)
def test_an_image_finds_out_which_machine_it_is(rig, tmp_path, arguments, url, query):
    """The files of /proc and /sys that it reads stand in a folder of the test."""
    (tmp_path / "cmdline").write_text(arguments + "\n")
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway\neth1\t0000000A\t00000000\neth0\t00000000\t0100000A\n"
    )
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0" / "address").write_text("52:54:00:00:00:99\n")
    env = rig.get("/scripts/netbootd-env").text
    for real, ours in (("/proc/cmdline", "cmdline"), ("/proc/net/route", "route")):
        env = env.replace(real, str(tmp_path / ours))
    env = env.replace("/sys/class/net", str(tmp_path))
    done = subprocess.run(
        ["sh", "-eu"], input=f"{env}\n{_ASK}\n", capture_output=True, text=True, check=True
    )
    script, done_url, failed_url = done.stdout.split()
    base, _, mac = url.rpartition("/scripts/")
    assert script == url
    assert done_url == f"{base}/done/{mac}{query}"
    assert failed_url == f"{base}/failed/{mac}{query}"


def test_the_manifest_for_smartos_runs_the_runner(rig):
    root = ET.fromstring(rig.get("/scripts/netbootd.xml").text)
    methods = {method.get("name"): method for method in root.iter("exec_method")}
    assert methods["start"].get("exec") == "/bin/sh /opt/custom/netbootd/script"
    names = {value.get("name") for value in methods["start"].iter("envvar")}
    assert {"NETBOOTD_ENV", "NETBOOTD_WORK", "PATH"} <= names
    duration = [value.get("value") for value in root.iter("propval")]
    assert duration == ["transient"]
