"""
``--json`` of the commands that read the configuration: one document, whose facts are those of the
text, with the same exit status.  The configuration is the sample, with all its examples of drop-ins.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netbootd.cli import main
from netbootd.record.store import Store
from netbootd.record.styles import Worked

ETC = Path(__file__).parents[2] / "etc"

LAID, VLAN, BROKEN = "00:00:5e:00:53:2d", "00:00:5e:00:53:50", "02:00:5e:00:53:98"
NOBODY = "02:00:5e:00:53:99"
#: The targets of the examples, one each, and who has no entry.
ALL = [*(f"00:00:5e:00:53:{number:02x}" for number in range(1, 0x1F, 4)), VLAN, BROKEN, NOBODY]

Both = Callable[..., tuple[str, Any]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample configuration with all drop-ins, and a state folder of its own."""
    folder = tmp_path_factory.mktemp("etc")
    text = (ETC / "netbootd.json").read_text()
    assert '"/var/lib/netbootd"' in text
    text = text.replace('"/var/lib/netbootd"', json.dumps(str(folder / "state")))
    (folder / "netbootd.json").write_text(text)
    (folder / "machines.d").mkdir()
    for example in (ETC / "machines.d").glob("*.example"):
        shutil.copy(example, folder / "machines.d" / example.stem)
    (folder / "state").mkdir()
    (folder / "overlays" / "rack" / "etc").mkdir(parents=True)
    (folder / "overlays" / "rack" / "etc" / "rack.j2").write_text("{{ hostname }}\n")
    (folder / "overlays" / "rack" / "etc" / "link").symlink_to("/etc/rack")
    node = {"type": "linux", "name": "laid", "overlays": ["rack"]}
    target = {"kernel": "http://192.0.2.9/vmlinuz", "overlay": "25%"}
    laid = {
        "targets": {"linux": {"laid": target}},
        "machines": {LAID: node, BROKEN: {**node, "name": "none"}},
    }
    (folder / "machines.d" / "laid.json").write_text(json.dumps(laid))
    return folder / "netbootd.json"


@pytest.fixture
def both(sample: Path, capsys: pytest.CaptureFixture[str]) -> Both:
    """The text of a command, and the document; the exit status must be *status* for each."""

    def run(*command: str, status: int | None = None, config: bool = True) -> tuple[str, Any]:
        where = ["--config", str(sample)] if config else []
        ended = main([*command, *where])
        text = capsys.readouterr().out
        assert main([*command, "--json", *where]) == ended
        document = json.loads(capsys.readouterr().out)
        assert isinstance(document, dict)
        assert status is None or ended == status
        assert "boots" not in document or document["boots"] is (ended == 0)
        return text, document

    return run


def after(word: str, text: str) -> list[str]:
    """What stands behind *word* in the lines that begin with it."""
    lines = re.findall(rf"^{re.escape(word)} +(.*)$", text, re.MULTILINE)
    return [line.strip() for line in lines]


@pytest.mark.parametrize("who", [*ALL, "default"])
def test_show(both: Both, who: str) -> None:
    text, document = both("show", who)
    head = text.removesuffix(document["script"])
    assert head != text
    assert after("target", head) == [document["target"] or "none"]
    assert after("because", head) == document["because"]
    told = [f"{name} = {value}" for name, value in sorted(document["variables"].items())]
    assert after("variable", head) == [line.splitlines()[0] for line in told]
    broken = after("broken", head)
    assert len(broken) == (0 if document["boots"] else 1 + len(document["findings"]))
    for loader in document["loaders"]:
        assert (loader["loader"] or loader["arch"]["name"]) in "".join(after("loader", head))
    assert [f"--as {one}" in head for one in document["others"]] == [True] * len(document["others"])


def test_show_of_what_is_broken_has_the_finding(both: Both) -> None:
    _, document = both("show", BROKEN, status=1)
    [finding] = document["findings"]
    assert (finding["code"], finding["level"]) == ("target-unknown", "target error")
    assert Path(finding["file"]).name == "laid.json"
    assert finding["path"].startswith(f'machines."{BROKEN}"')


@pytest.mark.parametrize("reader", ["grub", "pxelinux", "pi"])
def test_show_as_another_loader(both: Both, reader: str) -> None:
    text, document = both("show", "--as", reader, ALL[0])
    assert document["as"] == reader
    assert len(document["files"]) == (2 if reader == "pi" else 1)
    for file in document["files"]:
        assert (file["script"] or file["says"]) in text


@pytest.mark.parametrize("who", [*ALL, "default"])
def test_explain(both: Both, who: str) -> None:
    text, document = both("explain", who)
    assert after("because", text) == document["because"]
    assert after("boots", text) == [document["target"] or document["says"]]
    [winner] = [rule for rule in document["rules"] if rule["wins"]]
    [found] = after("found by", text)
    place = "{file}:{line}:{column}".format(**winner["found"])
    assert found == f'{winner["by"]}: {place}: "{winner["found"]["key"]}"'
    values = document["entry"]["values"]
    told = [f"{one['by']}, {one['file']}:{one['line']}:{one['column']})" for one in values]
    lines = [line for line in text.splitlines() if line.startswith(("value ", "  hidden "))]
    assert [line.endswith(end) for line, end in zip(lines, told, strict=True)] == [True] * len(told)
    assert [line.startswith("value") for line in lines] == [one["counts"] for one in values]
    loaders = [
        f"{one['name']}: {one['path'] or 'not found'}" for one in document["firmware"]["loaders"]
    ]
    assert [line for line in after("loader", text) if "is needed" not in line] == loaders
    style = document["firmware"]["style"]
    assert [line.partition(":")[0] for line in after("style", text)] == [style["name"]]


