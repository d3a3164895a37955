"""
``netbootd check --network``: do the servers that a configuration names answer?

Asked are the NFS servers in kernel arguments, on TCP 2049 (RFC 7530, section 3.1; NFS 3 servers
listen there as well), and whether the boot server's address is one of this host.  Nothing here is
part of loading: a server that is down today must not keep the others from booting.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from netbootd.errors import Finding, Level, Place
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

_NFS_PORT = 2049
_PATIENCE_S = 3.0
_AT_ONCE = 32
#: ``root=nfs:server:/path``, ``root=server:/path``, ``nfsroot=server:/path``; IPv6 in brackets.
_ROOT = re.compile(r"(?:nfsroot|root)=(?:nfs4?:)?(\[[^]]+\]|[^\s:,/\[]+):/")


def probe(registry: Registry) -> list[Finding]:
    """A warning for each server that does not answer; takes a few seconds at most."""
    by_server: dict[str, Machine] = {}
    for machine in _machines(registry):
        for server in _nfs_servers(machine):
            by_server.setdefault(server, machine)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        problems = pool.map(_why_silent, by_server)
    findings = [
        _silent(server, machine, problem)
        for (server, machine), problem in zip(by_server.items(), problems, strict=True)
        if problem
    ]
    return [*findings, *_elsewhere(registry)]


def _machines(registry: Registry) -> Iterable[Machine]:
    yield from registry.known
    if registry.default is not None:
        yield registry.default


def _nfs_servers(machine: Machine) -> Iterator[str]:
    for word in getattr(machine.target, "args", ()):
        if found := _ROOT.match(word):
            yield found[1].strip("[]")


def _why_silent(server: str) -> str | None:
    try:
        with socket.create_connection((server, _NFS_PORT), timeout=_PATIENCE_S):
            return None
    except OSError as problem:
        return problem.strerror or str(problem)


def _silent(server: str, machine: Machine, problem: str) -> Finding:
    told = f"{machine.title}: the NFS server {server} does not answer on TCP {_NFS_PORT}: {problem}"
    return Finding(Level.WARNING, "nfs-silent", told, machine.place)


def _elsewhere(registry: Registry) -> Iterator[Finding]:
    """A boot server whose address this host does not hold, by trying to bind to it."""
    host = urlsplit(registry.boot_server or "").hostname
    if not host or not registry.documents:
        return
    try:
        address = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(address[0], socket.SOCK_DGRAM) as trial:
            trial.bind(address[4])
    except OSError as problem:
        told = f"boot_servers.default is {host}, which is no address of this host ({problem})"
        place = Place(registry.documents[-1])
        yield Finding(Level.WARNING, "boot-server-elsewhere", told, place, "boot_servers.default")
