"""
What ``vmadm`` would say to a VM description: its property table as data, and its rules.

Only advice: a description is kept and served whatever is said here, since a newer platform may
know better.  Sources: vmadm(8) and VM.js, props.js of
https://github.com/TritonDataCenter/smartos-live (src/vm).  ``vmadm validate`` knows the properties,
types, ranges and the rules for disks; ``nic_tag``, ``model``, addresses, what stands twice and the
relations are only found by ``vmadm create``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_interface
from itertools import islice
from typing import Any, NamedTuple

from netbootd.nearest import did_you_mean
from netbootd.printable import printable
from netbootd.relaxedjson import kind


class Advice(NamedTuple):
    """One thing about the property at *path* (``nics.0.mtu``); *refused*: vmadm stops at it."""

    path: str
    text: str
    refused: bool

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.text}", 400)


Found = Iterator[Advice]
Check = Callable[[str, Any], Found]
Entry = Mapping[str, Any]

ZONES = frozenset({"joyent", "joyent-minimal", "builder", "lx"})
HVM = frozenset({"bhyve", "kvm"})
BRANDS = ZONES | HVM
#: Remarks that are made on one description.
MOST = 100
#: What ``vmadm create`` takes where none is named.
_BRAND = "joyent"

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WHOLE = re.compile(r"-?[0-9]+")
_COMPRESSION = re.compile(r"on|off|gzip(?:-[1-9])?|lz4|lzjb|zle")
_TAG = re.compile(r"[A-Za-z0-9_/]+")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}")
_ROUTE = re.compile(r"nics\[[0-9]+\]|macs\[[0-9A-Fa-f:]+\]")
_CLIENT_ID = re.compile(r"0x(?:[0-9A-Fa-f]{2}){1,255}")


# --- types ---------------------------------------------------------------------------------------


def _bad(path: str, wanted: str, value: Any) -> Advice:
    return Advice(path, f"bad value: must be {wanted}, not {_shown(value)}", True)


def _shown(value: Any) -> str:
    """*value* as JSON has it; of what may be deeper than Python can print, only what it is."""
    if isinstance(value, dict | list):
        return kind(value)
    return json.dumps(value, ensure_ascii=False)[:60]


def _a(wanted: str, fits: Callable[[Any], bool]) -> Check:
    """A value of which *fits* is true."""

    def check(path: str, value: Any) -> Found:
        if not fits(value):
            yield _bad(path, wanted, value)

    return check


def _boolean(path: str, value: Any) -> Found:
    if value in ("true", "false") or isinstance(value, bool):
        return
    if value in (1, "1"):
        yield Advice(path, "taken for true; write true", False)
    else:
        yield _bad(path, "true or false", value)


def _unset(value: Any) -> bool:
    """To vmadm, empty and null are as good as absent, where a string or number may stand."""
    return value is None or value == ""


def whole(value: Any) -> int | None:
    """The whole number that *value* is or spells, None for what is none."""
    if isinstance(value, str) and len(value) < 100 and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _integer(low: int, high: int | None = None) -> Check:
    def fits(value: Any) -> bool:
        if _unset(value):
            return True
        number = whole(value)
        return number is not None and number >= low and (high is None or number <= high)

    wanted = f"a whole number, at least {low}" if high is None else f"from {low} to {high}"
    return _a(wanted, fits)


def _matching(pattern: re.Pattern[str], wanted: str) -> Check:
    return _a(wanted, lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)))


_STRING = _a("a string", lambda value: _unset(value) or isinstance(value, str))
_UUID_TYPE = _matching(_UUID, "a UUID in lower case")
_TRUE = _a("true, or absent", lambda value: value in (True, "true", "1"))


def items_of(value: Any) -> list[Any] | None:
    """The items of a list, which may be written as one string with commas; None for no list."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value else []
    return value if isinstance(value, list) else None


def _list(fits: Callable[[str], bool] = lambda _: True, wanted: str = "", most: int = 0) -> Check:
    """A list of texts that *fit*, at most *most* of them."""
    each = wanted or "strings or numbers, without commas in them"

    def check(path: str, value: Any) -> Found:
        if _unset(value):
            return
        items = items_of(value)
        if items is None or not all(_plain(item) and fits(str(item)) for item in items):
            yield _bad(path, f"a list of {each}", value)
        elif most and len(items) > most:
            yield Advice(path, f"bad value: {len(items)} entries; at most {most}", True)

    return check


def _plain(item: Any) -> bool:
    if isinstance(item, str):
        return "," not in item
    return isinstance(item, int | float) and not isinstance(item, bool)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_ipv4(text: str) -> bool:
    return _is_address(text) and isinstance(ip_address(text), IPv4Address)