def test_explain_of_an_ipxe_in_the_card_says_nothing_of_loaders(both: Both) -> None:
    text, document = both("explain", "--firmware", "ipxe", "--serial", "SN 1", ALL[0], status=0)
    assert document["firmware"] is None
    assert document["arch"] is None
    assert document["marks"] == {"serial": {"said": "SN 1", "usable": True}}
    assert after("serial", text) == ["SN 1"]


@pytest.mark.parametrize("who", ALL)
def test_simulate(both: Both, who: str) -> None:
    text, document = both("simulate", who)
    steps = document["steps"]
    titles = re.findall(r"^ ?\d+  (.*)$", text, re.MULTILINE)
    assert titles == [step["title"] for step in steps]
    files = [file for step in steps for file in step["files"]]
    assert after("        SHA-256", text) == [file["sha256"] for file in files]
    assert document["files"] == len(files)
    assert document["bytes"] == sum(file["size"] for file in files)
    assert document["how"] in text.splitlines()[-1]
    ending = {"failed": "FAILED", "not-simulated": "NOT SIMULATED", "unchecked": "All is well"}
    assert ending.get(document["ending"], document["how"]) in text.splitlines()[-1]
    script = [line for step in steps for line in (step["script"] or "").splitlines()]
    assert re.findall(r"^        \| (.*)$", text, re.MULTILINE) == script
    details = [f"{one['name']:<15} {one['value']}" for step in steps for one in step["details"]]
    assert [line for line in details if f"        {line}\n" not in text] == []


def test_a_simulated_boot_that_goes_well(both: Both) -> None:
    _, document = both("simulate", NOBODY, status=0)
    assert (document["ending"], document["unchecked"]) == ("boots", [])
    assert document["seconds"] > 0


def test_overlay_list(both: Both) -> None:
    text, document = both("overlay", "list", LAID, status=0)
    assert text.splitlines()[0] == f"{LAID} ({document['target']}): overlays rack"
    assert document["overlays"] == ["rack"]
    assert [line.split()[1] for line in text.splitlines()[1:]] == [
        file["path"] for file in document["files"]
    ]
    link, rendered = document["files"]
    assert (link["path"], link["link"], link["rendered"]) == ("/etc/link", "/etc/rack", False)
    assert (rendered["path"], rendered["link"], rendered["rendered"]) == ("/etc/rack", None, True)
    assert re.fullmatch(r"0[0-7]{3}", rendered["mode"])


def test_vms_list(both: Both) -> None:
    text, document = both("vms", "list", status=0)
    assert document["vms"]
    for line, vm in zip(text.splitlines(), document["vms"], strict=True):
        assert line.split()[0] == vm["key"]
        assert line.endswith(vm["source"])
        assert (", ".join(vm["machines"]) or "-") in line
        assert (f"{len(vm['remarks'])} remark" in line) == bool(vm["remarks"])


def test_vms_check(both: Both, tmp_path: Path) -> None:
    texts = {"fine": '{"brand": "lx", "image_uuid": 7}', "broken": '{"brand": }', "empty": "{}"}
    files = [tmp_path / f"{name}.json" for name in (*texts, "missing")]
    for file, text in zip(files, texts.values(), strict=False):
        file.write_text(text)
    told, document = both("vms", "check", *map(str, files), status=1, config=False)
    assert document["refused"] is True
    assert [file["file"] for file in document["files"]] == [str(file) for file in files]
    lines = iter(told.splitlines())
    for file in document["files"]:
        assert file["refused"] is any(remark["refused"] for remark in file["remarks"])
        for remark in file["remarks"]:
            line = next(lines)
            assert line.startswith(file["file"])
            assert (": error: " in line) is remark["refused"]
            assert remark["path"] in line
            assert line.endswith(remark["text"])
    assert next(lines, None) is None
    [broken] = document["files"][1]["remarks"]
    assert (broken["line"], broken["column"]) == (1, 11)


def test_styles(both: Both, sample: Path) -> None:
    assert both("styles", status=0)[1] == {"styles": []}
    state = Store(sample.with_name("state"), print, print, print, print)
    state.load()
    state.start()
    learned = Worked(style="direct", first="boot-server", times=3, mac=LAID, when=1.5)
    state.keep_style("00:25:90 7 PXEClient:Arch:00007:UNDI:003016", learned)
    state.keep_style("00:25:91 - ", learned)
    assert state.settle()
    state.close()
    text, document = both("styles", status=0)
    first, second = document["styles"]
    assert first == {
        "maker": "00:25:90",
        "arch": 7,
        "firmware": "PXEClient:Arch:00007:UNDI:003016",
        "style": "direct",
        "first": "boot-server",
        "times": 3,
        "machine": LAID,
        "when": 1.5,
    }
    assert (second["arch"], second["firmware"]) == (None, "")
    for line, style in zip(text.splitlines()[1:], document["styles"], strict=True):
        assert line.split()[0] == style["maker"]
        assert {style["style"], style["first"], str(style["times"]), LAID} <= set(line.split())


@pytest.mark.parametrize(
    "command",
    ["show", "explain", "simulate", "styles", "overlay list", "vms list", "vms check"],
)
def test_the_help_tells_of_it_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    own = capsys.readouterr().out
    assert "JSON object" in own
    if " " in command:  # the examples stand with the command above
        with pytest.raises(SystemExit):
            main([command.split(maxsplit=1)[0], "--help"])
        own = capsys.readouterr().out
    assert f"netbootd {command} --json" in own
