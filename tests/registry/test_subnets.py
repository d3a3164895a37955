"""Networks of which something is said: what is read, who belongs to which, and what follows."""

from __future__ import annotations

import json

import pytest

from netbootd.arch import EFI_X64
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Refusal, Script, identify, next_step, refusal
from netbootd.boot.script import boot_script, first_script
from netbootd.check import check, rehearse
from netbootd.diff import as_text, diff
from netbootd.errors import ConfigErrors, Level
from netbootd.explain import explain, remembered
from netbootd.mac import MAC
from netbootd.registry.facts import facts_of
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load, load_with_origins
from netbootd.registry.subnets import ELSEWHERE
from netbootd.show import show
from netbootd.tftp.locate import Locator
from netbootd.tftp.wire import ReadRequest

NODE = MAC.parse("00:25:90:27:db:b4")
STRANGER = MAC.parse("52:54:00:00:00:01")
BASE = "http://192.0.2.1:3000"
RACK, LAB, WORLD = "10.1.0.0/24", "10.1.0.128/25", "10.0.0.0/8"
IN_RACK, IN_LAB, IN_WORLD, OUTSIDE = "10.1.0.7", "10.1.0.200", "10.9.9.9", "192.0.2.9"


@pytest.fixture
def written(tmp_path):
    (tmp_path / "k").write_bytes(b"kernel")

    def make(subnets, drop_in=None, name="c.json", **sections):
        settings = {"files": str(tmp_path), "state": str(tmp_path / "state")}
        document = {
            "targets": {
                "nfs": {"a": {"kernel": "k", "boot_args": "root=a", "rack": "of the target"}},
                "install": {"b": {"kernel": "k", "boot_args": "root=b"}},
            },
            "machines": {
                "default": {"type": "nfs", "name": "a"},
                str(NODE): {"type": "nfs", "name": "a"},
            },
            "subnets": subnets,
            **sections,
        }
        document["netbootd"] = {**settings, **sections.get("netbootd", {})}
        file = tmp_path / name
        file.write_text(json.dumps(document, indent=1))
        if drop_in is not None:
            (tmp_path / "machines.d").mkdir(exist_ok=True)
            (tmp_path / "machines.d" / "net.json").write_text(json.dumps(drop_in))
        return file

    return make


@pytest.fixture
def loaded(written):
    return lambda *arguments, **sections: load(written(*arguments, **sections))


def of(registry, code):
    return [finding for finding in registry.findings if finding.code == code]


def asker(mac=STRANGER, address="", stage=Stage.IPXE, **more):
    return Client(stage=stage, mac=mac, address=address, **more)


def step(client, registry):
    return next_step(client, identify(client, registry), registry).step


def script(registry, mac, address):
    return boot_script(asker(mac, address), registry, BASE)


# -- who belongs where -----------------------------------------------------------------------------


def test_the_narrowest_subnet_that_holds_the_address_counts(loaded):
    registry = loaded({WORLD: {"mtu": 1000}, RACK: {"mtu": 1001}, LAB: {"mtu": 1002}})
    found = {at: registry.subnets.of(at).mtu for at in (IN_RACK, IN_LAB, IN_WORLD, OUTSIDE)}
    assert found == {IN_RACK: 1001, IN_LAB: 1002, IN_WORLD: 1000, OUTSIDE: 0}


@pytest.mark.parametrize("address", ["", "its-address", "2001:db8::7", "10.1.0.7.", "10.1.0"])
def test_what_is_no_ipv4_address_is_in_no_subnet(loaded, address):
    assert loaded({"0.0.0.0/0": {"mtu": 1000}}).subnets.of(address) is ELSEWHERE


def test_nothing_is_inherited_from_a_wider_subnet(loaded):
    registry = loaded({WORLD: {"known_only": True, "mtu": 1400}, RACK: {}})
    assert registry.subnets.of(IN_RACK).mtu == 0
    assert isinstance(step(asker(address=IN_RACK), registry), Script)


def test_what_a_relay_says_counts_over_the_address(loaded):
    registry = loaded({RACK: {"enabled": False}})
    behind = asker(address=OUTSIDE, stage=Stage.FIRMWARE, arch=EFI_X64, network=IN_RACK)
    assert isinstance(step(behind, registry), Refusal)


