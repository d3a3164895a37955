"""
What ``vmadm`` would say to a VM description.

Only advice: a description is kept and served whatever is said here, since a newer platform may
know better.  ``vmadm validate`` knows the properties, types, ranges and the rules for disks;
``nic_tag``, ``model``, addresses, what stands twice and the relations are only found by
``vmadm create``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from netbootd.vms.properties import BRANDS, HVM, PROPERTIES, ZONES, properties
from netbootd.vms.values import Advice, Found, bad, items_of, shown, whole

Entry = Mapping[str, Any]

#: Remarks that are made on one description.
MOST = 100
#: What ``vmadm create`` takes where none is named.
_BRAND = "joyent"
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
        told = f"bad brand: must be one of {', '.join(sorted(BRANDS))}, not {shown(written)}"
        yield Advice("brand", told, True)
    yield from _missing(vm, brand)
    yield from _relations(vm, brand)
    yield from _nics(vm, brand)
    yield from _disks(vm, brand)
    yield from _pci_devices(vm)
    others = {key: value for key, value in vm.items() if key != "brand"}
    yield from properties(others, PROPERTIES, brand, "")


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
            yield bad(f"{path}.model", f"one of {', '.join(_DISK_MODELS[brand])}", model)
        media = disk.get("media", "disk")
        if media not in ("disk", "cdrom"):
            yield bad(f"{path}.media", "disk or cdrom", media)
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
