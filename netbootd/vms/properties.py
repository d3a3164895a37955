"""
The properties of a VM that ``vmadm`` knows, as tables.

Sources: vmadm(8) and VM.js, props.js of https://github.com/TritonDataCenter/smartos-live (src/vm).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netbootd.nearest import did_you_mean
from netbootd.vms.values import (
    STRING,
    TRUE,
    UUID,
    Advice,
    Check,
    Found,
    bad,
    boolean,
    fitting,
    flat,
    guest_block_size,
    integer,
    is_address,
    is_interface,
    is_ipv4,
    listed,
    matching,
    metadata,
    power_of_two,
    routes,
)

ZONES = frozenset({"joyent", "joyent-minimal", "builder", "lx"})
HVM = frozenset({"bhyve", "kvm"})
BRANDS = ZONES | HVM

_COMPRESSION = re.compile(r"on|off|gzip(?:-[1-9])?|lz4|lzjb|zle")
_TAG = re.compile(r"[A-Za-z0-9_/]+")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}")
_CLIENT_ID = re.compile(r"0x(?:[0-9A-Fa-f]{2}){1,255}")


@dataclass(frozen=True, slots=True)
class Property:
    """One row: how its value is checked, and which *brands* know it."""

    check: Check
    brands: frozenset[str] = BRANDS


def _rows(names: str, check: Check, brands: Iterable[str] = BRANDS) -> dict[str, Property]:
    return dict.fromkeys(names.split(), Property(check, frozenset(brands)))


def _objects(table: Mapping[str, Property]) -> Check:
    """An array of objects with the properties of *table*."""

    def check(path: str, value: Any) -> Found:
        if not isinstance(value, list):
            yield bad(path, "an array of objects", value)
            return
        for index, item in enumerate(value):
            here = f"{path}.{index}"
            if isinstance(item, dict):
                yield from properties(item, table, None, f"{here}.")
            else:
                yield bad(here, "an object", item)

    return check


def properties(
    entry: Mapping[str, Any], table: Mapping[str, Property], brand: str | None, prefix: str
) -> Found:
    """What is wrong with each property by itself."""
    for key, value in entry.items():
        path, row = f"{prefix}{key}", table.get(key)
        if row is None:
            hint = did_you_mean(key, table)
            yield Advice(path, f"unknown property: vmadm create drops it{hint}", False)
        elif brand and brand not in row.brands:
            yield Advice(path, f"unknown for brand {brand}: vmadm create drops it", False)
        else:
            yield from row.check(path, value)


_IPS = "addresses with a prefix length (10.0.0.5/24), dhcp or addrconf"

NIC: Mapping[str, Property] = {
    **_rows("nic_tag", matching(_TAG, "letters, digits, _ and /")),
    **_rows("mac", matching(_MAC, "a MAC with colons")),
    **_rows("ips", listed(is_interface, _IPS, 20)),
    **_rows("gateways", listed(is_ipv4, "IPv4 addresses")),
    **_rows("model ip netmask gateway interface vrrp_primary_ip", STRING),
    **_rows("primary", TRUE),
    **_rows("vlan_id", integer(0, 4095)),
    **_rows("mtu", integer(576, 9000)),
    **_rows("network_uuid", UUID),
    **_rows("allow_dhcp_spoofing dhcp_server allow_ip_spoofing allow_mac_spoofing", boolean),
    **_rows("allow_restricted_traffic allow_unfiltered_promisc", boolean),
    **_rows("allowed_ips", listed(most=13)),
    **_rows(
        "allowed_dhcp_cids",
        listed(
            lambda text: bool(_CLIENT_ID.fullmatch(text)), "client ids in hexadecimal (0x01ab)", 20
        ),
    ),
    **_rows("blocked_outgoing_ports", listed()),
    **_rows("vrrp_vrid", integer(0, 255)),
}

DISK: Mapping[str, Property] = {
    **_rows("model media compression path zpool uuid image_name", STRING),
    **_rows("pci_slot", STRING, {"bhyve"}),
    **_rows("image_uuid", UUID),
    **_rows("boot nocreate", boolean),
    **_rows("size image_size refreservation", integer(0)),
    **_rows("block_size", fitting("a power of two from 512 to 131072", power_of_two(512, 131072))),
    **_rows("guest_block_size", fitting("N or N/N, powers of two", guest_block_size), {"bhyve"}),
}

FILESYSTEM: Mapping[str, Property] = {
    **_rows("type source target raw", STRING),
    **_rows("options", listed()),
}

PCI_DEVICE: Mapping[str, Property] = {
    **_rows("path", matching(re.compile(r"/devices.*"), "a path below /devices")),
    **_rows("pci_slot model", STRING),
}

PROPERTIES: Mapping[str, Property] = {
    **_rows("alias billing_id hostname owner_uuid zonename zpool", STRING),
    **_rows("uuid image_uuid", UUID),
    **_rows("autoboot archive_on_delete do_not_inventory firewall_enabled", boolean),
    **_rows("indestructible_delegated indestructible_zoneroot", boolean),
    **_rows("cpu_cap cpu_shares quota ram max_physical_memory max_locked_memory", integer(0)),
    **_rows("max_lwps max_msg_ids max_sem_ids max_shm_ids max_shm_memory", integer(0)),
    **_rows("zfs_io_priority zfs_filesystem_limit zfs_snapshot_limit", integer(0)),
    **_rows("zfs_root_recsize", integer(0)),
    **_rows("max_swap", integer(256)),
    **_rows(
        "zfs_root_compression",
        matching(_COMPRESSION, "on, off, gzip, gzip-1 to gzip-9, lz4, lzjb or zle"),
    ),
    **_rows("customer_metadata internal_metadata", metadata),
    **_rows("tags", flat),
    **_rows("routes", routes),
    **_rows("internal_metadata_namespaces limit_priv", listed()),
    **_rows("resolvers", listed(is_address, "IP addresses")),
    **_rows("nics", _objects(NIC)),
    **_rows("delegate_dataset maintain_resolvers nowait restart_init", boolean, ZONES),
    **_rows("dns_domain init_name zfs_data_compression", STRING, ZONES),
    **_rows("fs_allowed", listed(), ZONES),
    **_rows("mdata_exec_timeout tmpfs zfs_data_recsize zlog_max_size", integer(0), ZONES),
    **_rows("filesystems", _objects(FILESYSTEM), ZONES),
    **_rows("docker", boolean, {"lx", "joyent-minimal"}),
    **_rows("kernel_version", STRING, {"lx"}),
    **_rows("package_name package_version", STRING, ZONES | {"kvm"}),
    **_rows("vcpus", integer(1), HVM),
    **_rows("boot disk_driver nic_driver vnc_password", STRING, HVM),
    **_rows("vnc_port", integer(-1), HVM),
    **_rows("disks", _objects(DISK), HVM),
    **_rows("bootrom bhyve_extra_opts com1 com2", STRING, {"bhyve"}),
    **_rows("flexible_disk_size", integer(0), {"bhyve"}),
    **_rows("pci_devices", _objects(PCI_DEVICE), {"bhyve"}),
    **_rows("cpu_type vga qemu_opts qemu_extra_opts spice_opts spice_password", STRING, {"kvm"}),
    **_rows("spice_port", integer(-1), {"kvm"}),
    **_rows("virtio_txburst virtio_txtimer", integer(0), {"kvm"}),
    # Old names.
    **_rows("dataset_uuid", UUID, ZONES),
    **_rows("zone_dataset_uuid", UUID, HVM),
    **_rows("zfs_storage_pool_name", STRING),
}