# -- what is read ----------------------------------------------------------------------------------


def test_every_key_is_read(loaded):
    registry = loaded(
        {
            RACK: {
                "boot_server": "far",
                "loader": "shim-grub",
                "reply_style": "direct",
                "known_only": False,
                "enabled": True,
                "mtu": 1400,
                "default": {"type": "install", "name": "b"},
                "vars": {"rack": 4},
            }
        },
        boot_servers={"far": "10.1.0.1:80"},
    )
    subnet = registry.subnets.of(IN_RACK)
    assert (subnet.name, str(subnet.network)) == (RACK, RACK)
    assert subnet.boot_server == "http://10.1.0.1"
    assert subnet.loader.of(EFI_X64) == "shim-grub"
    assert (subnet.reply_style, subnet.known_only, subnet.served) == ("direct", False, True)
    assert (subnet.mtu, subnet.default.title, subnet.variables) == (1400, "install/b", {"rack": 4})
    told = [one for one in registry.findings if "subnets" in one.path]
    assert {one.code for one in told} <= {"loader-missing"}


@pytest.mark.parametrize("boot_server", ["10.1.0.1:3000", "http://10.1.0.1:3000/"])
def test_a_boot_server_may_be_an_address(loaded, boot_server):
    subnet = loaded({RACK: {"boot_server": boot_server}}).subnets.of(IN_RACK)
    assert subnet.boot_server == "http://10.1.0.1:3000"


def test_a_misspelt_name_of_a_boot_server_is_told(loaded):
    registry = loaded({RACK: {"boot_server": "defualt"}}, boot_servers={"default": "192.0.2.1"})
    [finding] = of(registry, "boot-server-unknown")
    assert (finding.level, finding.path) == (Level.WARNING, f'subnets."{RACK}".boot_server')
    assert 'did you mean "default"?; taken as a host name' in finding.text
    assert registry.subnets.of(IN_RACK).boot_server == "http://defualt"


def test_host_bits_are_told_with_the_network_that_is_meant(loaded):
    registry = loaded({"10.1.0.7/24": {"mtu": 1400}})
    [finding] = of(registry, "subnet-host-bits")
    assert "10.1.0.0/24" in finding.text
    assert finding.path == 'subnets."10.1.0.7/24"'
    assert registry.subnets.of("10.1.0.9").mtu == 1400


@pytest.mark.parametrize("key", ["10.1.0.0", "10.1.0.0/33", "rack4", "2001:db8::/129", "/24", ""])
def test_what_is_no_network_refuses_the_file(written, key):
    with pytest.raises(ConfigErrors) as refused:
        load(written({key: {}}))
    assert "subnet-invalid" in {finding.code for finding in refused.value.findings}


def test_one_network_twice_in_one_file_refuses_it(written):
    with pytest.raises(ConfigErrors) as refused:
        load(written({RACK: {}, "10.1.0.0/255.255.255.0": {}}))
    [finding] = [one for one in refused.value.findings if one.level is Level.ERROR]
    assert finding.code == "subnet-duplicate"


def test_a_drop_in_replaces_an_entry_whole(loaded):
    registry = loaded(
        {RACK: {"mtu": 1400, "known_only": True}, LAB: {"mtu": 1300}},
        drop_in={"subnets": {" 10.1.0.0/255.255.255.0": {"reply_style": "menu"}}},
    )
    subnet = registry.subnets.of(IN_RACK)
    assert (subnet.mtu, subnet.known_only, subnet.reply_style) == (0, None, "menu")
    assert registry.subnets.of(IN_LAB).mtu == 1300


@pytest.mark.parametrize("wrong", [{"enabled": "no"}, {"known_only": 1}, "closed", None, [RACK]])
def test_a_policy_that_cannot_be_read_refuses_the_file(written, wrong):
    with pytest.raises(ConfigErrors):
        load(written({RACK: wrong}))


