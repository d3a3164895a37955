"""What the configuration says already is left to it, and no file is written over."""

from __future__ import annotations

import json

import pytest

from netbootd.registry.load import load

from .test_samples import SAMPLES, imported, note

SMALL = SAMPLES / "kea-small.json"


def configure(site, **sections):
    whole = json.loads(site.config.read_text())
    for section, entries in sections.items():
        whole.setdefault(section, {}).update(entries)
    site.config.write_text(json.dumps(whole, indent=1))


def test_a_machine_that_is_listed_without_its_address_is_told_where_to_write_it(site):
    configure(site, machines={"02:00:00:00:52:01": {"hostname": "mine"}})
    said, made = imported(site, "kea-small.json")
    assert "machines" not in made
    told = note(said, "is listed at")
    assert 'write "ip" : "172.20.0.5" there' in told
    assert str(site.config) in told.replace(" ", "")


def test_a_machine_that_is_listed_as_it_would_be_is_counted(site):
    configure(site, machines={"02:00:00:00:52:01": {"ip": "172.20.0.5"}})
    said, made = imported(site, "kea-small.json")
    assert "machines" not in made
    assert "1 listed already" in said.err


def test_another_address_of_a_listed_machine_is_named(site):
    configure(site, machines={"02:00:00:00:52:01": {"ip": "172.20.0.77"}})
    said, _ = imported(site, "kea-small.json")
    assert "with the address 172.20.0.77, not 172.20.0.5" in note(said, "is listed at")


def test_an_address_that_is_another_machine_s_is_left_to_it(site):
    configure(site, machines={"02:00:00:00:99:99": {"ip": "172.20.0.5"}})
    said, made = imported(site, "kea-small.json")
    assert "machines" not in made
    assert "172.20.0.5 is that of 02:00:00:00:99:99" in note(said, "172.20.0.5 is that")


def test_a_subnet_that_is_listed_is_left_with_what_it_would_say(site):
    configure(site, subnets={"172.20.0.0/24": {"known_only": True}})
    said, made = imported(site, "kea-small.json")
    assert "subnets" not in made
    assert '"pools": ["172.20.0.10-172.20.0.20"]' in note(said, "is listed already")


def test_a_wider_subnet_that_no_longer_counts_is_named(site):
    configure(site, subnets={"172.16.0.0/12": {"known_only": False}})
    said, _ = imported(site, "kea-small.json")
    assert "The configuration has 172.16.0.0/12 around it" in said.out


def test_write_makes_a_new_file_and_the_same_again_changes_nothing(site):
    said, _ = imported(site, "kea-small.json", "--write")
    file = site.config.parent / "machines.d" / "kea-small.json"
    assert file.read_text() == said.out
    assert "172.20.0.0/24" in [subnet.name for subnet in load(site.config).subnets]
    before = site.fingerprint()
    said = site.run("--write", SMALL)
    assert said.status == 0
    assert "there is nothing new to write" in said.err
    assert site.fingerprint() == before


def test_a_file_of_that_name_stays_as_it_is(site):
    folder = site.config.parent / "machines.d"
    folder.mkdir()
    (folder / "kea-small.json").write_text("{ }")
    said = site.run("--write", SMALL)
    assert said.status == 1
    assert "is there already, and stays as it is" in said.err
    assert (folder / "kea-small.json").read_text() == "{ }"
    assert site.run("--write", "--name", "other", SMALL).status == 0
    assert (folder / "other.json").exists()


@pytest.mark.parametrize("how", [(), ("--dry-run", "--write")], ids=("printed", "dry-run"))
def test_nothing_is_written_that_was_not_asked_for(site, how):
    before = site.fingerprint()
    imported(site, "lab.dhcpd.conf", *how)
    assert site.fingerprint() == before


def test_a_configuration_that_cannot_be_used_is_said(site):
    site.config.write_text("{")
    assert site.run(SMALL).status == 2


def test_without_a_configuration_it_is_only_printed(site):
    site.config.unlink()
    said = site.run(SMALL)
    assert said.status == 0
    assert "nothing is compared with it" in said.err
    assert "172.20.0.5" in said.out
    assert site.run("--write", SMALL).status == 2


def test_what_check_would_refuse_is_taken_out_and_named(site):
    odd = site.media / "odd.json"
    text = SMALL.read_text().replace('"172.20.0.5"', '"172.20.0.255"')
    odd.write_text(text.replace('"172.20.0.10-172.20.0.20"', '"172.20.0.0/24"'))
    said = site.run("--write", odd)
    assert said.status == 0, said.err
    load(site.config)


def test_options_of_the_other_kind_are_refused(site):
    assert site.run("--type", "nfs", SMALL).status == 2
    (site.media / "netboot").mkdir()
    assert site.run("--server", site.media / "netboot").status == 2