def _is_interface(text: str) -> bool:
    """``address/prefix``, or who is to be asked for one."""
    if text in ("dhcp", "addrconf"):
        return True
    try:
        ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def _flat(path: str, value: Any) -> Found:
    if not isinstance(value, dict):
        yield _bad(path, "an object", value)
        return
    for key, item in value.items():
        if not isinstance(item, str | int | float):
            wanted = "a string, a number, true or false; write JSON as a string"
            yield _bad(f"{path}.{key}", wanted, item)


def _metadata(path: str, value: Any) -> Found:
    yield from _flat(path, value)
    for key in value if isinstance(value, dict) else ():
        if key.startswith("sdc:"):
            yield Advice(f"{path}.{key}", "names that begin with sdc: cannot be written", False)


def _routes(path: str, value: Any) -> Found:
    yield from _flat(path, value)
    for key, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, str) and not (_is_address(item) or _ROUTE.fullmatch(item)):
            yield _bad(f"{path}.{key}", "an IP address, nics[N] or macs[MAC]", item)


def _power_of_two(low: int, high: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        number = whole(value)
        return number is not None and low <= number <= high and not number & (number - 1)

    return fits


def _guest_block_size(value: Any) -> bool:
    """``N``, or logical and physical as ``N/N``."""
    sizes = str(value).split("/")
    return len(sizes) <= 2 and all(_power_of_two(1, 1 << 30)(size) for size in sizes)


def _objects(table: Mapping[str, Property]) -> Check:
    """An array of objects with the properties of *table*."""

    def check(path: str, value: Any) -> Found:
        if not isinstance(value, list):
            yield _bad(path, "an array of objects", value)
            return
        for index, item in enumerate(value):
            here = f"{path}.{index}"
            if isinstance(item, dict):
                yield from _properties(item, table, None, f"{here}.")
            else:
                yield _bad(here, "an object", item)

    return check


# --- the table -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property:
    """One row: how its value is checked, and which *brands* know it."""

    check: Check
    brands: frozenset[str] = BRANDS


def _rows(names: str, check: Check, brands: Iterable[str] = BRANDS) -> dict[str, Property]:
    return dict.fromkeys(names.split(), Property(check, frozenset(brands)))


_IPS = "addresses with a prefix length (10.0.0.5/24), dhcp or addrconf"

NIC: Mapping[str, Property] = {
    **_rows("nic_tag", _matching(_TAG, "letters, digits, _ and /")),
    **_rows("mac", _matching(_MAC, "a MAC with colons")),
    **_rows("ips", _list(_is_interface, _IPS, 20)),
    **_rows("gateways", _list(_is_ipv4, "IPv4 addresses")),
    **_rows("model ip netmask gateway interface vrrp_primary_ip", _STRING),
    **_rows("primary", _TRUE),
    **_rows("vlan_id", _integer(0, 4095)),
    **_rows("mtu", _integer(576, 9000)),
    **_rows("network_uuid", _UUID_TYPE),
    **_rows("allow_dhcp_spoofing dhcp_server allow_ip_spoofing allow_mac_spoofing", _boolean),
    **_rows("allow_restricted_traffic allow_unfiltered_promisc", _boolean),
    **_rows("allowed_ips", _list(most=13)),
    **_rows(
        "allowed_dhcp_cids",
        _list(
            lambda text: bool(_CLIENT_ID.fullmatch(text)), "client ids in hexadecimal (0x01ab)", 20
        ),
    ),
    **_rows("blocked_outgoing_ports", _list()),
    **_rows("vrrp_vrid", _integer(0, 255)),
}

DISK: Mapping[str, Property] = {
    **_rows("model media compression path zpool uuid image_name", _STRING),
    **_rows("pci_slot", _STRING, {"bhyve"}),
    **_rows("image_uuid", _UUID_TYPE),
    **_rows("boot nocreate", _boolean),
    **_rows("size image_size refreservation", _integer(0)),
    **_rows("block_size", _a("a power of two from 512 to 131072", _power_of_two(512, 131072))),
    **_rows("guest_block_size", _a("N or N/N, powers of two", _guest_block_size), {"bhyve"}),
}

FILESYSTEM: Mapping[str, Property] = {
    **_rows("type source target raw", _STRING),
    **_rows("options", _list()),
}

PCI_DEVICE: Mapping[str, Property] = {
    **_rows("path", _matching(re.compile(r"/devices.*"), "a path below /devices")),
    **_rows("pci_slot model", _STRING),
}

PROPERTIES: Mapping[str, Property] = {
    **_rows("alias billing_id hostname owner_uuid zonename zpool", _STRING),
    **_rows("uuid image_uuid", _UUID_TYPE),
    **_rows("autoboot archive_on_delete do_not_inventory firewall_enabled", _boolean),
    **_rows("indestructible_delegated indestructible_zoneroot", _boolean),
    **_rows("cpu_cap cpu_shares quota ram max_physical_memory max_locked_memory", _integer(0)),
    **_rows("max_lwps max_msg_ids max_sem_ids max_shm_ids max_shm_memory", _integer(0)),
    **_rows("zfs_io_priority zfs_filesystem_limit zfs_snapshot_limit", _integer(0)),
    **_rows("zfs_root_recsize", _integer(0)),
    **_rows("max_swap", _integer(256)),
    **_rows(
        "zfs_root_compression",
        _matching(_COMPRESSION, "on, off, gzip, gzip-1 to gzip-9, lz4, lzjb or zle"),
    ),
    **_rows("customer_metadata internal_metadata", _metadata),
    **_rows("tags", _flat),
    **_rows("routes", _routes),
    **_rows("internal_metadata_namespaces limit_priv", _list()),
    **_rows("resolvers", _list(_is_address, "IP addresses")),
    **_rows("nics", _objects(NIC)),
    **_rows("delegate_dataset maintain_resolvers nowait restart_init", _boolean, ZONES),
    **_rows("dns_domain init_name zfs_data_compression", _STRING, ZONES),
    **_rows("fs_allowed", _list(), ZONES),
    **_rows("mdata_exec_timeout tmpfs zfs_data_recsize zlog_max_size", _integer(0), ZONES),
    **_rows("filesystems", _objects(FILESYSTEM), ZONES),
    **_rows("docker", _boolean, {"lx", "joyent-minimal"}),
    **_rows("kernel_version", _STRING, {"lx"}),
    **_rows("package_name package_version", _STRING, ZONES | {"kvm"}),
    **_rows("vcpus", _integer(1), HVM),
    **_rows("boot disk_driver nic_driver vnc_password", _STRING, HVM),
    **_rows("vnc_port", _integer(-1), HVM),
    **_rows("disks", _objects(DISK), HVM),
    **_rows("bootrom bhyve_extra_opts com1 com2", _STRING, {"bhyve"}),
    **_rows("flexible_disk_size", _integer(0), {"bhyve"}),
    **_rows("pci_devices", _objects(PCI_DEVICE), {"bhyve"}),
    **_rows("cpu_type vga qemu_opts qemu_extra_opts spice_opts spice_password", _STRING, {"kvm"}),
    **_rows("spice_port", _integer(-1), {"kvm"}),
    **_rows("virtio_txburst virtio_txtimer", _integer(0), {"kvm"}),
    # Old names.
    **_rows("dataset_uuid", _UUID_TYPE, ZONES),
    **_rows("zone_dataset_uuid", _UUID_TYPE, HVM),
    **_rows("zfs_storage_pool_name", _STRING),
}

#: Models of the drivers that ``vmadm create`` knows.
_DISK_MODELS = {"kvm": ("virtio", "scsi", "ide"), "bhyve": ("virtio", "ahci", "nvme")}


def advise(description: Entry) -> list[Advice]:
    """What there is to say about *description*; of very much, the first MOST remarks."""
    found = list(islice(_remarks(description), MOST + 1))
    if len(found) > MOST:
        found[MOST:] = [Advice("…", "there is more, which is left out here", False)]
    return found


def _remarks(vm: Entry) -> Found:
    """What vmadm stops at for sure comes first, so that it is not what is left out."""
    written = vm.get("brand", _BRAND)
    brand = written if isinstance(written, str) and written in BRANDS else None
    if "brand" not in vm:
        told = f'missing: vmadm validate wants it; vmadm create takes "{_BRAND}"'
        yield Advice("brand", told, True)
    elif brand is None:
        told = f"bad brand: must be one of {', '.join(sorted(BRANDS))}, not {_shown(written)}"
        yield Advice("brand", told, True)
    yield from _missing(vm, brand)
    yield from _relations(vm, brand)
    yield from _nics(vm, brand)
    yield from _disks(vm, brand)
    yield from _pci_devices(vm)
    others = {key: value for key, value in vm.items() if key != "brand"}
    yield from _properties(others, PROPERTIES, brand, "")


def _properties(
    entry: Entry, table: Mapping[str, Property], brand: str | None, prefix: str
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


def _missing(vm: Entry, brand: str | None) -> Found:
    if brand in ZONES and "image_uuid" not in vm and "dataset_uuid" not in vm:
        yield Advice("image_uuid", f"missing: brand {brand} wants it", True)
    if brand == "lx" and "kernel_version" not in vm:
        yield Advice("kernel_version", "missing: brand lx wants it", True)


def _entries(vm: Entry, key: str) -> Sequence[tuple[str, Entry]]:
    """The objects of an array, each with its path."""
    entries = vm.get(key)
    if not isinstance(entries, list):
        return []
    return [(f"{key}.{n}", entry) for n, entry in enumerate(entries) if isinstance(entry, dict)]


def _nics(vm: Entry, brand: str | None) -> Found:
    macs: set[str] = set()
    addresses: set[str] = set()
    for path, nic in _entries(vm, "nics"):
        if "nic_tag" not in nic:
            yield Advice(f"{path}.nic_tag", "missing", True)
        if brand in HVM and "model" not in nic and "nic_driver" not in vm:
            yield Advice(f"{path}.model", f"missing: brand {brand} wants it, or nic_driver", True)
        if "vrrp_vrid" in nic:
            yield from _vrrp(path, nic)
        yield from _twice(f"{path}.mac", [nic.get("mac")], macs, "the MAC of another NIC")
        ips = [ip for ip in items_of(nic.get("ips")) or [] if ip not in ("dhcp", "addrconf")]
        yield from _twice(f"{path}.ips", ips, addresses, "an address that stands twice")


def _vrrp(path: str, nic: Entry) -> Found:
    if "vrrp_primary_ip" not in nic:
        yield Advice(f"{path}.vrrp_primary_ip", "missing: vrrp_vrid wants it", True)
    if "mac" in nic:
        yield Advice(f"{path}.mac", "bad value: not beside vrrp_vrid, which makes the MAC", True)


def _twice(path: str, values: Iterable[Any], seen: set[str], what: str) -> Found:
    for value in values:
        text = value.lower().partition("/")[0] if isinstance(value, str) else ""
        if text in seen:
            yield Advice(path, f"bad value: {what}: {value}", True)
        seen |= {text} - {""}


def _disks(vm: Entry, brand: str | None) -> Found:
    for path, disk in _entries(vm, "disks"):
        if "model" not in disk and "disk_driver" not in vm:
            yield Advice(f"{path}.model", "missing, or disk_driver for all", True)
        model = disk.get("model")
        if brand in _DISK_MODELS and isinstance(model, str) and model not in _DISK_MODELS[brand]:
            yield _bad(f"{path}.model", f"one of {', '.join(_DISK_MODELS[brand])}", model)
        media = disk.get("media", "disk")
        if media not in ("disk", "cdrom"):
            yield _bad(f"{path}.media", "disk or cdrom", media)
        if "path" in disk and "nocreate" not in disk:
            yield Advice(f"{path}.nocreate", "missing: path wants it", True)
        elif media == "disk" and "path" not in disk:
            yield from _sizes(path, disk, flexible="flexible_disk_size" in vm)


def _sizes(path: str, disk: Entry, *, flexible: bool) -> Found:
    if "image_uuid" not in disk:
        if "size" not in disk:
            yield Advice(f"{path}.size", "missing: in MiB, for a disk without an image", True)
        for key in disk.keys() & {"image_size", "image_name"}:
            yield Advice(f"{path}.{key}", "bad value: only beside image_uuid", True)
        return
    if "image_size" not in disk:
        told = "missing: the node can find it for an image that it has"
        yield Advice(f"{path}.image_size", told, False)
    for key in disk.keys() & ({"block_size"} if flexible else {"block_size", "size"}):
        yield Advice(f"{path}.{key}", "bad value: not beside image_uuid", True)


def _pci_devices(vm: Entry) -> Found:
    for path, device in _entries(vm, "pci_devices"):
        for key in ("path", "pci_slot"):
            if key not in device:
                yield Advice(f"{path}.{key}", "missing", True)


#: The first may not be less than the second.
_AT_LEAST = (
    ("max_physical_memory", "max_locked_memory", BRANDS),
    ("max_swap", "max_physical_memory", BRANDS),
    ("max_physical_memory", "ram", HVM),
    ("max_swap", "ram", HVM),
)


def _relations(vm: Entry, brand: str | None) -> Found:
    for large, small, brands in _AT_LEAST:
        more, less = whole(vm.get(large)), whole(vm.get(small))
        if brand in brands and more is not None and less is not None and more < less:
            yield Advice(large, f"bad value: {more} is less than {small}, {less}", True)
