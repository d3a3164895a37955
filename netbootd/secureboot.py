"""
What an admin should know of machines that are given a shim, the loader for Secure Boot: whether
GRUB will find its way in this network, and whether the kernel bears a signature.  The former is
told of a GRUB without a shim as well.

A signature alone proves no trust: what a machine accepts stands in its own firmware, which nobody
asks over the network.  So what is missing is a warning, and what is there is only told.

What GRUB can do was measured with Debian's signed builds in EDK2 (tests/end_to_end/
test_secure_boot.py).  2.06 takes its server from the answer of the site's DHCP server alone
(grub-core/net/drivers/efi/efinet.c; https://github.com/digitalrebar/provision/issues/238), and has
no HTTP; 2.12 knows the proxy's answer, and the firmware's HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

from netbootd import arch, loaderfile, loaders, urls
from netbootd.arch import Arch
from netbootd.boot import loader
from netbootd.dialects.dialect import own_path
from netbootd.errors import Finding, Forbidden, Level, NotFound, RenderError
from netbootd.printable import counted
from netbootd.registry.facts import everybody, for_a_look, its_address
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of
from netbootd.targets.plan import Kernel

#: The firmware that shims are made for, as PXE and as HTTP boot.
FIRMWARE = tuple(arch.TABLE[number] for number in (7, 16, 6, 15, 11, 19))

#: What the warnings are called.
GRUB_MISSING, GRUB_PROXY, GRUB_HTTP = "grub-missing", "grub-proxydhcp", "grub-http"
UNSIGNED = "kernel-unsigned"

#: Folders whose shim loads an iPXE.
_OF_IPXE = frozenset(
    name.rpartition("/")[0] for names in loaders.SETS["shim-ipxe"].values() for name in names
) - {""}
#: The first GRUB that a proxy's answer and the firmware's HTTP are enough for.
_GOOD = (2, 12)
_NEWER = "take shim and GRUB 2.12 of Debian 13 ('firmware/fetch-trixie --secure-boot')"
_HEAD = 4096  # bytes: the headers of any kernel
_LARGEST_TABLE = 1 << 18
_LARGEST_PROGRAM = 16 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A kernel below the file root; *signed* is None for what is no UEFI program."""

    path: str
    signed: bool | None
    signers: tuple[str, ...] = ()


@dataclass(slots=True)
class Warnings:
    """Each said once, of the first *machine* that it is true of, with the number of the others."""

    machines: dict[tuple[str, str], dict[str, Machine]] = field(default_factory=dict)

    def add(self, code: str, told: str, machine: Machine) -> None:
        self.machines.setdefault((code, told), {}).setdefault(machine.written, machine)

    def findings(self) -> Iterator[Finding]:
        for (code, told), held in self.machines.items():
            first, others = next(iter(held.values())), len(held) - 1
            more = f" (and {counted(others, 'other machine')})" if others else ""
            path = path_of("machines", first.written)
            yield Finding(Level.WARNING, code, f"{first.title}: {told}{more}", first.place, path)


def remarks(registry: Registry) -> tuple[Finding, ...]:
    """What may keep machines with shim or GRUB from booting.  Reads the heads of their kernels."""
    warnings = Warnings()
    kernels: dict[str, Kept | None] = {}
    grubs: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    chosen: dict[tuple[int, int, str], list[tuple[Arch, str]]] = {}
    for machine in everybody(registry):
        # Thousands say the same: what they load is looked up once.
        subnet = registry.subnets.of(its_address(machine, registry))
        word = id(machine.loader), id(machine.target.common.loader), subnet.name
        if word not in chosen:
            found = ((one, loader_of(one, machine, registry)) for one in FIRMWARE)
            chosen[word] = [(one, name) for one, name in found if name]
        ours = chosen[word]
        for firmware, name in ours:
            which = firmware.http, name
            if which not in grubs:
                grubs[which] = list(of_grub(firmware, name, registry))
            for code, told in grubs[which]:
                warnings.add(code, told, machine)
        shims = [name for _, name in ours if is_shim(name)]
        if shims and (path := _kernel_path(machine, registry)):
            if path not in kernels:
                kernels[path] = _look(path, registry)
            if (kernel := kernels[path]) and not kernel.signed:
                warnings.add(UNSIGNED, told_of_kernel(kernel), machine)
    return tuple(warnings.findings())


def loader_of(firmware: Arch, machine: Machine, registry: Registry) -> str:
    """The shim or GRUB that *machine* loads if it is of that *firmware*; empty for any other."""
    subnet = registry.subnets.of(its_address(machine, registry))
    name = loader.find(firmware, machine, registry, subnet).name
    return name if is_shim(name) or _grub_of(name) else ""


