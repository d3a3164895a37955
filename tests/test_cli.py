"""The commands as an admin types them: output, exit status, and help that teaches."""

from __future__ import annotations

import json

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
        (GOOD.replace('"machines"', '"machine"'), 0, "unknown-section"),
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


def test_a_configuration_that_cannot_be_used_is_status_2(config, capsys):
    assert main(["show", "--config", config("{"), "00:25:90:27:db:b4"]) == 2
    assert "json-syntax" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["show", "not-a-mac"], ["fly"], []])
def test_a_wrong_command_line_is_status_2(arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["check", "--help"], ["simulate", "--help"]]
)
def test_every_command_explains_itself(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert "usage: netbootd" in capsys.readouterr().out


def test_the_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_status_of_no_daemon_says_where_it_looked(config, capsys):
    assert main(["status", "--url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9/status" in capsys.readouterr().err
