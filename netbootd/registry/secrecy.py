"""
What the configuration calls secret: which machines and files, and by which cards one is known.

``"secret": true`` covers all that is made for a machine, its answer files, node script, extra
initrd and VM descriptions: each of these holds the token with which the next is asked for.  A file
or description that one such machine names is secret whoever asks for it, since its text is one,
whomever it is made for; and so is every machine that names it.
"""

from __future__ import annotations

from collections.abc import Iterator

from netbootd import nocloud
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.rendering import SUFFIX
from netbootd.targets.base import Target


def is_sealed(machine: Machine, registry: Registry) -> bool:
    """Whether what is made for *machine*, with the target that it boots now, is secret."""
    if not registry.seals:
        return False
    return (
        machine.secret
        or not registry.secret_files.isdisjoint(named_by(machine.target))
        or any(is_secret_vm(name, registry) for name in machine.vms)
    )


def is_secret_file(path: str, machine: Machine | None, registry: Registry) -> bool:
    """Whether the file *path*, without the ending of a template, needs a claim of *machine*."""
    if secret_name(path, registry):
        return True
    return machine is not None and path in registry.answers and is_sealed(machine, registry)


def secret_name(path: str, registry: Registry) -> str:
    """By which name the file *path* is secret, links followed; empty where it is by none."""
    secret = registry.secret_files
    return next((name for name in names_of(path, registry) if name in secret), "") if secret else ""


def names_of(path: str, registry: Registry) -> Iterator[str]:
    """The file *path*, what it is called with links followed, and so the template for it."""
    yield path
    yield registry.library.followed(path)
    if path in registry.answers:
        yield registry.library.followed(path + SUFFIX)


def is_secret_vm(name: str, registry: Registry) -> bool:
    """Whether a machine that is secret itself calls a description by *name*."""
    return any(user.secret for user in users_of(name, registry))


def users_of(name: str, registry: Registry) -> Iterator[Machine]:
    """The machines of the configuration that have the description *name*."""
    for key in registry.vm_users.get(name, ()):
        mac = MAC.maybe(key)
        found = registry.named.get(key) or (registry.machines.get(mac) if mac else None)
        if found is not None:
            yield found
    yield from (one for one in registry.wildcards.values() if name in one.vms)


def boots_by_secrets(machine: Machine) -> bool:
    """Whether its boot comes to nothing without what is made for it."""
    has_overlay = machine.overlays or machine.target.wants_overlay
    return bool(has_overlay) or next(named_by(machine.target), None) is not None


def named_by(target: Target) -> Iterator[str]:
    """The files below the file root that *target* names for each of its machines."""
    if answer := _plain(getattr(target, "answer", "")):
        yield answer
        yield from (f"{answer}/{name}" for name in nocloud.FILES)
    for file in (*getattr(target, "modules", ()), *getattr(target, "files", ())):
        if file.per_machine and (path := _plain(file.location)):
            yield path


def read_by_loader(target: Target) -> str:
    """The file that a loader of *target* reads, as often as it likes; empty for none."""
    return _plain(getattr(target, "boot_cfg", ""))


def _plain(location: str) -> str:
    return "" if "://" in location else location.strip("/").removesuffix(SUFFIX)


def cards_of(machine: Machine) -> tuple[MAC, ...]:
    """
    The cards by which it can be told from others: those of its entry; where it has none, as the
    default and a wildcard, the one it asks with, unless it was found by what it said of itself.
    """
    if machine.macs:
        return machine.macs
    return (machine.mac,) if machine.mac and machine.key == str(machine.mac) else ()
