"""The story of one client: every rule, who won, and where each value stands."""

from __future__ import annotations

import json

import pytest

from netbootd.boot.client import Client
from netbootd.cli import main
from netbootd.explain import FIRMWARE, Case, explain
from netbootd.mac import MAC
from netbootd.record.standing import Armed, Standing
from netbootd.registry.load import load_with_origins

NODE = MAC.parse("00:25:90:27:db:b4")
STRANGER = MAC.parse("52:54:00:12:34:56")
UUID = "00112233-4455-6677-8899-aabbccddeeff"
CONFIG = """{
  "vars" : { "ntp" : "192.0.2.3", "rack" : 1 },
  "targets" : {
     "nfs" : {
        "base" : { "kernel" : "k", "boot_args" : "root=x" },
        "a" : { "inherit" : "base", "note" : "of a" },
     },
     "install" : { "b" : { "kernel" : "k" } },
  },
  "groups" : { "compute" : { "name" : "a", "rack" : 4, "extra_args" : "quiet" } },
  "machines" : {
     "default" : { "type" : "nfs", "name" : "base" },
     "00:25:90:*" : { "type" : "install", "name" : "b" },
     "gosling" : { "uuid" : "00112233-4455-6677-8899-aabbccddeeff", "name" : "gone" },
     "00:25:90:27:db:b4" : { "group" : "compute", "extra_args" : "debug" },
  },
  "netbootd" : { "files" : "files", "firmware" : "firmware" %s },
}"""


@pytest.fixture
def told(tmp_path):
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "ipxe.efi").write_bytes(b"loader")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "k").write_bytes(b"kernel")

    def told(mac=NODE, firmware="efi", standing=None, settings="", now=0.0, **said):
        file = tmp_path / "c.json"
        file.write_text(CONFIG % settings)
        stage, arch = FIRMWARE[firmware]
        registry, origins = load_with_origins(file)
        client = Client(stage=stage, mac=mac, arch=arch, **said)
        case = Case(client=client, registry=registry, origins=origins, now=now)
        if standing is not None:
            case = Case(
                client=client, registry=registry, origins=origins, standing=standing, now=now
            )
        explained = explain(case)
        lines = [" ".join(line.split()) for line in explained.text.splitlines()]
        return [line.replace(str(tmp_path), "") for line in lines], explained.boots

    return told


def rules(lines):
    words = ("not by", "found by", "after it")
    return [line for line in lines if line.startswith(words)]


def test_the_rules_below_the_winner_are_told_as_losers(told):
    lines, boots = told()
    assert boots
    assert rules(lines) == [
        'found by mac: /c.json:15:6: "00:25:90:27:db:b4"',
        "after it uuid, client_id, serial, asset, circuit_id, remote_id: nothing",
        "after it wildcard: /c.json:13:6 would be next, loses",
        "after it default: /c.json:12:6 would be next, loses",
    ]


def test_the_rules_above_the_winner_say_why_they_did_not_find(told):
    lines, _ = told(MAC.parse("00:25:90:00:00:01"), serial="S1")
    assert rules(lines)[:8] == [
        "not by mac: no entry has 00:25:90:00:00:01",
        "not by uuid: the client does not say it",
        "not by client_id: the client does not say it",
        "not by serial: no entry has S1",
        "not by asset: the client does not say it",
        "not by circuit_id: the client does not say it",
        "not by remote_id: the client does not say it",
        'found by wildcard: /c.json:13:6: "00:25:90:*"',
    ]


def test_a_uuid_that_tells_nothing_is_told_so(told):
    lines, _ = told(STRANGER, uuid="00000000-0000-0000-0000-000000000000")
    assert any(line.startswith("uuid 0000") and "never matches" in line for line in lines)
    assert 'found by default: /c.json:12:6: "default"' in lines


def test_each_value_has_its_place_and_what_it_hides(told):
    lines, _ = told()
    values = [line for line in lines if line.startswith(("value", "hidden"))]
    assert "target nfs/a inherits nfs/base" in lines
    assert "value type = nfs (machines.default, /c.json:12:20)" in values
    assert "value name = a (group compute, /c.json:10:30)" in values
    assert "hidden name = base (machines.default, /c.json:12:36)" in values
    assert "value rack = 4 (group compute, /c.json:10:44)" in values
    assert "hidden rack = 1 (section vars, /c.json:2:35)" in values
    assert "value kernel = k (target nfs/base, /c.json:5:20)" in values
    assert "value note = of a (target nfs/a, /c.json:6:37)" in values
    added = [line for line in values if "extra_args" in line]
    assert [line.partition(" (")[0] for line in added] == [
        "value extra_args = debug",
        "value extra_args = quiet",
    ]


def test_each_loader_that_would_do_is_told_with_its_file(told):
    lines, _ = told()
    assert "loader snponly.efi: not found" in lines
    assert "loader ipxe.efi: /firmware/ipxe.efi" in lines
    assert not [line for line in told(firmware="ipxe")[0] if line.startswith("loader")]
    lines, _ = told(firmware="bios")
    assert "loader undionly.kpxe: not found" in lines
    assert any(line.startswith("first no loader for BIOS") for line in lines)


def test_known_only_refuses_a_stranger(told):
    lines, boots = told(STRANGER, settings=', "known_only" : true')
    assert not boots
    assert "refused not in the configuration, and known_only is set" in lines
    assert lines[-1] == "boots nothing"


def test_a_broken_machine_is_told_what_its_console_says(told):
    lines, boots = told(STRANGER, uuid=UUID)
    assert not boots
    assert 'found by uuid: /c.json:14:6: "gosling"' in lines
    assert lines[-1] == "boots nfs/gone cannot boot: there is no such target"


