"""Every meaning error: its code, its level, its place, and what the message teaches."""

from __future__ import annotations

import os

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.script import boot_script, first_script
from netbootd.errors import ConfigErrors, Level
from netbootd.mac import MAC
from netbootd.registry.load import load

NODE = MAC.parse("00:25:90:27:db:b4")
TARGETS = '"targets": {"nfs": {"a": {"kernel": "k", "boot_args": "root=x"}}, "install": {"b": {"kernel": "k"}}}'
DEFAULT = '"default": {"type": "nfs", "name": "a"}'


@pytest.fixture
def loaded(tmp_path):
    """A configuration's text, loaded; the file root has the file ``k``."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "k").write_bytes(b"kernel")

    def loaded(text):
        file = tmp_path / "netbootd.json"
        file.write_text("{ %s }" % text)
        if '"netbootd"' not in text:
            drop_in = tmp_path / "machines.d"
            drop_in.mkdir(exist_ok=True)
            (drop_in / "root.json").write_text('{"netbootd": {"files": "%s"}}' % root)
        return load(file)

    return loaded


def of(findings, code):
    return [finding for finding in findings if finding.code == code]


def script(registry, mac=NODE):
    return boot_script(Client(stage=Stage.IPXE, mac=mac), registry, "http://192.0.2.1:3000")


def machines(entry, targets=TARGETS):
    return '%s,\n"machines": {%s,\n"00:25:90:27:db:b4": %s}' % (targets, DEFAULT, entry)


@pytest.mark.parametrize(
    ("text", "code", "level", "teaches"),
    [
        (machines('{"type": "nfs"}'), "machine-no-name", Level.TARGET, "targets of that type: a"),
        (machines('{"type": "nsf"}'), "machine-no-name", Level.TARGET, 'did you mean "nfs"?'),
        (
            machines('{"type": "qq"}'),
            "machine-no-name",
            Level.TARGET,
            "no target is of that type; there are: ",
        ),
        (
            '%s, "machines": {"00:25:90:27:db:b4": {"name": "a"}}' % TARGETS,
            "machine-no-type",
            Level.TARGET,
            "default",
        ),
        (
            machines('{"type": "nsf", "name": "a"}'),
            "target-type-unknown",
            Level.TARGET,
            'did you mean "nfs"',
        ),
        (
            machines('{"type": "install", "name": "a"}'),
            "target-unknown",
            Level.TARGET,
            "nfs/a exists",
        ),
        (machines('{"type": "nfs", "name": "aa"}'), "target-unknown", Level.TARGET, "there are: a"),
        (machines("7"), "section-type", Level.TARGET, "not a number"),
        (
            machines('{"type": "nfs", "name": "a", "kernel": 7}'),
            "section-type",
            Level.TARGET,
            '"kernel" must be a string, not a number',
        ),
        (machines("{}", '"targets": {"x": {"y": {}}}'), "target-empty", Level.TARGET, '"kernel"'),
        (
            machines("{}", '"targets": {"x": {"y": {"kernle": "k"}}}'),
            "target-empty",
            Level.TARGET,
            'did you mean it by "kernle"?',
        ),
        (
            machines("{}", '"targets": {"x": {"y": {"kernel": "k", "sanboot": "iscsi:h::::t"}}}'),
            "target-unused-key",
            Level.WARNING,
            '"kernel" is not used',
        ),
        (
            machines('{"boot_server": "host:99999"}'),
            "boot-server-invalid",
            Level.TARGET,
            "1..65535",
        ),
        (machines('{"boot_server": "lab"}'), "boot-server-unknown", Level.WARNING, "host name"),
        (
            machines('{"kernel": "__servers.lab__/k"}'),
            "template-unknown",
            Level.TARGET,
            "there are: none",
        ),
        (machines('{"kernel": "http://h/a b"}'), "url-invalid", Level.TARGET, "blank"),
        (machines('{"kernel": "htp://h/a"}'), "url-invalid", Level.TARGET, 'did you mean "http"'),
        (machines('{"kernel": "http:///a"}'), "url-invalid", Level.TARGET, "no host"),
        (machines('{"kernel": "missing"}'), "file-missing", Level.WARNING, "/root/missing"),
        (machines('{"kernel": "../k"}'), "file-outside", Level.TARGET, "leaves the root"),
        (machines('{"boot_args": "a #b"}'), "args-comment", Level.TARGET, "#b"),
        (machines('{"boot_args": "a && b"}'), "args-operator", Level.TARGET, "&&"),
        (machines('{"boot_args": "root=x ${oops}"}'), "args-setting", Level.WARNING, "${oops}"),
        (machines('{"boot_args": "%s"}' % ("x" * 2048)), "args-length", Level.WARNING, "2048"),
        (
            machines(
                '{"os": "x"}',
                '"targets": {"nfs": {"a": {"kernel": "k", "os": "Rocky 9", "boot_args": "root=x rdshell"}}}',
            ),
            "args-legacy",
            Level.WARNING,
            "rd.shell",
        ),
        ('%s, "machines": {}' % TARGETS, "default-missing", Level.WARNING, "unknown machines"),
        ('"machines": {}', "section-missing", Level.WARNING, "targets"),
        (TARGETS, "section-missing", Level.WARNING, "machines"),
        (
            machines("{}").replace("00:25:90:27:db:b4", "00:25:90:27:db:b4x"),
            "mac-invalid",
            Level.WARNING,
            "switched off",
        ),
        (
            machines("{}").replace("00:25:90:27:db:b4", "00:25:90:27:dg:b4"),
            "mac-invalid",
            Level.RELOAD,
            "column 14: 'g' is no hexadecimal digit",
        ),
        (
            machines("{}").replace("00:25:90:27:db:b4", "00:25:9g:*"),
            "mac-invalid",
            Level.RELOAD,
            "column 8: 'g' is no hexadecimal digit",
        ),
        (
            machines('{"uuid": "x"}').replace("00:25:90:27:db:b4", "00:25:90:27:dg:b4"),
            "mac-invalid",
            Level.RELOAD,
            "taken for a name",
        ),
        (
            machines("{}").replace("00:25:90:27:db:b4", "x00:25:90:27:db:b4"),
            "mac-invalid",
            Level.WARNING,
            "never matches",
        ),
        (
            machines("{}").replace("00:25:90:27:db:b4", "node1"),
            "mac-invalid",
            Level.WARNING,
            "never matches",
        ),
        (
            machines("{}").replace("00:25:90:27:db:b4", "01:00:5e:00:00:01"),
            "mac-reserved",
            Level.TARGET,
            "multicast",
        ),
        (
            machines('{"inherit": "a", "kernel": "k"}').replace(
                '"boot_args"', '"inherit": "b", "boot_args"'
            ),
            "target-unknown",
            Level.TARGET,
            "inherit",
        ),
        (
            machines("{}", '"targets": {"x": {"y": {"inherit": "z"}, "z": {"inherit": "y"}}}'),
            "inherit-cycle",
            Level.TARGET,
            "x/y -> x/z -> x/y",
        ),
        (
            '"netbootd": {"http_prot": 80}, %s' % machines("{}"),
            "unknown-setting",
            Level.WARNING,
            'did you mean "http_port"',
        ),
        ('"machine": {}, %s' % machines("{}"), "unknown-section", Level.RELOAD, "machines"),
    ],
)
def test_each_finding(loaded, text, code, level, teaches):
    findings = of(loaded(text).findings, code)
    assert findings, code
    assert {finding.level for finding in findings} == {level}
    assert any(teaches in finding.text for finding in findings), findings
    assert all(finding.place.line for finding in findings)


@pytest.mark.parametrize(
    ("text", "code", "teaches"),
    [
        (machines('{}, "00-25-90-27-DB-B4": {}'), "mac-duplicate", ":3:"),
        ('"targets": []', "section-type", "object"),
        ('"netbootd": {"http_port": 0}, %s' % machines("{}"), "setting-invalid", "1 to 65535"),
        (
            '"netbootd": {"tftp": {"enabled": 1}}, %s' % machines("{}"),
            "setting-invalid",
            "true or false",
        ),
        (
            '"netbootd": {"known_onyl": true}, %s' % machines("{}"),
            "unknown-setting",
            'did you mean "known_only"?',
        ),
        ('"subnet": {"10.1.0.0/24": {}}, %s' % machines("{}"), "unknown-section", "subnets"),
        ('"a" "b"', "json-syntax", "expected"),
    ],
)
def test_what_leaves_the_meaning_in_doubt_refuses_the_file(loaded, text, code, teaches):
    with pytest.raises(ConfigErrors) as refused:
        loaded(text)
    [finding, *_] = of(refused.value.findings, code)
    assert finding.level is Level.ERROR
    assert teaches in f"{finding.place} {finding.text}"


def test_a_section_that_refuses_the_file_hides_nothing_else(loaded):
    with pytest.raises(ConfigErrors) as refused:
        loaded('"subnet": {}, %s' % machines('{"type": "nfs", "name": "zz"}'))
    assert of(refused.value.findings, "target-unknown")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            '{"proxydhcp": {"style": "raspberry"}}',
            '"proxydhcp.style" must be one of auto, direct, boot-server, menu, raspberry-pi, '
            """raspberry-pi-3, not 'raspberry'; did you mean "raspberry-pi"?""",
        ),
        (
            '{"loader": "ipxee"}',
            '"loader" must be a set of loaders or a file: no set "ipxee"; did you mean "ipxe"?; '
            "a file has a dot in its name",
        ),
    ],
)
def test_a_wrong_word_is_told_once(loaded, written, told):
    with pytest.raises(ConfigErrors) as refused:
        loaded('"netbootd": %s, %s' % (written, machines("{}")))
    assert [one.text for one in of(refused.value.findings, "setting-invalid")] == [told]


def test_a_broken_machine_hurts_nobody_else(loaded):
    registry = loaded(machines('{"type": "nfs", "name": "zz"}'))
    assert script(registry).status == 500
    assert script(registry, MAC.parse("52:54:00:00:00:01")).status == 200


@pytest.mark.parametrize("entry", ["{}", '{"name": "a"}', '{"hostname": "n"}'])
def test_what_an_entry_leaves_out_comes_from_the_default(loaded, entry):
    assert loaded(machines(entry)).machine(NODE).title == "nfs/a"


@pytest.mark.parametrize(
    "text",
    [
        machines("{}").replace("00:25:90:27:db:b4", "00:25:90:27:db:b4x"),
        machines('{"enabled": false}'),
    ],
)
def test_a_machine_that_is_switched_off_boots_its_disk_and_never_the_default(loaded, text):
    answer = script(loaded(text))
    assert "sanboot --no-describe --drive 0x80" in answer.text
    assert "kernel" not in answer.text


def test_a_machine_with_two_cards_is_one_machine(loaded):
    other = "00:25:90:27:db:b5"
    registry = loaded(machines('{"boot_args": "root=y", "macs": ["00-25-90-27-DB-B5"]}'))
    assert "root=y" in script(registry, MAC.parse(other)).text
    assert registry.machine(MAC.parse(other)).place == registry.machine(NODE).place


@pytest.mark.parametrize("macs", ['"nonsense"', '["01:00:5e:00:00:01"]', "[7]"])
def test_a_second_card_that_is_no_mac_is_a_warning(loaded, macs):
    assert of(loaded(machines('{"macs": %s}' % macs)).findings, "mac-invalid")


@pytest.mark.parametrize(
    ("card", "level"),
    [
        ("00:25:90:27:dg:b5", Level.RELOAD),
        ("00:25:90:27:db", Level.RELOAD),
        ("00:25:90:27:db:b5x", Level.WARNING),  # switched off
        ("to come", Level.WARNING),
    ],
)
def test_a_second_card_with_a_slip_of_the_fingers_keeps_a_reload_out(loaded, card, level):
    text = machines('{\n"mac": "%s", "macs": [\n"00:25:90:27:db:b6",\n  "%s"]}' % (card, card))
    in_array, alone = sorted(
        of(loaded(text).findings, "mac-invalid"), key=lambda one: -one.place.line
    )
    assert in_array.level is alone.level is level
    assert in_array.place.line == alone.place.line + 2
    assert (in_array.place.column, alone.place.column) == (3, 8)
    assert ("column" in in_array.text) == (level is Level.RELOAD)


def test_a_card_of_two_machines_is_an_error(loaded):
    with pytest.raises(ConfigErrors) as refused:
        loaded(machines('{}, "00:25:90:27:db:b5": {"macs": "00:25:90:27:db:b4"}'))
    assert of(refused.value.findings, "mac-duplicate")


def test_a_switched_off_entry_beside_a_live_one_does_not_count(loaded):
    registry = loaded(machines('{"hostname": "new"}, "00:25:90:27:db:b4x": {"hostname": "old"}'))
    assert registry.machine(NODE).variables == {"hostname": "new"}


def test_a_machine_replaces_keys_of_its_target_for_itself_alone(loaded):
    registry = loaded(machines('{"boot_args": "root=y", "extra_args": ["quiet", "b=1"]}'))
    assert "root=y quiet b=1" in script(registry).text
    assert "root=x" in script(registry, MAC.parse("52:54:00:00:00:01")).text


def test_inherit_takes_what_is_not_set_here(loaded):
    targets = (
        '"targets": {"nfs": {"a": {"kernel": "k", "boot_args": "root=x"},'
        '"c": {"inherit": "a", "boot_args": "root=y"}}, "own": {"d": {"inherit": "nfs/c"}}}'
    )
    registry = loaded(machines('{"type": "own", "name": "d"}', targets))
    assert "/k root=y ||" in script(registry).text


def test_named_arguments_may_mention_a_server(loaded):
    names = (
        '"bootargs": {"all": "url=http://__servers.lab__/x", "n": "nfsroot=__servers.lab__:/r"},'
        '"servers": {"lab": "192.0.2.7:8080/"}, "boot_servers": {},'
    )
    entry = '{"boot_args": "__bootargs.all__ __bootargs.n__", "kernel": "__servers.lab__/a//k"}'
    text = script(loaded(names + machines(entry))).text
    assert "kernel --name kernel http://192.0.2.7:8080/a/k url=http://192.0.2.7:8080/x" in text


def test_without_a_boot_server_a_path_is_on_the_address_that_was_asked(loaded):
    assert "http://192.0.2.1:3000/k" in script(loaded(machines("{}"))).text


def test_several_initrds_get_names_of_their_own(loaded):
    text = script(loaded(machines('{"initrd": ["k", "k"]}'))).text
    assert "initrd=initrd initrd=initrd2 root=x" in text
    assert "initrd --name initrd2 http://192.0.2.1:3000/k" in text


def test_unknown_types_boot_generically(loaded):
    registry = loaded(
        machines(
            '{"type": "nyble", "name": "n"}',
            '"targets": {"nyble": {"n": {"kernel": "k"}}, "nfs": {"a": {"sanboot": "iscsi:h::::t"}}}',
        )
    )
    assert "kernel --name kernel" in script(registry).text
    assert "sanboot iscsi:h::::t" in script(registry, MAC.parse("52:54:00:00:00:01")).text


def test_an_admins_template_takes_the_place_of_ours(loaded, tmp_path):
    (tmp_path / "nfs.ipxe").write_text("#!ipxe\necho mine {{ mac }} {{ machine.rack }}\n")
    assert "echo mine 00:25:90:27:db:b4 r4\n" in script(loaded(machines('{"rack": "r4"}'))).text


def test_a_broken_template_is_named_with_its_line(loaded, tmp_path):
    (tmp_path / "nfs.ipxe").write_text("#!ipxe\n{% if %}\n")
    registry = loaded(machines("{}"))
    assert any("nfs.ipxe:2" in finding.text for finding in of(registry.findings, "template-error"))
    assert script(registry).status == 500


def test_an_undefined_name_in_a_template_is_found_by_check(loaded, tmp_path):
    from netbootd.check import check

    (tmp_path / "nfs.ipxe").write_text("#!ipxe\n{{ machine.rack }}\n")
    loaded(machines("{}"))
    [finding, *_] = of(check(tmp_path / "netbootd.json").findings, "template-error")
    assert "rack" in finding.text


def test_a_template_cannot_reach_the_system(loaded, tmp_path):
    (tmp_path / "nfs.ipxe").write_text("#!ipxe\n{{ mac.__class__.__mro__ }}\n")
    assert script(loaded(machines("{}"))).status == 500


def test_a_drop_in_wins_over_the_main_file_by_mac_in_any_spelling(loaded, tmp_path):
    (tmp_path / "machines.d").mkdir()
    (tmp_path / "machines.d" / "a.json").write_text(
        '{"machines": {"00-25-90-27-DB-B4": {"hostname": "from-drop-in"}}}'
    )
    registry = loaded(machines('{"hostname": "from-main"}'))
    assert registry.machine(NODE).variables == {"hostname": "from-drop-in"}


def test_a_target_named_with_iPXE_syntax_cannot_act_in_the_script(loaded):
    targets = '"targets": {"nfs": {"${x} && reboot": {"kernel": "k", "boot_args": "root=x"}}}'
    text = script(loaded(machines('{"type": "nfs", "name": "${x} && reboot"}', targets))).text
    echoes = [line for line in text.splitlines() if line.startswith("echo")]
    assert all("${" not in line and " && " not in line for line in echoes)


def test_a_hundred_thousand_machines_are_found_at_once(loaded):
    entries = ",".join(
        f'"{MAC((0x020000000000 + n).to_bytes(6, "big"))}": {{"hostname": "n{n}"}}'
        for n in range(100_000)
    )
    registry = loaded(machines(f"{{}}, {entries}"))
    assert len(registry.machines) == 100_001
    assert registry.machine(MAC.parse("02:00:00:01:86:9f")).variables == {"hostname": "n99999"}


def test_a_folder_in_the_place_of_the_file_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ConfigErrors) as refused:
        load(tmp_path)
    [finding] = of(refused.value.findings, "file-read")
    assert "directory" in finding.text


@pytest.mark.parametrize("value", ['"false"', "0", "null", '"no"'])
def test_enabled_that_is_no_boolean_boots_nothing(loaded, value):
    registry = loaded(machines('{"type": "nfs", "name": "a", "enabled": %s}' % value))
    assert '"enabled" must be true or false' in of(registry.findings, "section-type")[0].text
    assert script(registry).status == 500


def test_who_boots_what_the_default_boots_is_switched_off_with_it(loaded):
    text = machines("{}").replace(DEFAULT, DEFAULT.replace("}", ', "enabled": false}'))
    assert loaded(text).machine(NODE).title == "localboot (switched off)"


def test_a_switched_off_entry_of_a_drop_in_wins_over_a_live_one(loaded, tmp_path):
    (tmp_path / "machines.d").mkdir()
    (tmp_path / "machines.d" / "a.json").write_text('{"machines": {"00:25:90:27:db:b4x": {}}}')
    assert loaded(machines("{}")).machine(NODE).title == "localboot (switched off)"


def test_what_a_drop_in_replaces_does_not_speak_any_more(loaded, tmp_path):
    (tmp_path / "machines.d").mkdir()
    (tmp_path / "machines.d" / "a.json").write_text(
        '{"machines": {"00:25:90:27:db:b4": {"type": "nfs", "name": "a"}},'
        '"boot_servers": {"default": "192.0.2.5"}}'
    )
    entry = '{"type": "nfs", "name": "gone", "macs": "00:25:90:27:db:b9"}'
    registry = loaded('"boot_servers": {"default": "h:99999"},' + machines(entry))
    worse = [f for f in registry.findings if f.level > Level.DEBUG and f.code != "file-missing"]
    assert worse == []
    assert not registry.machine(MAC.parse("00:25:90:27:db:b9")).known


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ('{"kernel": ""}', "target-empty"),
        ('{"kernel": "  "}', "target-empty"),
        ('{"sanboot": ""}', "target-empty"),
        ('{"kernel": "http://h/__bootargs.lines__"}', "control-character"),
        ('{"kernel": "http://h/__bootargs.words__"}', "url-invalid"),
        ('{"boot_args": "root=x __bootargs.lines__"}', "control-character"),
        ('{"boot_args": "root=x __bootargs.words__"}', "args-operator"),
        ('{"boot_server": "h/a#b"}', "boot-server-invalid"),
        ('{"boot_server": "h/${x}"}', "boot-server-invalid"),
        ('{"boot_server": "bad", "kernel": "k"}', "boot-server-invalid"),
        ('{"type": 5, "name": "a"}', "section-type"),
    ],
)
def test_no_entry_can_put_more_into_a_script_than_it_may(loaded, entry, code):
    names = (
        '"bootargs": {"lines": "k\\nshell", "words": "k || shell"},'
        '"boot_servers": {"bad": "h:99999"},'
    )
    registry = loaded(names + machines(entry))
    assert of(registry.findings, code)
    answer = script(registry)
    assert answer.status == 500
    assert "shell" not in answer.text


def test_a_name_with_a_control_character_is_no_target(loaded):
    targets = '"targets": {"nfs": {"a\\u0007b": {"kernel": "k", "boot_args": "root=x"}}}'
    assert of(loaded(machines("{}", targets)).findings, "control-character")


def test_an_unusable_default_server_stops_the_targets_that_rest_on_it(loaded):
    registry = loaded('"boot_servers": {"default": "h:99999"},' + machines("{}"))
    assert script(registry).status == 500


def test_one_fault_is_told_once_however_many_run_into_it(loaded):
    targets = '"targets": {"nfs": {"a": {"kernel": "__servers.zz__/k", "inherit": "nobody"}}}'
    registry = loaded(
        machines('{"extra_args": "x"}, "00:25:90:27:db:b5": {"extra_args": "y"}', targets)
    )
    told = [f for f in registry.findings if f.level is Level.TARGET]
    assert sorted(f.code for f in told) == ["target-unknown", "template-unknown"]


def test_localboot_with_a_kernel_boots_the_kernel(loaded):
    targets = '"targets": {"localboot": {"d": {"kernel": "k"}}, "nfs": {"a": {"kernel": "k", "boot_args": "root=x"}}}'
    registry = loaded(machines('{"type": "localboot", "name": "d"}', targets))
    assert "kernel --name kernel" in script(registry).text


def test_the_first_script_chains_to_the_default_machines_own_server(loaded):
    text = machines("{}").replace(DEFAULT, DEFAULT.replace("}", ', "boot_server": "two"}'))
    registry = loaded('"boot_servers": {"default": "192.0.2.1", "two": "192.0.2.2"},' + text)
    assert "http://192.0.2.2/boot/" in first_script(registry, "http://x").text


@pytest.mark.parametrize(
    "template",
    [
        "#!ipxe\n{{ 1/0 }}\n",
        "#!ipxe\n{{ machine.rack + 1 }}\n",
        "hello\n",
        '{% extends "nfs.ipxe" %}\n',
        '{% extends "missing.ipxe" %}\n',
    ],
)
def test_whatever_a_template_does_check_finds_it_and_the_node_is_told(loaded, tmp_path, template):
    from netbootd.check import check

    (tmp_path / "nfs.ipxe").write_text(template)
    registry = loaded(machines("{}"))
    assert of(check(tmp_path / "netbootd.json").findings, "template-error")
    assert script(registry).text.startswith(("#!ipxe\n", "hello"))


def test_a_template_of_the_admin_may_build_on_ours(loaded, tmp_path):
    (tmp_path / "nfs.ipxe").write_text(
        '{% extends "netbootd/linux.ipxe" %}{% block guard %}echo rack {{ site.rack }}\n{% endblock %}'
    )
    registry = loaded('"site": {"rack": "r4"},' + machines("{}"))
    assert "echo rack r4\nkernel --name kernel" in script(registry).text
    assert str(tmp_path / "nfs.ipxe") in registry.watched


@pytest.mark.parametrize("name", ["first", "notice"])
def test_our_own_pages_survive_a_broken_override(loaded, tmp_path, name):
    (tmp_path / f"{name}.ipxe").write_text("{% if %}")
    registry = loaded(machines('{"name": "gone"}'))
    assert of(registry.findings, "template-error")
    assert first_script(registry, "http://x").text.startswith("#!ipxe")
    assert script(registry).text.startswith("#!ipxe")


def test_a_control_character_in_a_key_stays_on_its_line(loaded):
    registry = loaded('"foo\\nbar\\u001b[2J": {},' + machines("{}"))
    assert all("\n" not in str(f) and "\x1b" not in str(f) for f in registry.findings)


@pytest.mark.parametrize("value", ['"/x\\u0000y"', '"a\\nb"'])
def test_a_folder_with_a_control_character_is_refused(loaded, value):
    with pytest.raises(ConfigErrors) as refused:
        loaded('"netbootd": {"files": %s}, %s' % (value, machines("{}")))
    assert of(refused.value.findings, "setting-invalid")


def test_a_fifo_in_the_place_of_a_file_is_an_error_and_no_wait(loaded, tmp_path):
    (tmp_path / "machines.d").mkdir()
    os.mkfifo(tmp_path / "machines.d" / "x.json")
    with pytest.raises(ConfigErrors) as refused:
        loaded(machines("{}"))
    assert "no regular file" in of(refused.value.findings, "file-read")[0].text


def test_a_file_on_a_failing_disk_is_a_warning(loaded, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("netbootd.content.Library.lookup", failing)
    registry = loaded(machines("{}"))
    assert of(registry.findings, "file-unreadable")
    assert script(registry).status == 200


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (machines('{"typ": "nfs"}'), "type"),
        (machines('{"extra_arg": "x"}'), "extra_args"),
        (machines("{}").replace('"boot_args"', '"intird": "i", "boot_args"'), "initrd"),
        (machines("{}").replace('"boot_args"', '"initrds": "i", "boot_args"'), "initrd"),
    ],
)
def test_a_slip_of_the_fingers_in_a_key_is_told(loaded, text, meant):
    [told] = of(loaded(text).findings, "key-misspelt")
    assert told.level is Level.WARNING
    assert f'no template uses; did you mean "{meant}"' in told.text


@pytest.mark.parametrize("key", ["hostnmae", "hostnam", "host_name", "Hostnane", "tiemzone"])
def test_a_slip_in_the_name_of_a_usual_variable_is_told(loaded, key):
    section = f'"groups": {{"g": {{"{key}": 1}}}}, {TARGETS}'
    registry = loaded(machines(f'{{"{key}": "n1"}}', section))
    told = of(registry.findings, "key-misspelt")
    assert {one.path for one in told} == {f'machines."{NODE}".{key}', f"groups.g.{key}"}
    assert {one.level for one in told} == {Level.WARNING}


@pytest.mark.parametrize("key", ["hostnames", "host", "hostnamex", "interface", "dsn", "domain2"])
def test_a_name_that_is_only_like_a_usual_variable_is_the_admin_s(loaded, key):
    assert not of(loaded(machines('{"%s": "x"}' % key)).findings, "key-misspelt")


def test_one_of_several_that_are_numbered_is_only_noted(loaded):
    [note] = of(loaded(machines('{"initrd2": "x"}')).findings, "key-misspelt")
    assert note.level is Level.NOTE


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("root/install/a.j2", "{{ hostnmae }}"),
        ("root/install/a.j2", "{% if machine.hostnmae %}{% endif %}"),
        ("scripts/own.j2", "echo {{ hostnmae|sh }}"),
        ("nfs.ipxe", "#!ipxe\necho {{ hostnmae }}\n"),
    ],
)
def test_a_key_that_a_template_uses_is_the_admin_s(loaded, tmp_path, file, text):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    registry = loaded(machines('{"hostnmae": "n1", "intird": "x"}'))
    assert [one.path[-6:] for one in of(registry.findings, "key-misspelt")] == ["intird"]


def test_a_key_that_stands_as_a_placeholder_is_the_admin_s(loaded):
    registry = loaded(machines('{"hostnmae": "n1", "boot_args": "root=x h=__hostnmae__"}'))
    assert not of(registry.findings, "key-misspelt")


def test_free_data_is_left_alone(loaded):
    entry = '{"hostname": "n", "label": "l", "box": 1, "ip": "192.0.2.3", "rack": "r"}'
    assert not of(loaded(machines(entry)).findings, "key-misspelt")
