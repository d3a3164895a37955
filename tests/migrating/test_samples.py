"""
Files as they are met: modelled after the examples of each program and what people publish, with
their odd spellings.  Each becomes a drop-in that ``check`` accepts.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from netbootd.check import check
from netbootd.errors import Level
from netbootd.relaxedjson import decode

SAMPLES = Path(__file__).parent / "samples"
EACH = (
    *("lab.dhcpd.conf", "old.dhcpd.conf", "home.dnsmasq.conf", "old.dnsmasq.conf"),
    *("kea-dhcp4.conf", "kea-small.json", "pfsense-config.xml", "opnsense-config.xml"),
    *("dhcpd.leases", "dnsmasq.leases", "kea-leases4.csv"),
)


def imported(site, name, *arguments):
    """What was printed: its text and its values."""
    said = site.run(*arguments, SAMPLES / name)
    assert said.status == 0, said.err
    return said, decode(said.out.encode(), name).value


def notes(said):
    """The comments above the drop-in, one for each reason."""
    joined = re.sub(r"\n#  {4,}", " ", said.out)
    return [line.removeprefix("#   ") for line in joined.splitlines() if line.startswith("#   ")]


def note(said, word):
    """The one that tells of *word*."""
    found = [line for line in notes(said) if word in line]
    assert len(found) == 1, (word, notes(said))
    return found[0]


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("how", [(), ("--server", "--reserve")], ids=("plain", "server"))
def test_check_accepts_what_is_made_of_each(site, name, how):
    said, _ = imported(site, name, "--write", *how)
    report = check(site.config)
    assert [one for one in report.findings if one.level > Level.WARNING] == []
    # So it stands in the samples; and pools are of no use until a subnet serves.
    odd = {"gateway-outside", "mark-doubtful", "subnet-empty", "ip-outside"}
    odd |= set() if how else {"pools-unused"}
    assert {one.code for one in report.findings if one.level is Level.WARNING} <= odd
    assert "Traceback" not in said.err


def test_dhcpd_subnets_inherit_from_what_is_around_them(site):
    _, made = imported(site, "lab.dhcpd.conf")
    floor, other, big = (made["subnets"][one] for one in made["subnets"])
    assert floor["shared_network"] == other["shared_network"] == "floor-1"
    assert (floor["router"], other["router"]) == ("10.20.0.1", "10.21.0.1")
    assert floor["dns"] == big["dns"] == ["10.20.0.2", "10.20.0.3"]
    assert floor["options"] == {"wpad": "http://wpad.lab.example/wpad.dat"}
    assert floor["pools"] == [{"range": "10.20.0.100-10.20.0.199", "listed": True}]
    assert [pool["range"] for pool in other["pools"]] == [
        "10.21.0.10-10.21.0.20",
        "10.21.0.30-10.21.0.30",
    ]
    assert big["routes"] == {"10.99.1.0/24": "10.22.0.254", "0.0.0.0/0": "10.22.0.1"}
    assert (big["mtu"], big["bootp"], big["probe"], big["authoritative"]) == (
        9000,
        True,
        False,
        False,
    )
    assert "authoritative" not in floor
    assert (floor["lease_time"], big["lease_time"], big["max_lease_time"]) == (1800, 7200, 7200)


def test_dhcpd_hosts_have_the_options_of_their_groups(site):
    said, made = imported(site, "lab.dhcpd.conf")
    machines = made["machines"]
    assert machines["02:00:00:00:00:01"] == {
        "hostname": "node1",
        "ip": "10.20.0.11",
        "dhcp_options": {"root-path": "/srv/a;b{c}", "129": "rack", "131": "0x0201"},
    }
    assert machines["02:00:00:00:00:02"]["hostname"] == "n2.lab.example"
    assert machines["02:00:00:00:00:02"]["ip"] == "10.20.0.12"
    assert "10.99.9.9" in note(said, "a machine has one address here")
    assert machines["printer"]["client_id"] == b"\0printer".hex(":")
    assert machines["ib1"]["client_id"].startswith("ff:00:00")
    assert machines["02:00:00:00:00:05"] == {"hostname": "keller", "ip": "10.20.0.17"}
    assert "02:00:00:00:00:03" not in machines


def test_what_dhcpd_has_and_netbootd_has_not_is_named_with_its_line(site):
    said, _ = imported(site, "lab.dhcpd.conf")
    assert "subclass phones" in note(said, "classes and conditions")
    assert "range 10.20.1.1 10.20.1.50 (lab.dhcpd.conf:25)" in note(said, "classes and conditions")
    assert "key rndc" in note(said, "ddns")
    assert "node4.lab.example" in note(said, "not looked up")
    assert "/etc/dhcp/not-there.conf (lab.dhcpd.conf:55)" in note(said, "no such file")
    assert "filename pxelinux.0" in note(said, "what is booted")
    assert "acme.setting" in note(said, "vendor's options")
    assert "c2VjcmV0" not in said.out


def test_dnsmasq_hosts_in_every_form(site):
    said, made = imported(site, "home.dnsmasq.conf")
    machines = made["machines"]
    assert machines["00:16:3e:00:00:01"] == {
        "hostname": "laptop",
        "ip": "192.168.30.11",
        "macs": ["00:16:3e:00:00:02"],
    }
    cam = {"log-servers": "192.168.30.9", "224": "0x05012c00000001"}
    assert machines["00:16:3e:00:00:03"]["dhcp_options"] == cam
    assert machines["00:16:3e:00:00:04"]["dhcp_options"] == cam
    assert machines["box"]["client_id"] == "01:02:03:04:05:06:07:08"
    assert machines["at-192.168.30.15"]["client_id"] == b"marvin_the_box".hex(":")
    assert machines["00:16:3e:00:00:05"] == {"ip": "192.168.30.16"}
    assert machines["00:16:3e:00:00:07"] == {"hostname": "quoted-name", "ip": "192.168.30.18"}
    assert machines["00:16:3e:00:01:02"]["ip"] == "192.168.30.22"
    assert "00:16:3e:00:02:01" in machines
    assert {"00:16:3e:00:02:02", "00:16:3e:00:02:03"}.isdisjoint(machines)
    assert machines["00:16:3e:00:03:01"] == {"ip": "192.168.30.41"}
    assert "bert" in note(said, "not by the name it says")
    assert "column 17" in note(said, "no MAC of Ethernet")
    assert "00:16:3e:00:00:06" in note(said, "given no address there")


def test_dnsmasq_options_go_to_the_ranges_that_have_their_tags(site):
    said, made = imported(site, "home.dnsmasq.conf")
    lan, guest = made["subnets"]["192.168.30.0/24"], made["subnets"]["192.168.31.0/24"]
    assert (lan["router"], "router" in guest) == ("192.168.30.1", False)
    assert (lan["dns"], guest["dns"]) == (["192.168.30.2", "192.168.30.3"], "9.9.9.9")
    assert (lan["lease_time"], guest["lease_time"]) == (43200, 1800)
    assert lan["options"] == {"128": "0xe44574680000"}
    assert "pools" not in made["subnets"]["192.168.32.0/25"]
    assert made["subnets"]["192.168.33.0/24"]["dhcp"] == "proxy"
    _, made = imported(site, "home.dnsmasq.conf", "--server")
    modes = [subnet["dhcp"] for subnet in made["subnets"].values()]
    assert modes == ["server", "server", "server", "proxy"]
    assert "The netmask is not in that file" in said.out
    assert "0.0.0.0" in note(said, "write the one that is meant")
    assert "names itself as router" in said.out


def test_an_endless_lease_of_dnsmasq_and_its_old_tags(site):
    _, made = imported(site, "old.dnsmasq.conf")
    subnet = made["subnets"]["10.40.0.0/22"]
    assert subnet["lease_time"] == subnet["max_lease_time"] == 0xFFFFFFFF
    assert subnet["router"] == "10.40.0.1"
    assert subnet["search"] == ["eng.example", "ops.example"]
    assert subnet["probe"] is False


def test_kea_in_every_spelling(site):
    said, made = imported(site, "kea-dhcp4.conf")
    campus = made["subnets"]["10.50.0.0/24"]
    assert campus["pools"] == ["10.50.0.16-10.50.0.31", "10.50.0.100-10.50.0.120"]
    assert campus["options"] == {"vendor-encapsulated-options": "0x0104c0a80001"}
    assert (campus["dns"], campus["domain"]) == ("10.50.0.2", "kea.example")
    assert made["machines"]["02:00:00:00:51:01"]["dhcp_options"] == {"log-servers": "10.51.0.4"}
    assert made["machines"]["at-10.51.0.7"]["client_id"] == b"text id".hex(":")
    assert made["machines"]["at-10.51.0.8"]["circuit_id"] == "ge-0/0/7"
    assert made["machines"]["02:00:00:00:50:01"]["hostname"] == "global-1"
    assert "kea-reservations.json:7" in note(said, "DUID")
    assert "kea-reservations.json:8" in note(said, "expression")
    assert "10.51.0.10-10.51.0.20 (kea-dhcp4.conf:16)" in note(said, "classes and conditions")
    assert "high availability" in note(said, "second server")


def test_pfsense_says_what_it_gives_by_itself(site):
    said, made = imported(site, "pfsense-config.xml")
    lan, opt = made["subnets"]["10.61.0.0/23"], made["subnets"]["10.62.0.0/24"]
    assert (lan["router"], lan["dns"], lan["domain"]) == ("10.61.0.1", "10.61.0.1", "pf.example")
    assert ("router" in opt, opt["dns"]) == (False, ["10.62.0.2", "10.62.0.3"])
    assert lan["search"] == ["pf.example", "lab.example"]
    assert lan["options"] == {"132": "0x000a", "wpad": "http://wpad.pf.example/wpad.dat"}
    assert opt["options"] == {"tftp-server-name": "phones.pf.example"}
    assert lan["pools"] == ["10.61.0.100-10.61.1.50", "10.61.1.60-10.61.1.70"]
    assert opt["pools"] == [{"range": "10.62.0.10-10.62.0.20", "listed": True}]
    nas = made["machines"]["00:11:32:aa:bb:cc"]
    assert (nas["label"], nas["macs"]) == ('Synology "big" <1>', ["00:11:32:aa:bb:cd"])
    assert nas["dhcp_options"] == {"domain-name-servers": "10.61.0.2"}
    assert made["machines"]["at-10.61.0.21"]["client_id"] == b"ups-in-the-cellar".hex(":")
    assert made["machines"]["00:11:32:aa:bb:ce"] == {"hostname": "roaming"}
    assert "pfsense-config.xml:34" in note(said, "no MAC of Ethernet")
    assert "opt2" in note(said, "switched off")


def test_opnsense_with_all_its_three_servers(site):
    _, made = imported(site, "opnsense-config.xml")
    assert made["subnets"]["10.73.0.0/24"]["pools"] == [
        "10.73.0.10-10.73.0.20",
        "10.73.0.64-10.73.0.95",
    ]
    assert made["subnets"]["10.72.0.0/24"]["pools"] == ["10.72.0.41-10.72.0.245"]
    assert made["machines"]["02:00:00:00:73:01"] == {
        "hostname": "k1",
        "ip": "10.73.0.5",
        "label": "Rack 7",
    }
    assert made["machines"]["02:00:00:00:72:01"]["ip"] == "10.72.0.5"
    assert made["subnets"]["10.71.0.0/24"]["options"] == {"tftp-server-address": "10.71.0.9"}


@pytest.mark.parametrize(
    ("name", "holders"),
    [
        (
            "dhcpd.leases",
            ["10.20.0.101 52:54:00:00:00:01 laptop, until never", "10.20.0.103 ff:00:00:00:01"],
        ),
        ("dnsmasq.leases", ["192.168.30.120 52:54:00:00:00:11 phone", "192.168.30.121"]),
        ("kea-leases4.csv", ["10.50.0.101 52:54:00:00:00:21 one.kea.example"]),
    ],
)
def test_leases_are_told_and_become_machines_only_on_request(site, name, holders):
    said, made = imported(site, name)
    assert made == {}
    told = [line for line in said.out.splitlines() if re.match(r"#   \d", line)]
    assert len(told) == len(holders)
    for line, wanted in zip(told, holders, strict=True):
        assert line.removeprefix("#   ").startswith(wanted)
    _, made = imported(site, name, "--reserve")
    assert len(made["machines"]) == len(holders)
    addresses = [machine["ip"] for machine in made["machines"].values()]
    assert addresses == [holder.split()[0] for holder in holders]


def test_server_is_written_only_where_that_is_asked_for(site):
    said, made = imported(site, "kea-small.json")
    assert "dhcp" not in made["subnets"]["172.20.0.0/24"]
    assert "Switch the other server off first" in said.out
    said, made = imported(site, "kea-small.json", "--server")
    assert made["subnets"]["172.20.0.0/24"]["dhcp"] == "server"
    assert "Switch the other server off first" not in said.out


def test_machines_of_no_default_boot_their_own_disk_or_are_in_a_group(site):
    whole = json.loads(site.config.read_text())
    del whole["machines"]["default"]
    whole["groups"] = {"rack4": {"type": "localboot", "name": "disk"}}
    site.config.write_text(json.dumps(whole))
    _, made = imported(site, "kea-small.json")
    assert made["machines"]["02:00:00:00:52:01"]["enabled"] is False
    _, made = imported(site, "kea-small.json", "--group", "rack4", "--write")
    assert made["machines"]["02:00:00:00:52:01"] == {"ip": "172.20.0.5", "group": "rack4"}
    assert not [one for one in check(site.config).findings if one.level > Level.WARNING]


def test_a_group_that_is_none_is_said(site):
    said = site.run("--group", "rack9", SAMPLES / "kea-small.json")
    assert said.status == 1
    assert "no group 'rack9'" in said.err


def times(made):
    """Of the only subnet: its lease time, and the bounds."""
    (subnet,) = made["subnets"].values()
    return tuple(subnet.get(f"{which}lease_time") for which in ("min_", "", "max_"))


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.conf", "subnet 10.5.5.0 netmask 255.255.255.0 { }", (None, 43200, None)),
        ("b.conf", "dhcp-range=10.5.5.9,10.5.5.20,2h", (None, 7200, 7200)),
        ("c.conf", "dhcp-range=10.5.5.9,10.5.5.20", (None, 3600, 3600)),
        ("d.json", '{"Dhcp4":{"subnet4":[{"subnet":"10.5.5.0/24"}]}}', (7200, 7200, 7200)),
        (
            "e.json",
            '{"Dhcp4":{"valid-lifetime":600,"max-valid-lifetime":900,'
            '"subnet4":[{"subnet":"10.5.5.0/24"}]}}',
            (600, 600, 900),
        ),
        (
            "f.xml",
            "<pfsense><interfaces><lan><ipaddr>10.5.5.1</ipaddr><subnet>24</subnet></lan>"
            "</interfaces><dhcpd><lan><enable/></lan></dhcpd></pfsense>",
            (None, 7200, None),
        ),
        (
            "g.xml",
            "<opnsense><interfaces><lan><ipaddr>10.5.5.1</ipaddr><subnet>24</subnet></lan>"
            "</interfaces><dnsmasq><dhcp_ranges><interface>lan</interface>"
            "<start_addr>10.5.5.9</start_addr><end_addr>10.5.5.20</end_addr>"
            "<lease_time>600</lease_time></dhcp_ranges></dnsmasq></opnsense>",
            (None, 600, None),
        ),
    ],
)
def test_leases_last_as_long_as_they_did_where_nothing_is_said(site, name, text, wanted):
    (site.media / name).write_text(text)
    said = site.run(site.media / name)
    assert said.status == 0, said.err
    assert times(decode(said.out.encode(), name).value) == wanted


def test_dnsmasq_that_ignores_strangers_has_pools_for_machines_alone(site):
    file = site.media / "d.conf"
    file.write_text("dhcp-range=10.5.5.9,10.5.5.20,1h\ndhcp-ignore=tag:!known\n")
    said = site.run(file)
    (subnet,) = decode(said.out.encode(), "d.conf").value["subnets"].values()
    assert subnet["pools"] == [{"range": "10.5.5.9-10.5.5.20", "listed": True}]
    assert "Not taken over" not in said.out


def test_dnsmasq_has_a_second_lease_time_told(site):
    file = site.media / "d.conf"
    file.write_text("dhcp-range=10.5.5.9,10.5.5.20,1h\ndhcp-range=10.5.5.30,10.5.5.39,2h\n")
    said = site.run(file)
    assert "3600 s" in note(said, "lease time of 10.5.5.30")


def test_dhcpd_options_of_records_and_arrays(site):
    file = site.media / "d.conf"
    file.write_text(
        "option pair code 204 = array of { integer 8, ip-address };\n"
        "option few code 205 = array of unsigned integer 16;\n"
        "subnet 10.5.5.0 netmask 255.255.255.0 { option pair 1 1.2.3.4; option few 1, 2; }\n"
    )
    said = site.run(file)
    assert said.status == 0, said.err
    (subnet,) = decode(said.out.encode(), "d.conf").value["subnets"].values()
    assert subnet["options"] == {"205": "0x00010002"}
    assert "records are not translated" in note(said, "option pair")


@pytest.mark.parametrize("turned", [False, True])
def test_an_option_of_dnsmasq_with_a_tag_counts_over_one_without(site, turned):
    lines = ["dhcp-option=tag:lan,42,10.5.5.2", "dhcp-option=42,10.5.5.3"]
    lines = lines[::-1] if turned else lines
    file = site.media / "d.conf"
    file.write_text("\n".join(["dhcp-range=set:lan,10.5.5.9,10.5.5.20,1h", *lines]))
    (subnet,) = decode(site.run(file).out.encode(), "d.conf").value["subnets"].values()
    assert subnet["ntp"] == "10.5.5.2"


def test_pfsense_tells_of_all_that_it_ticked(site):
    file = site.media / "p.xml"
    file.write_text(
        "<pfsense><interfaces><lan><ipaddr>10.5.5.1</ipaddr><subnet>24</subnet></lan></interfaces>"
        "<dhcpd><lan><enable/><staticarp/>"
        "<range><from>10.5.5.9</from><to>10.5.5.20</to></range>"
        "<pool><denyunknown>enabled</denyunknown>"
        "<range><from>10.5.5.30</from><to>10.5.5.39</to></range></pool>"
        "<staticmap><mac>52:54:00:00:00:01</mac><arp_table_static_entry/></staticmap>"
        "</lan></dhcpd><dhcpdv6><lan><enable/></lan></dhcpdv6></pfsense>"
    )
    said = site.run(file)
    made = decode(said.out.encode(), "p.xml").value
    (subnet,) = made["subnets"].values()
    assert subnet["pools"] == [
        "10.5.5.9-10.5.5.20",
        {"range": "10.5.5.30-10.5.5.39", "listed": True},
    ]
    assert "machines" not in made
    assert "staticarp" in note(said, "staticarp")
    assert "only IPv4" in note(said, "dhcpdv6")
    assert "neither a name nor an address" in note(said, "staticmap")


def test_kea_tells_of_hooks_and_relays_what_they_are(site):
    file = site.media / "k.json"
    file.write_text(
        '{"Dhcp4":{"hooks-libraries":[{"library":"libdhcp_lease_cmds.so"}],'
        '"decline-probation-period":60,"subnet4":[{"subnet":"10.5.5.0/24",'
        '"relay":{"ip-addresses":["10.9.9.9"]}}]}}'
    )
    said = site.run(file)
    assert "that program itself" in note(said, "hooks-libraries")
    assert "15 minutes" in note(said, "decline-probation-period")
    assert "known by its address" in note(said, "relay (")