@pytest.mark.parametrize(
    ("wrong", "level", "word"),
    [
        ({"boot_server": 7}, Level.TARGET, "must be a word"),
        ({"boot_server": "a b"}, Level.TARGET, "no address"),
        ({"boot_server": "bad"}, Level.TARGET, "no usable address"),
        ({"loader": "shim-grup"}, Level.TARGET, 'did you mean "shim-grub"'),
        ({"mtu": 100}, Level.WARNING, "576"),
        ({"mtu": "1400"}, Level.WARNING, "number of bytes"),
        ({"mtu": True}, Level.WARNING, "number of bytes"),
        ({"reply_style": "shout"}, Level.TARGET, "left out"),
        ({"vars": [1]}, Level.WARNING, "must be an object"),
        ({"boot_servers": "x"}, Level.WARNING, 'did you mean "boot_server"'),
        ({"default": "nfs/a"}, Level.TARGET, "must be an object"),
        ({"default": {"type": "nfs", "name": "c"}}, Level.TARGET, 'no target "c"'),
        ({"default": {"group": "g"}}, Level.TARGET, 'no group "g"'),
    ],
)
def test_another_wrong_key_costs_that_key_alone(loaded, wrong, level, word):
    registry = loaded({RACK: {**wrong, "known_only": True}}, boot_servers={"bad": "a b"})
    [key] = wrong
    found = [one for one in registry.findings if f'"{RACK}".{key}' in one.path]
    assert [(one.level, word in one.text) for one in found] == [(level, True)], registry.findings
    assert found[0].place.line > 1
    assert registry.subnets.of(IN_RACK).known_only


@pytest.mark.parametrize("key", ["known_onyl", "knownonly", "Known-Only", "enabeld", "disabled"])
def test_a_misspelt_policy_refuses_the_file(written, key):
    with pytest.raises(ConfigErrors) as refused:
        load(written({RACK: {key: True}}))
    [finding] = [one for one in refused.value.findings if one.level is Level.ERROR]
    assert (finding.code, finding.path) == ("subnet-key", f'subnets."{RACK}".{key}')
    assert "did you mean" in finding.text


@pytest.mark.parametrize("key", ["known_onlyx", "enabledx", "mtuu", "rack"])
def test_a_policy_that_is_switched_off_or_another_name_is_left_out(loaded, key):
    [finding] = of(loaded({RACK: {key: True}}), "subnet-key")
    assert finding.level is Level.WARNING
    assert finding.text.endswith("left out")


# -- who is served ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "subnet", "listed", "stranger"),
    [
        (False, {}, True, True),
        (False, {"known_only": True}, True, False),
        (True, {}, True, False),
        (True, {"known_only": False}, True, True),
        (False, {"enabled": False}, False, False),
        (True, {"enabled": False}, False, False),
    ],
)
@pytest.mark.parametrize("stage", [Stage.FIRMWARE, Stage.HTTP_BOOT, Stage.IPXE])
def test_policy_of_a_subnet(loaded, stage, setting, subnet, listed, stranger):
    registry = loaded({RACK: subnet}, netbootd={"known_only": setting})
    for mac, wanted in ((NODE, listed), (STRANGER, stranger)):
        client = asker(mac, IN_RACK, stage)
        assert (refusal(client, identify(client, registry), registry) is None) is wanted
    elsewhere = asker(NODE, OUTSIDE, stage)
    assert refusal(elsewhere, identify(elsewhere, registry), registry) is None


POLICIES = [({"enabled": False}, NODE), ({"known_only": True}, STRANGER)]


@pytest.mark.parametrize(("subnet", "mac"), POLICIES)
def test_tftp_refuses_in_the_subnet_alone(loaded, subnet, mac):
    locator = Locator(LiveRegistry(loaded({RACK: subnet})), lambda: 0.0)
    request = ReadRequest(path=f"{mac.dashed}/k", mode="octet", options={})
    with pytest.raises(Exception, match=RACK):
        locator.locate(request, IN_RACK, "10.1.0.1")
    locator.locate(request, OUTSIDE, "10.1.0.1").content.close()


