"""What each change to a valid description reports."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd.vms.advice import MOST, advise
from netbootd.vms.properties import BRANDS, PROPERTIES

from .descriptions import GUEST, IMAGE, WEB, changed

UNKNOWN = "drops it"


def told(description):
    return {one.path: one for one in advise(description)}


@pytest.mark.parametrize("description", [WEB, GUEST])
def test_a_valid_description_has_nothing_to_report(description):
    assert advise(description) == []


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"image_uuid": ...}, "image_uuid", "missing"),
        ({"image_uuid": IMAGE.upper()}, "image_uuid", "lower case"),
        ({"brand": "vmware"}, "brand", "bad brand"),
        ({"brand": ...}, "brand", "missing"),
        ({"brand": None}, "brand", "bad brand"),
        ({"brand": "lx"}, "kernel_version", "missing"),
        ({"max_physical_memory": True}, "max_physical_memory", "bad value"),
        ({"max_physical_memory": 512.5}, "max_physical_memory", "whole number"),
        ({"max_swap": 128}, "max_swap", "at least 256"),
        ({"nic__nic_tag": ...}, "nics.0.nic_tag", "missing"),
        ({"nic__nic_tag": "a b"}, "nics.0.nic_tag", "letters"),
        ({"resolvers": ["dns1"]}, "resolvers", "IP addresses"),
        ({"resolvers": 8}, "resolvers", "list"),
        ({"nic__mtu": 100}, "nics.0.mtu", "from 576 to 9000"),
        ({"nic__vlan_id": 4096}, "nics.0.vlan_id", "4095"),
        ({"nic__primary": False}, "nics.0.primary", "true, or absent"),
        ({"nic__mac": "zz:00:00:00:00:00"}, "nics.0.mac", "MAC"),
        ({"nic__ips": ["10.0.0.1"]}, "nics.0.ips", "prefix"),
        ({"nic__ips": ["10.0.0.1/24", "10.0.0.1/24"]}, "nics.0.ips", "twice"),
        ({"nic__ips": [f"10.0.0.{n}/24" for n in range(21)]}, "nics.0.ips", "at most 20"),
        ({"nic__gateways": ["fd00::1"]}, "nics.0.gateways", "IPv4"),
        ({"nic__allowed_ips": ["10.0.0.1"] * 14}, "nics.0.allowed_ips", "at most 13"),
        ({"nic__allowed_dhcp_cids": ["0x1"]}, "nics.0.allowed_dhcp_cids", "hexadecimal"),
        ({"nic__vrrp_vrid": 7}, "nics.0.vrrp_primary_ip", "missing"),
        ({"nic__vrrp_vrid": 7, "nic__mac": "0:1:2:3:4:5"}, "nics.0.mac", "vrrp_vrid"),
        ({"nics": WEB["nics"] * 2}, "nics.1.ips", "twice"),
        ({"nics": {}}, "nics", "array of objects"),
        ({"nics": [7]}, "nics.0", "an object"),
        ({"autoboot": "yes"}, "autoboot", "true or false"),
        ({"tags": {"a": {}}}, "tags.a", "write JSON as a string"),
        ({"customer_metadata": {"a": None}}, "customer_metadata.a", "a string"),
        ({"customer_metadata": []}, "customer_metadata", "an object"),
        ({"routes": {"10.2.0.0/16": "gw"}}, "routes.10.2.0.0/16", "nics[N]"),
        ({"zfs_root_compression": "gzip-10"}, "zfs_root_compression", "gzip-9"),
        ({"limit_priv": ["a,b"]}, "limit_priv", "without commas"),
        ({"alias": 7}, "alias", "a string"),
        ({"filesystems": [{"type": 7}]}, "filesystems.0.type", "a string"),
        ({"max_locked_memory": 1024}, "max_physical_memory", "less than max_locked_memory"),
        ({"max_swap": 256}, "max_swap", "less than max_physical_memory"),
    ],
)
def test_what_vmadm_refuses_is_reported_as_refused(changes, path, words):
    advice = told(changed(WEB, **changes))[path]
    assert words in advice.text
    assert advice.refused


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"disk__model": ...}, "disks.0.model", "missing"),
        ({"disk__model": "ide"}, "disks.0.model", "nvme"),
        ({"disk__size": 1024}, "disks.0.size", "not beside image_uuid"),
        ({"disk__block_size": 4096}, "disks.0.block_size", "not beside image_uuid"),
        ({"disk__image_uuid": ...}, "disks.0.size", "missing"),
        ({"disk__image_uuid": ...}, "disks.0.image_size", "only beside"),
        ({"disk__path": "/dev/x"}, "disks.0.nocreate", "missing"),
        ({"disk__media": "tape"}, "disks.0.media", "cdrom"),
        ({"disk__guest_block_size": "512/3"}, "disks.0.guest_block_size", "powers of two"),
        ({"nic__model": ...}, "nics.0.model", "missing"),
        ({"vcpus": 0}, "vcpus", "at least 1"),
        ({"vnc_port": -2}, "vnc_port", "at least -1"),
        ({"max_physical_memory": 512}, "max_physical_memory", "less than ram"),
        ({"pci_devices": [{"path": "/dev/x"}]}, "pci_devices.0.path", "/devices"),
        ({"pci_devices": [{"path": "/devices/x"}]}, "pci_devices.0.pci_slot", "missing"),
        ({"disks": "x"}, "disks", "array of objects"),
    ],
)
def test_what_a_guest_with_hardware_is_refused_for(changes, path, words):
    advice = told(changed(GUEST, **changes))[path]
    assert words in advice.text
    assert advice.refused


@pytest.mark.parametrize(
    ("base", "changes", "path", "words"),
    [
        (WEB, {"vcpus": 2}, "vcpus", "unknown for brand joyent"),
        (WEB, {"foo": 1}, "foo", "unknown property"),
        (WEB, {"max_lwp": 1}, "max_lwp", 'did you mean "max_lwps"'),
        (WEB, {"nic__vlan": 1}, "nics.0.vlan", 'did you mean "vlan_id"'),
        (WEB, {"autoboot": 1}, "autoboot", "write true"),
        (WEB, {"customer_metadata": {"sdc:uuid": "x"}}, "customer_metadata.sdc:uuid", "sdc:"),
        (GUEST, {"disk__image_size": ...}, "disks.0.image_size", "the node can find it"),
    ],
)
def test_what_is_only_advice(base, changes, path, words):
    advice = told(changed(base, **changes))[path]
    assert words in advice.text
    assert not advice.refused


@pytest.mark.parametrize(
    "changes",
    [
        {"max_physical_memory": "512"},
        {"max_physical_memory": 512.0},
        {"max_physical_memory": None},
        {"max_physical_memory": ""},
        {"resolvers": "8.8.8.8,8.8.4.4"},
        {"resolvers": ["8.8.8.8", "fd00::1"]},
        {"autoboot": "false"},
        {"image_uuid": ..., "dataset_uuid": IMAGE},
        {"routes": {"10.2.0.0/16": "nics[0]", "10.3.0.0/16": "10.1.0.2", "0/0": "macs[0:1]"}},
        {"customer_metadata": {"user-script": "#!/bin/sh", "root_authorized_keys": "ssh-rsa x"}},
        {"tags": {"n": 1, "b": True}},
        {"limit_priv": "default,dtrace_user"},
        {"max_swap": 512, "max_locked_memory": 512},
        {"brand": "lx", "kernel_version": "5.10", "docker": True},
        {"zfs_root_compression": "gzip-9"},
        {"nic__mac": "0:1:2:a:b:c", "nic__vlan_id": "7", "nic__mtu": 9000},
        {"nic__ips": ["dhcp", "addrconf"]},
    ],
)
def test_other_ways_to_write_it_are_fine(changes):
    assert advise(changed(WEB, **changes)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"disk_driver": "virtio", "disk__model": ..., "nic_driver": "virtio", "nic__model": ...},
        {"flexible_disk_size": 20480, "disk__size": 20480},
        {"disks": [{"model": "virtio", "size": 1024, "block_size": 8192}]},
        {"disks": [{"model": "ahci", "media": "cdrom", "path": "/x.iso", "nocreate": True}]},
        {"disk__guest_block_size": "512/4096"},
        {"pci_devices": [{"path": "/devices/pci@0,0/x", "pci_slot": "0:8:0"}]},
        {"ram": 512, "max_physical_memory": 1536, "max_swap": 1536},
    ],
)
def test_hardware_may_be_described_in_other_ways(changes):
    assert advise(changed(GUEST, **changes)) == []


def test_two_nics_with_one_mac_are_refused_however_it_is_spelled():
    nics = [
        {**GUEST["nics"][0], "mac": "02:08:20:AA:BB:01"},
        {**GUEST["nics"][0], "mac": "02:08:20:aa:bb:01"},
    ]
    assert "another NIC" in told(changed(GUEST, nics=nics))["nics.1.mac"].text


def test_very_much_is_cut_off():
    assert len(advise({**WEB, **{f"k{n}": n for n in range(5000)}})) == MOST + 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(PROPERTIES)), json_values),
    st.sampled_from(sorted(BRANDS)),
)
def test_no_value_of_any_property_is_too_odd_to_be_advised_on(description, brand):
    for advice in advise({**description, "brand": brand}):
        assert str(advice).isprintable()


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["model", "size", "ips", "mac", "image_uuid", "media", "path"]),
            json_values,
        )
    )
)
def test_no_entry_is_too_odd_to_be_advised_on(entries):
    assert isinstance(advise({**GUEST, "nics": entries, "disks": entries}), list)