def test_what_is_remembered_is_told_and_counts(told):
    standing = Standing(armed=Armed(target="install/b", times=2, until=10.0))
    lines, _ = told(standing=standing, now=5.0)
    assert "armed install/b, 2 times" in lines
    assert lines[-1] == "boots install/b"
    lines, _ = told(standing=standing, now=11.0)
    assert "armed install/b, 2 times, too late or used up" in lines
    assert lines[-1] == "boots nfs/a"
    lines, boots = told(standing=Standing(held="too many boots"))
    assert not boots
    assert "held too many boots" in lines
    assert lines[-1] == "boots nothing"


def test_the_command(told, tmp_path, capsys):
    told()
    config = ["--config", str(tmp_path / "c.json")]
    assert main(["explain", *config, "--uuid", UUID.upper(), str(STRANGER)]) == 1
    assert '"gosling"' in capsys.readouterr().out
    assert main(["explain", *config, "--firmware", "ipxe", "default"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("nfs/base")
    (tmp_path / "c.json").write_text(json.dumps([]))
    assert main(["explain", *config, str(NODE)]) == 2


@pytest.fixture
def explain_of(tmp_path, capsys):
    """``netbootd explain`` of NODE, whose loader and target may be anything."""
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "grubx64.efi").write_bytes(b"loader")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "k").write_bytes(b"kernel")

    def explain_of(*arguments, loader="ipxe", target="linux/a", **netbootd):
        type_, _, name = target.partition("/")
        own = {"files": "files", "firmware": "fw", "state": str(tmp_path / "state"), **netbootd}
        whole = {
            "targets": {"linux": {"a": {"kernel": "k"}}, "ipxe": {"s": {"script": "s.ipxe"}}},
            "machines": {
                str(NODE): {"type": type_, "name": name, "loader": loader},
                "default": {"type": "linux", "name": "a"},
            },
            "subnets": {"192.0.2.0/24": {"known_only": True}},
            "netbootd": own,
        }
        (tmp_path / "s.ipxe").write_text("#!ipxe\nexit 1\n")
        (tmp_path / "files" / "s.ipxe").write_text("#!ipxe\nexit 1\n")
        (tmp_path / "c.json").write_text(json.dumps(whole))
        status = main(["explain", "--config", str(tmp_path / "c.json"), *arguments])
        return status, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return explain_of


@pytest.mark.parametrize(
    ("loader", "arguments", "who"),
    [
        ("grub", [], "GRUB"),
        ("ipxe", ["--firmware", "ipxe"], "iPXE"),
        ("ipxe", ["--arch", "22"], "U-Boot"),
        ("ipxe", ["--arch", "14"], "petitboot"),
        ("ipxe", ["--arch", "41"], "a Raspberry Pi"),
    ],
)
def test_who_asks_for_the_target_is_who_runs_on_the_machine(explain_of, loader, arguments, who):
    status, lines = explain_of(*arguments, str(NODE), loader=loader)
    assert status == 0
    asking = [line for line in lines if " asks, " in line]
    assert len(asking) == 1
    assert asking[0].startswith(f"because {who} asks, so it gets ")


def test_a_target_that_its_loader_cannot_boot_is_not_booted(explain_of):
    status, lines = explain_of(str(NODE), loader="grub", target="ipxe/s")
    assert status == 1
    assert lines[-1] != "boots ipxe/s"


def test_a_loader_that_is_missing_is_the_end_of_it(explain_of):
    status, lines = explain_of(str(NODE), loader="shim-grub")
    assert status == 1
    assert lines[-1] == "boots nothing"
    assert lines[-2].startswith("because no loader for UEFI x64: put shimx64.efi ")


@pytest.mark.parametrize(
    ("number", "name"), [("0", "BIOS x86"), ("16", "UEFI x64 HTTP"), ("11", "UEFI ARM64")]
)
def test_an_architecture_may_be_given_by_its_number(explain_of, number, name):
    _, lines = explain_of("--arch", number, str(NODE))
    assert lines[0] == f"client {NODE}, {name} firmware"
    assert lines[-2].startswith(f"because no loader for {name}")


def test_a_raspberry_pi_is_known_by_its_mac(explain_of):
    assert explain_of("dc:a6:32:00:00:01")[1][0] == "client dc:a6:32:00:00:01, ARM rpiboot firmware"


def test_of_known_only_the_word_of_the_subnet_is_told_where_it_counts(explain_of):
    _, lines = explain_of("--from", "192.0.2.7", str(STRANGER))
    assert [line for line in lines if line.startswith(("known", "refused"))] == [
        "known known_only is set for subnet 192.0.2.0/24",
        "refused not in the configuration, and known_only is set for subnet 192.0.2.0/24",
    ]
    _, lines = explain_of("--from", "198.51.100.7", str(STRANGER), known_only=True)
    assert "known known_only is set" in lines


def test_where_addresses_are_given_the_host_name_is_told_and_one_hint_where_to_ask(
    tmp_path, capsys
):
    net = {"dhcp": "server", "pools": ["10.7.0.100-10.7.0.199"]}
    whole = {
        "targets": {"localboot": {"disk": {}}},
        "machines": {
            NODE.dashed: {"type": "localboot", "name": "disk", "hostname": "node7"},
        },
        "subnets": {"10.7.0.0/24": net, "10.8.0.0/24": {"dhcp": "server"}},
    }
    (tmp_path / "c.json").write_text(json.dumps(whole))
    argv = ["explain", "--config", str(tmp_path / "c.json"), NODE.dashed]
    main(argv)
    assert capsys.readouterr().out.count("--from") == 1
    main([*argv, "--from", "10.7.0.9"])
    assert "option     12 host-name = node7\n" in capsys.readouterr().out
