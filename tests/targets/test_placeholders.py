"""``__hostname__`` and its like: what they stand for, and what has no value."""

from __future__ import annotations

import pytest

from netbootd.check import rehearse
from netbootd.errors import Level, RenderError
from netbootd.targets.placeholders import fill

from .conftest import NODE, OWN

BASE = {"kernel": "k"}


def words(site, args, machine=None, **sections):
    keys = BASE | {"boot_args": args}
    return site.one("any/a", keys, machine, **sections)[0].split()[4:]


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("__base__", OWN),
        ("__server__", "192.0.2.1:3000"),
        ("__mac__", str(NODE)),
        ("__bootif__", f"01-{NODE.dashed}"),
        ("__install__", f"{OWN}/install/{NODE.dashed}"),
        ("__script__", f"{OWN}/scripts/{NODE.dashed}"),
        ("__overlay__", f"{OWN}/overlay/{NODE.dashed}.cpio"),
        ("__done__", f"{OWN}/done/{NODE.dashed}"),
        ("__failed__", f"{OWN}/failed/{NODE.dashed}"),
        ("__hostname__", "n1"),
        ("__ip__", "192.0.2.77"),
        ("__rack__", "4"),
        ("__my_word2__", "own"),
        ("__site_wide__", "w"),
        ("__of_target__", "t"),
    ],
)
def test_what_they_stand_for(site, placeholder, value):
    machine = {"hostname": "n1", "rack": 4, "my_word2": "own"}
    keys = BASE | {"boot_args": f"a={placeholder}b", "of_target": "t"}
    lines = site.one("any/a", keys, machine, vars={"site_wide": "w"})
    assert lines[0].split()[4:] == [f"a={value}b"]


def test_the_configured_address_comes_before_the_one_that_asks(site):
    assert words(site, "ip=__ip__", {"ip": "192.0.2.5"}) == ["ip=192.0.2.5"]


def test_several_in_one_word_and_in_extra_args(site):
    machine = {"hostname": "n1", "domain": "d", "extra_args": "x=__hostname__"}
    assert words(site, "h=__hostname__.__domain__", machine) == ["h=n1.d", "x=n1"]


@pytest.mark.parametrize("text", ["__dmi.system-uuid__", "a__b", "____", "__ a__", "__1__", "___"])
def test_what_is_none_stays_as_it_is(text):
    assert fill(text, {"a": "x"}) == text


def test_named_arguments_and_servers_come_before_and_may_hold_some(site):
    sections = {"bootargs": {"net": "ip=__ip__:__servers.nas__"}, "servers": {"nas": "192.0.2.9"}}
    assert words(site, "__bootargs.net__", **sections) == ["ip=192.0.2.77:192.0.2.9"]


@pytest.mark.parametrize(
    "machine", [{}, {"rack": ""}, {"rack": None}, {"rack": []}, {"rack": True}, {"rack": "a b"}]
)
def test_one_without_a_value_is_told_with_those_that_have_one(site, machine):
    site.load({"any/a": BASE | {"boot_args": "x=__rack__"}}, machine)
    [told, *_] = site.told("placeholder-empty")
    assert "__rack__ has" in told
    assert "__rack__" not in told.partition("there are")[2]
    assert "__hostname__" not in told
    answer = site.answer()
    assert answer.status == 500
    assert "an argument cannot be made" in answer.text
    assert "__rack__" in answer.logged
    assert answer.text.startswith("#!ipxe\n")


def test_the_list_names_what_there_is():
    with pytest.raises(RenderError) as caught:
        fill("__x__", {"hostname": "n", "done_url": "u", "empty": "", "list": [1]})
    assert str(caught.value).endswith("there are: __done__, __hostname__")


DISK = {"server": "192.0.2.9", "target": "iqn.x", "username": "u"}
#: Where placeholders are filled in, one target for each.
FILLED = {
    "any/a": BASE | {"boot_args": "-v __rack__"},
    "chain/a": {"chain": "x.efi", "boot_args": "-v __rack__"},
    "chain/set": {"chain": "x.efi", "ipxe_settings": {"210:string": "__rack__"}},
    "smartos/a": {"platform": "20260101T000000Z", "boot_args": "-v __rack__"},
    "iscsi/a": {"iscsi": DISK | {"password": "__rack__"}},
    "iscsi/file": {"iscsi": DISK | {"password": "p", "filename": "__rack__"}},
    "iscsi/linux": BASE | {"iscsi": DISK | {"password": "__rack__"}},
    "wimboot/a": {"tree": "pe", "boot_args": "__rack__"},
}


