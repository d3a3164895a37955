"""The commands as an admin types them: output, exit status, and help that teaches."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from ipaddress import ip_address

import pytest

from netbootd import __version__
from netbootd.cli import main

GOOD = '{ "targets" : { "localboot" : { "disk" : {} } }, "machines" : { "default" : { "type" : "localboot", "name" : "disk" } } }'


@pytest.fixture
def config(tmp_path):
    def write(text, name="c.json"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (GOOD, 0, "nothing wrong"),
        (GOOD.replace('"disk" }', '"dsk" }'), 1, "target-unknown"),
        (GOOD.replace("{ }", "{").replace(" } }", " "), 2, "json-syntax"),
        (GOOD.replace('"machines"', '"machine"'), 2, "unknown-section"),
        (GOOD.replace('"machines"', '"site": 1, "machines"'), 0, "unknown-section"),
        (GOOD.replace('"default"', '"00:25:90:27:dg:b4": {}, "default"'), 2, "column 14: 'g'"),
    ],
)
def test_check_tells_how_bad_it_is_by_its_exit_status(config, capsys, text, status, says):
    assert main(["check", config(text)]) == status
    assert says in capsys.readouterr().out


def test_check_as_json_is_for_machines(config, capsys):
    main(["check", "--json", config(GOOD.replace('"disk" }', '"dsk" }'))])
    [finding] = json.loads(capsys.readouterr().out)
    assert finding["code"] == "target-unknown"
    assert finding["level"] == "target error"
    assert finding["line"] == 1


def test_check_of_several_files_takes_the_worst(config, capsys):
    assert main(["check", config(GOOD), config("{", "d.json")]) == 2
    assert main(["check", str(config(GOOD)) + ".missing"]) == 2
    assert "file-read" in capsys.readouterr().out


def test_show_gives_the_reasons_and_the_script(config, capsys):
    assert main(["show", "--config", config(GOOD), "00-25-90-27-DB-B4"]) == 0
    told = capsys.readouterr().out
    assert "machine   00:25:90:27:db:b4" in told
    assert "machines.default: localboot/disk" in told
    assert "#!ipxe\n" in told


def test_show_of_a_machine_that_gets_nothing_says_so(config, capsys):
    empty = config('{ "targets" : {}, "machines" : {} }')
    assert main(["show", "--config", empty, "00:25:90:27:db:b4"]) == 1
    assert "no machines.default" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mac", "reasons"),
    [
        (
            "00-25-90-27-DB-B4",
            ["nfs/a cannot boot: it has an error in the configuration", "target-empty"],
        ),
        (
            "00:25:90:27:db:b5",
            ["nfs/zz cannot boot: there is no such target", "target-unknown"],
        ),
        ("default", ["nfs/zzz cannot boot: there is no such target", 'no target "zzz"']),
    ],
)
def test_show_of_a_broken_machine_says_what_is_wrong_and_where(config, capsys, mac, reasons):
    text = """{ "targets" : { "nfs" : { "a" : { }, "ab" : { } } }, "machines" : {
        "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "a" },
        "00-25-90-27-DB-B5" : { "type" : "nfs", "name" : "zz" },
        "default" : { "type" : "nfs", "name" : "zzz" } } }"""
    assert main(["show", "--config", config(text), mac]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("broken ")]
    assert len(told) == len(reasons)
    assert all(reason in line for reason, line in zip(reasons, told, strict=True))


@pytest.mark.parametrize(
    ("loader", "files", "told"),
    [
        ('"ipxe"', ["snponly.efi"], ["UEFI x64: snponly.efi", "BIOS x86, UEFI ARM64, UEFI IA32: none"]),
        ('"shim-grub"', ["shimx64.efi"], ["UEFI x64: shimx64.efi (the", "BIOS x86, UEFI ARM64"]),
        ('"shim-grub"', [], ["UEFI x64: nothing; no loader for", "BIOS x86, UEFI ARM64, UEFI IA32: "]),
        ('{ "efi-ia32" : "grub" }', ["snponly.efi"], ["UEFI x64: snp", "UEFI IA32: nothing; no load", "BIOS"]),
    ],
)  # fmt: skip
def test_show_is_brief_about_loaders_that_nobody_chose(
    config, tmp_path, capsys, loader, files, told
):
    (tmp_path / "fw").mkdir()
    for name in files:
        (tmp_path / "fw" / name).write_bytes(b"loader")
    text = """{ "targets" : { "localboot" : { "d" : { } } }, "netbootd" : { "firmware" : "fw" },
        "machines" : { "00:25:90:27:db:b4" :
           { "type" : "localboot", "name" : "d", "loader" : %s } } }"""
    assert main(["show", "--config", config(text % loader), "00:25:90:27:db:b4"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("loader ")]
    assert len(lines) == len(told)
    assert all(sign in line for sign, line in zip(told, lines, strict=True))


def test_show_default_is_what_a_stranger_gets(config, capsys):
    assert main(["show", "--config", config(GOOD), "default"]) == 0
    told = capsys.readouterr().out
    assert "any machine that is not listed" in told
    assert "target    localboot/disk" in told
    assert "broken" not in told


def test_a_configuration_that_cannot_be_used_is_status_2(config, capsys):
    assert main(["show", "--config", config("{"), "00:25:90:27:db:b4"]) == 2
    assert "json-syntax" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["show"], ["show", "--as", "lilo", "default"], ["fly"], []])
def test_a_wrong_command_line_is_status_2(arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2


def test_check_takes_the_usual_file_where_none_is_said(config, capsys, monkeypatch):
    monkeypatch.setenv("NETBOOTD_CONFIG", str(config(GOOD)))
    assert main(["check"]) == 0
    assert f"{config(GOOD)}: " in capsys.readouterr().out


def test_check_is_told_its_file_as_other_commands_are_too(config, capsys):
    good, broken = config(GOOD), config("{", "d.json")
    assert main(["check", "--config", good]) == 0
    assert main(["check", good, "--config", broken]) == 2
    told = capsys.readouterr().out
    assert told.count(f"{good}: ") == 2
    assert "json-syntax" in told


@pytest.mark.parametrize("command", ["run", "check", "show", "simulate", "status"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "usage: netbootd" in told
    assert f"examples:\n  netbootd {command}" in told
    assert "\nexit status: 0 " in told


def test_the_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"netbootd {name} " in told for name in ("check", "run", "show", "simulate"))


@pytest.mark.parametrize(
    "arguments", [["check", "{}"], ["show", "--config", "{}", "default"], ["--help"]]
)
def test_a_full_disk_is_told_in_one_line(config, arguments):
    command = [sys.executable, "-m", "netbootd", *(a.format(config(GOOD)) for a in arguments)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env={})
    assert done.returncode == 1
    assert done.stderr == "netbootd: [Errno 28] No space left on device\n"


def test_a_reader_that_has_gone_is_no_traceback(config):
    command = [sys.executable, "-m", "netbootd", "check", config(GOOD)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={}
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.parametrize("arguments", ["check {}", "styles --config {}", "machines list --help"])
def test_an_output_that_the_shell_has_closed_is_no_traceback(config, arguments):
    netbootd = f"{sys.executable} -m netbootd {arguments.format(config(GOOD))} >&-"
    done = subprocess.run(["sh", "-c", netbootd], stderr=subprocess.PIPE, text=True, env={})
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_is_no_traceback(config, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("netbootd.check.check", interrupted)
    monkeypatch.setattr("netbootd.cli._give_up_output", lambda: None)
    assert main(["check", config(GOOD)]) == 130
    assert capsys.readouterr().err == ""


def test_a_complaint_moves_no_cursor(tmp_path, capsys):
    assert main(["replay", str(tmp_path / "a\x1b[2J"), "--config", "etc/netbootd.json"]) == 1
    told = capsys.readouterr().err
    assert "a\\x1b[2J" in told
    assert "\x1b" not in told


def test_the_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_status_of_no_daemon_says_where_it_looked(config, capsys):
    assert main(["status", "--url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9/status" in capsys.readouterr().err


class Daemon:
    """Answers ``/status`` with *body* and remembers who asked what."""

    def __init__(self, body):
        self.body, self.asked = body, []

    def __call__(self, url, timeout):
        self.asked.append(url)
        return io.BytesIO(self.body.encode())


@pytest.fixture
def daemon(monkeypatch):
    answering = Daemon("{}")
    monkeypatch.setattr("urllib.request.urlopen", answering)
    return answering


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ('{ "netbootd" : { "http_port" : [ 8080, 80 ] } }', 8080),
        ('{ "netbootd" : { "http_port" : 8080, "grace" : "x" }, "machines" : 7 }', 8080),
        ('{ "netbootd" : { "http_port" : "x" } }', 3000),
        ('{ "netbootd" : 7 }', 3000),
        ("{ oops", 3000),
    ],
)
def test_status_asks_whatever_is_wrong_with_the_configuration(config, daemon, text, port):
    assert main(["status", "--config", config(text)]) == 0
    assert daemon.asked == [f"http://127.0.0.1:{port}/status"]


def test_status_needs_no_configuration_at_all(daemon, tmp_path):
    assert main(["status", "--config", str(tmp_path / "none.json")]) == 0
    assert daemon.asked == ["http://127.0.0.1:3000/status"]


def test_status_loads_no_machines(config, daemon, monkeypatch):
    monkeypatch.setattr("netbootd.registry.load.load", None)
    assert main(["status", "--config", config(GOOD)]) == 0


def test_status_stands_in_two_columns(config, daemon, capsys):
    daemon.body = json.dumps(
        {
            "generation": 7,
            "last_reload": "refused: c.json:3:5: error: json-syntax",
            "troubles": ["UDP port 69", "TCP port 3000"],
            "nothing": [],
            "events": {"dropped.dhcp": 12},
        }
    )
    assert main(["status", "--config", config(GOOD)]) == 0
    assert capsys.readouterr().out == (
        "generation           7\n"
        "last_reload          refused: c.json:3:5: error: json-syntax\n"
        "troubles             UDP port 69\n"
        "                     TCP port 3000\n"
        "nothing              none\n"
        "events.dropped.dhcp  12\n"
    )


@pytest.mark.parametrize("body", ["[]", "7", "<html>", ""])
def test_status_of_something_else_is_told_as_such(config, daemon, capsys, body):
    daemon.body = body
    assert main(["status", "--config", config(GOOD)]) == 1
    assert "http://127.0.0.1:3000/status" in capsys.readouterr().err


NODE = '"00:25:90:27:db:b4" : { "type" : "localboot", "name" : "disk", %s }, "default"'


def test_script_prints_what_the_node_will_fetch(config, capsys):
    file = config(GOOD.replace('"default"', NODE % '"hostname" : "node7"'))
    assert main(["script", "--config", file, "0025.9027.dbb4"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#!/bin/sh\n")
    assert "name=node7\n" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_script_can_be_run_though_the_nodes_address_is_not_known(config, capsys):
    file = config(GOOD.replace('"default"', NODE % '"hostname" : "node7"'))
    assert main(["script", "--config", file, "00:25:90:27:db:b4"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" node7")]
    assert ip_address(line.split()[0]).is_unspecified


def test_script_says_what_is_wrong_with_it(config, capsys):
    file = config(GOOD.replace('"default"', NODE % '"scripts" : "no-such"'))
    assert main(["script", "--config", file, "00:25:90:27:db:b4"]) == 1
    assert "no-such" in capsys.readouterr().err
    file = config(GOOD.replace('"default"', '"00:25:90:27:db:b5"'))
    assert main(["script", "--config", file, "00:25:90:27:db:b4"]) == 1
    assert "not in the configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("staus",), "status"),
        (("pace", "puase"), "pause"),
        (("pace", "resmue", "--json"), "resume"),
        (("machines", "ad"), "add"),
        (("vms", "lsit"), "list"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_likeliest(words, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(f'; did you mean "{meant}"?')


def test_a_word_like_none_is_told_what_there_is(capsys):
    with pytest.raises(SystemExit):
        main(["pace", "xyzzy"])
    told = capsys.readouterr().err
    assert "resume" in told
    assert "did you mean" not in told
