"""
``GET /install/<path>`` and every other file of which there is a template instead: rendered for the
machine that asks, each time anew.

Whose file it is: the MAC in the address; else that in the headers which Anaconda sends for
``inst.ks.sendmac`` (``X-RHN-Provisioning-MAC-0: eth0 52:54:00:12:34:56``, one per card); else the
machine whose ``ip`` is the caller's address, or which last booted from there.  Anybody may ask for
any machine's file by its MAC, as for its boot script: an installer has nothing to prove who it is,
unless the file is secret (``vault``).

Two addresses have no file of their own.  Below a cloud-init seed, ``meta-data`` and ``vendor-data``
say what they must where the admin wrote none.  ``/d-i/<codename>/./preseed.cfg`` is what Debian's
installer makes of a ``url=`` without a path, and gets the file that the target names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

from netbootd import nocloud
from netbootd.answers import template_for
from netbootd.boot.client import Stage
from netbootd.boot.decision import identify, refusal
from netbootd.content import Content, parts_of
from netbootd.errors import Forbidden, NotFound, RenderError
from netbootd.http.provision import for_machine, served, unmade
from netbootd.http.resource import NO_STORE, Answer, Asked, Part, refused
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.rendering import SUFFIX
from netbootd.targets.base import Facts
from netbootd.urls import Route

_MAC_HEADER = re.compile(r"x-rhn-provisioning-mac-[0-9]+")
_DEBIAN_INSTALLER = re.compile(r"d-i/[^/]+/preseed\.cfg")


def answers(route: Route, registry: Registry) -> bool:
    """Whether *route*, of which there is no plain file, is for this page."""
    path = "/".join(parts_of(route.path))
    return (
        template_for(registry.answers, path) is not None
        or _DEBIAN_INSTALLER.fullmatch(path) is not None
        or _is_seed(path, registry)
    )


def answer(
    asked: Asked, route: Route, registry: Registry, record: Record, content_type: str
) -> Answer:
    """
    The file of the machine that asks.

    Raises NotFound where there is none for it, and what ``Library.lookup`` raises.
    """
    path = "/".join(parts_of(route.path))
    machine = machine_of(asked, route, registry, record)
    if machine is None or machine.mac is None:
        return _unknown(asked, path)
    if reason := refusal(asked.client(Stage.HTTP_BOOT, machine.mac), machine, registry):
        told = f"{machine.mac} is {reason}"
        return refused(asked, HTTPStatus.FORBIDDEN, told, mac=machine.mac)
    found = for_machine(asked, machine.mac, registry, record)
    if isinstance(found, Answer):
        return found
    machine, facts = found
    path = meant(path, machine)
    try:
        content = _content(path, facts, registry)
    except RenderError as problem:
        return unmade(asked, facts, facts.secrets.silence(problem), "file")
    headers = {"Content-Type": content_type, **NO_STORE}
    event = served(asked, facts, content.size)
    return Answer(HTTPStatus.OK, headers, Part(content, 0, content.size), event)


# -- who asks --------------------------------------------------------------------------------------


def machine_of(asked: Asked, route: Route, registry: Registry, record: Record) -> Machine | None:
    """Whose file is asked for; see the module's text."""
    if route.mac is not None:
        return _by_mac(route.mac, asked, registry)
    for mac in sorted(_macs_in_headers(asked), key=lambda mac: mac not in registry.machines):
        if found := _by_mac(mac, asked, registry):
            return found
    client = asked.client(Stage.HTTP_BOOT, None)
    if (found := identify(client, registry)) and found.mac is not None:
        return found
    _, mac_there = record.at(asked.peer)
    return _by_mac(mac_there, asked, registry) if mac_there else None


def _by_mac(mac: MAC, asked: Asked, registry: Registry) -> Machine | None:
    client = asked.client(Stage.HTTP_BOOT, mac)
    return identify(client, registry)


def _macs_in_headers(asked: Asked) -> Iterator[MAC]:
    """The cards that Anaconda names, the first first."""
    for name in sorted(asked.headers, key=lambda name: (len(name), name)):
        if _MAC_HEADER.fullmatch(name):
            words = asked.headers[name].split()
            if words and (mac := MAC.maybe(words[-1])):
                yield mac


def _unknown(asked: Asked, path: str) -> Answer:
    """No machine: how to name one is worth a line, since a person looks for this one."""
    folder, _, inside = path.partition("/")
    example = f"/install/<mac>/{inside}" if folder == "install" else f"/<mac>/{path}"
    told = (
        f"no machine is known at {asked.peer}, and this file is made for each: "
        f'ask for {example.removesuffix(SUFFIX)}, or give the machine its "ip"'
    )
    return refused(asked, HTTPStatus.NOT_FOUND, told)


# -- what it gets ----------------------------------------------------------------------------------


def meant(path: str, machine: Machine) -> str:
    """The file that *path* is for *machine*; raises NotFound."""
    return _named_by_target(machine) if _DEBIAN_INSTALLER.fullmatch(path) else path


def _named_by_target(machine: Machine) -> str:
    path = str(getattr(machine.target, "answer", "")).strip("/")
    if not path or "://" in path:
        raise NotFound(f"{machine.title} names no answer file")
    return path


def _content(path: str, facts: Facts, registry: Registry) -> Content:
    """Raises NotFound, and RenderError where the template does not go with this machine."""
    template = template_for(registry.answers, path)
    if template is not None:
        return _text(path, template.render(facts.names()))
    folder, _, name = path.rpartition("/")
    if folder and _is_seed(path, registry):
        made = nocloud.default_for(name, facts.mac, facts.variables)
        if made is not None:
            return _text(path, made)
    return registry.library.lookup(path)


def _is_seed(path: str, registry: Registry) -> bool:
    """Whether *path* is a file that cloud-init expects beside a ``user-data`` that is there."""
    folder, _, name = path.rpartition("/")
    if not folder or name not in (nocloud.META_DATA, nocloud.VENDOR_DATA):
        return False
    user_data = f"{folder}/{nocloud.USER_DATA}"
    if template_for(registry.answers, user_data) is not None:
        return True
    try:
        registry.library.lookup(user_data).close()
    except (NotFound, Forbidden):
        return False
    return True


def _text(path: str, text: str) -> Content:
    return Content(path, held=text.encode("utf-8", "surrogateescape"))