def is_shim(name: str) -> bool:
    """Whether a loader of that *name* is made for Secure Boot."""
    return "shim" in name.rpartition("/")[2]


def _grub_of(name: str) -> str:
    """The GRUB that a loader of that *name* loads, or is; empty where it is for something else."""
    folder, slash, file = name.rpartition("/")
    if file.startswith("shim") and folder not in _OF_IPXE:
        return folder + slash + file.replace("shim", "grub", 1)
    return name if file.startswith("grub") else ""


def of_grub(firmware: Arch, name: str, registry: Registry) -> Iterator[tuple[str, str]]:
    """What is to be said of the GRUB behind the loader *name*, each with its code."""
    grub = _grub_of(name)
    if not grub:
        return
    where, data = _loaded_next(grub, registry)
    if not data:
        yield GRUB_MISSING, f"{name} will ask for {grub}, which is nowhere to be found"
        return
    if firmware.http or registry.config.proxydhcp.enabled:
        code = GRUB_HTTP if firmware.http else GRUB_PROXY
        if told := old_grub(where, data, http=firmware.http):
            yield code, told


def old_grub(where: str, data: bytes, *, http: bool) -> str:
    """
    Why the GRUB *data*, to be found *where*, may not go on, empty if it does: by UEFI HTTP boot,
    else behind a ProxyDHCP.
    """
    seen = loaderfile.inspect(data)
    if seen.product != "GRUB" or _numbers(seen.version) >= _GOOD:
        return ""
    which = f"GRUB {seen.version}" if seen.version else "a GRUB that does not tell its version"
    if http:
        return f"{where} is {which}, which cannot go on after UEFI HTTP boot: {_NEWER}"
    return (
        f"{where} is {which}, which looks for its files on the host that the site's "
        f"DHCP server names, not on a ProxyDHCP: {_NEWER}, or let the DHCP server name this "
        "host as next-server (siaddr)"
    )


def _loaded_next(name: str, registry: Registry) -> tuple[str, bytes]:
    """Where the file is that a shim asks for, and what is in it; empty where there is none."""
    if program := registry.library.program(name):
        return str(program.path), program.data
    with suppress(NotFound, Forbidden, OSError), closing(registry.library.lookup(name)) as content:
        return str(registry.library.where(name)), content.read(0, _LARGEST_PROGRAM)
    return "", b""


def kernel_of(machine: Machine, registry: Registry) -> Kept | None:
    """What *machine*'s target boots, where that is a kernel that lies below the file root."""
    path = _kernel_path(machine, registry)
    return _look(path, registry) if path else None


def told_of_kernel(kernel: Kept) -> str:
    """Whether a machine with Secure Boot on may boot it, as far as that can be known here."""
    if kernel.signed is None:
        return f'"{kernel.path}" is no UEFI program: no machine with Secure Boot on boots it'
    if not kernel.signed:
        return (
            f'"{kernel.path}" bears no signature: no machine with Secure Boot on boots it; take '
            "the distribution's signed kernel, or sign it (sbsign)"
        )
    by = f" by {', '.join(kernel.signers)}" if kernel.signers else ""
    return (
        f'"{kernel.path}" bears a signature{by}; whether this machine trusts it, only its firmware '
        "and its shim know"
    )


def _kernel_path(machine: Machine, registry: Registry) -> str:
    """Below the file root; empty for everything else."""
    facts = for_a_look(machine, registry)
    with suppress(RenderError):  # which is said elsewhere
        plan = machine.target.plan(facts)
        if isinstance(plan, Kernel) and (path := own_path(plan.url, facts)):
            return unquote(urls.split_mac(path)[1])
    return ""


def _look(path: str, registry: Registry) -> Kept | None:
    """The file *path* below the root; None where there is none, which is said elsewhere."""
    with suppress(NotFound, Forbidden, OSError), closing(registry.library.lookup(path)) as content:
        return _read(path, content.read)
    return None


def _read(path: str, read: Callable[[int, int], bytes]) -> Kept:
    where = loaderfile.certificate_table(read(0, _HEAD))
    if where is None:
        return Kept(path, signed=None)
    at, size = where
    signers = loaderfile.signers(read(at, min(size, _LARGEST_TABLE)))
    return Kept(path, signers is not None, signers or ())


def _numbers(version: str) -> tuple[int, ...]:
    """``(2, 6)`` of "2.06-13+deb12u2"; empty where it does not begin with numbers."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else ()