def test_tftp_gives_no_bare_file_where_nobody_is_served(loaded):
    locator = Locator(LiveRegistry(loaded({RACK: {"enabled": False}})), lambda: 0.0)
    for path in ("k", "autoexec.ipxe", "x/y/autoexec.ipxe"):
        with pytest.raises(Exception, match="nobody is served"):
            locator.locate(ReadRequest(path=path, mode="octet", options={}), IN_RACK, "10.1.0.1")


# -- what they are given ---------------------------------------------------------------------------


def test_who_is_not_listed_boots_what_its_subnet_says(loaded):
    subnets = {RACK: {"default": {"type": "install", "name": "b", "extra_args": "quiet"}}}
    registry = loaded(subnets)
    assert script(registry, STRANGER, IN_RACK).machine.title == "install/b"
    assert "root=b quiet" in script(registry, STRANGER, IN_RACK).text
    assert script(registry, STRANGER, OUTSIDE).machine.title == "nfs/a"
    assert script(registry, NODE, IN_RACK).machine.title == "nfs/a"
    machine = identify(asker(address=IN_RACK), registry)
    assert (machine.known, machine.mac, machine.key) == (False, STRANGER, str(STRANGER))


def test_a_subnet_may_have_a_default_where_nobody_else_has(loaded):
    subnets = {RACK: {"default": {"type": "nfs", "name": "a"}}}
    registry = loaded(subnets, machines={})
    assert script(registry, STRANGER, IN_RACK).status == 200
    assert script(registry, STRANGER, OUTSIDE).status == 404


def test_a_name_alone_takes_its_type_from_the_default_of_all(loaded):
    machines = {"default": {"type": "install", "name": "b"}}
    targets = {"install": {"b": {"kernel": "k"}, "c": {"kernel": "k"}}}
    registry = loaded({RACK: {"default": {"name": "c"}}}, machines=machines, targets=targets)
    assert script(registry, STRANGER, IN_RACK).machine.title == "install/c"


def test_variables_of_a_subnet_count_below_those_of_targets(loaded):
    registry = loaded(
        {RACK: {"vars": {"rack": "of the subnet", "row": "of the subnet", "site": "subnet"}}},
        vars={"row": "of all", "hall": "of all"},
        machines={str(NODE): {"type": "nfs", "name": "a", "site": "machine"}},
    )
    machine = registry.machine(NODE)
    known = facts_of(NODE, machine, registry, BASE, IN_RACK).variables
    words = {"rack": "of the target", "row": "of the subnet", "hall": "of all", "site": "machine"}
    assert known == words
    assert facts_of(NODE, machine, registry, BASE, OUTSIDE).variables["row"] == "of all"


@pytest.mark.parametrize("default", [{}, {"default": "192.0.2.5:80"}])
def test_its_boot_server_is_what_its_machines_are_told(loaded, default):
    registry = loaded({RACK: {"boot_server": "10.1.0.1:80"}}, boot_servers=default)
    text = script(registry, NODE, IN_RACK).text
    assert "kernel --name kernel http://10.1.0.1/k " in text
    assert "http://10.1.0.1/boot/" in first_script(registry, BASE, IN_RACK).text
    facts = facts_of(NODE, registry.machine(NODE), registry, BASE, IN_RACK)
    assert facts.overlay_url.startswith("http://10.1.0.1/")
    assert facts.names()["script_url"].startswith("http://10.1.0.1/")
    assert "10.1.0.1" not in script(registry, NODE, OUTSIDE).text


def test_a_targets_own_boot_server_counts_over_that_of_the_subnet(loaded):
    targets = {"nfs": {"a": {"kernel": "k", "boot_server": "192.0.2.77"}}}
    registry = loaded({RACK: {"boot_server": "10.1.0.1"}}, targets=targets)
    assert "kernel --name kernel http://192.0.2.77/k" in script(registry, NODE, IN_RACK).text


# -- commands --------------------------------------------------------------------------------------


def explained(written, address, subnets, mac=STRANGER, **sections):
    registry, origins = load_with_origins(written(subnets, **sections))
    return explain(remembered(asker(mac, address), registry, origins)).text