def of_its_value(site):
    """What is told of NODE; the default has no rack at all."""
    return [told for told in site.told("placeholder-empty") if "no value" not in told]


@pytest.mark.parametrize("title", FILLED)
@pytest.mark.parametrize("value", ["#secret", "||", "&&", "a${hostname}b", "x y", "__hostname__"])
def test_a_value_cannot_act_in_the_script(site, title, value):
    machine = {"rack": value, "hostname": "n1"}
    site.load({title: FILLED[title]}, machine)
    assert site.answer().status == 500
    [told] = of_its_value(site)
    assert "__rack__" in told
    assert value not in told.replace("__rack__", "")  # it may be a password


@pytest.mark.parametrize("title", FILLED)
def test_a_harmless_value_is_filled_in_everywhere(site, title):
    site.load({title: FILLED[title]}, {"rack": "r#4"})
    assert "r#4" in site.text()
    assert of_its_value(site) == []


def test_options_of_modules_cannot_end_the_line(site):
    site.load({"any/a": BASE}, {"modules": {"#kvm": {"nested": 0}}})
    assert site.answer().status == 500
    assert any("end the line" in told for told in site.told("placeholder-empty"))


@pytest.mark.parametrize("name", ["n1", "n1.example.org", "4-a", "N" * 63])
def test_names_that_hosts_may_have(site, name):
    site.load({"any/a": BASE}, {"hostname": name})
    assert site.codes() == set()


@pytest.mark.parametrize("type_", ["any", "ramroot", "smartos", "localboot"])
@pytest.mark.parametrize("name", ["my host", "n_1", "-n", "n.", "knöt", "n" * 64, "a || reboot"])
def test_a_host_name_that_is_none_is_told(site, type_, name):
    keys = {"platform": "20260101T000000Z"} if type_ == "smartos" else BASE
    site.load({f"{type_}/a": keys if type_ != "localboot" else {}}, {"hostname": name})
    refused = type_ == "smartos" and " " in name  # by the list of properties, which has no blanks
    assert any("RFC 1123" in told for told in site.told("hostname-invalid")) is not refused
    assert bool(site.told("placeholder-empty")) is refused


def test_check_knows_that_a_boot_has_an_address_and_a_token(site):
    site.load({"any/a": BASE | {"boot_args": "__ip__ __token__"}})
    assert site.codes() == set()


# -- before anybody boots --------------------------------------------------------------------------


def test_one_that_nothing_defines_keeps_a_reload_out_as_a_missing_fragment_does(site):
    registry = site.load({"any/a": BASE | {"boot_args": "x=__nothere__"}})
    found = rehearse(registry)
    assert {one.level for one in found} == {Level.RELOAD}
    assert {one.code for one in found} == {"placeholder-empty"}
    assert all("any/a: __nothere__ has no value" in one.text for one in found)
    assert "placeholder-empty" in site.codes(Level.RELOAD)


@pytest.mark.parametrize("word", ["hostname", "vlan", "serial", "uuid", "answer"])
def test_a_well_known_one_that_no_machine_has_any_more_keeps_no_reload_out(site, word):
    registry = site.load({"any/a": BASE | {"boot_args": f"x=__{word}__"}})
    found = rehearse(registry)
    assert {(one.level, one.code) for one in found} == {(Level.TARGET, "placeholder-empty")}


@pytest.mark.parametrize("value", ["4", ""])
def test_one_that_a_machine_lacks_costs_that_machine_and_is_told_at_each_reload(site, value):
    registry = site.load({"any/a": BASE | {"boot_args": "x=__rack__"}}, {"rack": value})
    found = rehearse(registry)
    assert found
    assert {(one.level, one.code) for one in found} == {(Level.TARGET, "placeholder-empty")}
    assert any(one.path == "machines.default" for one in found)