def test_explain_tells_the_subnet_and_what_follows(written):
    subnets = {
        RACK: {
            "boot_server": "10.1.0.1",
            "default": {"type": "install", "name": "b"},
            "vars": {"row": 3},
        }
    }
    text = explained(written, IN_RACK, subnets)
    assert f"subnet     {RACK} holds {IN_RACK}" in text
    assert "server     http://10.1.0.1" in text
    assert "boots      install/b" in text
    assert f"row = 3   (subnet {RACK}, " in text
    assert f"not in the configuration, so default of subnet {RACK}: install/b" in text
    assert "not known: --from" in explained(written, "", subnets)
    assert f"none holds {OUTSIDE}" in explained(written, OUTSIDE, subnets)


def test_explain_takes_the_address_from_the_entry(written):
    machines = {str(NODE): {"type": "nfs", "name": "a", "ip": IN_RACK}}
    text = explained(written, "", {RACK: {"enabled": False}}, NODE, machines=machines)
    assert f"refused    in subnet {RACK}, where nobody is served" in text


def test_show_is_of_the_subnet_that_is_asked_for(loaded):
    registry = loaded({RACK: {"boot_server": "10.1.0.1:80", "vars": {}}})
    inside, outside = show(registry, asker(NODE, IN_RACK)), show(registry, asker(NODE))
    assert f"subnet    {RACK} holds {IN_RACK}" in inside.text
    assert "http://10.1.0.1/k" in inside.text
    assert "\nsubnet " not in outside.text
    assert not show(loaded({RACK: {"enabled": False}}), asker(NODE, IN_RACK)).boots


def test_diff_tells_what_a_subnet_changes(loaded):
    old = loaded({RACK: {"mtu": 1400}})
    new = loaded({RACK: {"mtu": 1300, "default": {"type": "install", "name": "b"}}}, name="d.json")
    [change] = diff(old, new)
    assert (change.machines, change.before, change.after) == (
        (f"default in {RACK}",),
        "nfs/a",
        "install/b",
    )
    assert "-mtu 1400\n+mtu 1300\n" in as_text([change])
    assert not diff(old, old)


def test_diff_puts_machines_into_their_subnets(loaded):
    machines = {str(NODE): {"type": "nfs", "name": "a", "ip": IN_RACK}}
    old, new = (
        loaded({RACK: {"enabled": on}}, machines=machines, name=name)
        for on, name in ((True, "c.json"), (False, "d.json"))
    )
    changes = {machine: change for change in diff(old, new) for machine in change.machines}
    assert changes.keys() == {str(NODE), f"default in {RACK}"}
    assert {change.after for change in changes.values()} == {"nothing"}


def test_check_looks_at_defaults_of_subnets_where_they_are(written):
    targets = {"nfs": {"a": {"kernel": "k", "boot_args": "rack=__rack__"}}}
    default = {"type": "nfs", "name": "a"}
    machines = {"default": {"type": "nfs", "name": "a", "rack": 1}, str(NODE): default}
    good = {RACK: {"default": default, "vars": {"rack": 4}}}
    report = check(written(good, targets=targets, machines=machines))
    assert "placeholder-empty" not in {one.code for one in report.findings}
    bad = {RACK: {"default": default}, LAB: {"vars": {"rack": 4}}}
    report = check(written(bad, targets=targets, machines=machines))
    [finding] = [one for one in report.findings if one.code == "placeholder-empty"]
    assert RACK in finding.path


def test_what_only_another_subnet_defines_costs_one_machine_and_no_reload(loaded):
    targets = {"nfs": {"a": {"kernel": "k", "boot_args": "rack=__rack__"}}}
    machines = {str(NODE): {"type": "nfs", "name": "a", "ip": OUTSIDE}}
    found = rehearse(loaded({RACK: {"vars": {"rack": 4}}}, targets=targets, machines=machines))
    assert {(one.level, one.code) for one in found} == {(Level.TARGET, "placeholder-empty")}


def test_a_record_of_a_stranger_is_found_by_where_it_asks_from(loaded):
    registry = loaded({RACK: {"default": {"type": "install", "name": "b"}}})
    assert registry.by_key(str(STRANGER), STRANGER, IN_RACK).title == "install/b"
    assert registry.by_key(str(STRANGER), STRANGER, OUTSIDE).title == "nfs/a"
