"""
What keeps machines from trusting what they are sent: the certificate of HTTPS, of which ``check``
tells, and the daemon at each load; and signatures, of which only ``check`` does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from netbootd.errors import Finding, Forbidden, Level, NotFound, Place, Unusable
from netbootd.lacking import usual_loader
from netbootd.loaderfile import lacks_command
from netbootd.registry.facts import everybody, its_address
from netbootd.registry.snapshot import Registry
from netbootd.secureboot import Warnings
from netbootd.targets.signatures import SUFFIX

_SECTION = "netbootd.tls"


def remarks(registry: Registry, now: float | None = None) -> tuple[Finding, ...]:
    """All of them, at *now* in Unix seconds."""
    return tuple(_of_certificate(registry, time.time() if now is None else now))


def _of_certificate(registry: Registry, now: float) -> Iterator[Finding]:
    tls = registry.config.tls
    hosts = _secure_hosts(registry)
    if tls.certificate is None:
        if tls.key or tls.only:
            told = '"tls" has no "certificate", so there is no HTTPS'
            yield Finding(Level.WARNING, "tls-certificate", told, Place(_SECTION), _SECTION)
        return
    place = Place(str(tls.certificate))
    if both := sorted(set(tls.ports) & set(registry.config.http_port)):
        told = f'port {both[0]} is in "http_port" and in "tls": HTTPS needs one of its own'
        yield Finding(Level.TARGET, "tls-port", told, place, f"{_SECTION}.port")
    from netbootd import certificate  # noqa: PLC0415  a tenth of a second, where there is HTTPS

    try:
        pair = certificate.read(tls.certificate, tls.key)
    except Unusable as problem:
        told = f"{problem}; a daemon that has one in force goes on with that"
        yield Finding(Level.TARGET, "tls-certificate", told, place, _SECTION)
        return
    for told in certificate.remarks(pair, hosts, now):
        yield Finding(Level.WARNING, "tls-certificate", told, place, _SECTION)


def signatures(registry: Registry) -> tuple[Finding, ...]:
    """Where a file that must be signed is not, and which loader cannot look."""
    warnings = Warnings()
    told: dict[str, list[tuple[str, str]]] = {}
    blind: dict[str, bool] = {}
    for machine in everybody(registry):
        target = machine.target
        if target.common.signer is None:
            continue
        if target.title not in told:
            told[target.title] = list(_unsigned(target.fetched, registry))
        for code, text in told[target.title]:
            warnings.add(code, text, machine)
        name = usual_loader(machine, registry)
        if name not in blind:
            program = registry.library.programs.get(name)
            blind[name] = program is not None and lacks_command(program.data, "imgverify")
        if blind[name]:
            text = f"{name} is an iPXE without imgverify, and will not boot it: firmware/build-ipxe"
            warnings.add("ipxe-imgverify", text, machine)
    return tuple(warnings.findings())


def without_https(registry: Registry) -> tuple[Finding, ...]:
    """Loaders that are seen to know no HTTPS, where machines are sent to a boot server by HTTPS."""
    warnings = Warnings()
    blind = {
        name
        for name, program in registry.library.programs.items()
        if lacks_command(program.data, "https")
    }
    for machine in everybody(registry) if blind else ():
        subnet = registry.subnets.of(its_address(machine, registry))
        server = str(subnet.boot_server or registry.boot_server or "")
        if server.startswith("https:") and (name := usual_loader(machine, registry)) in blind:
            told = (
                f"{name} is an iPXE without HTTPS, and cannot load from {server}; Debian 13's"
                " has it ('firmware/trust-ipxe' makes that trust your authority)"
            )
            warnings.add("ipxe-https", told, machine)
    return tuple(warnings.findings())


def _unsigned(paths: Iterable[str], registry: Registry) -> Iterator[tuple[str, str]]:
    """What is wrong with the signatures of those of *paths* that are files of ours."""
    for path in paths:
        if not path.startswith("/"):
            continue
        modified = _modified(path, registry)
        signature = _modified(path + SUFFIX, registry)
        if signature is None:
            where = registry.library.where(path + SUFFIX)
            yield "signature-missing", f"there is no {where}, and it must be signed"
        elif modified is not None and signature < modified:
            where = registry.library.where(path)
            yield "signature-old", f"{where} is newer than its signature: sign it again"


def _modified(path: str, registry: Registry) -> int | None:
    """When the file at *path* was written; None where there is none."""
    try:
        content = registry.library.lookup(path)
    except (NotFound, Forbidden, OSError):
        return None
    content.close()
    return content.modified


def _secure_hosts(registry: Registry) -> set[str]:
    """The boot servers to which machines are sent by HTTPS, on a port of ours."""
    urls = [urlsplit(server) for server in registry.servers.values()]
    urls += [urlsplit(subnet.boot_server) for subnet in registry.subnets if subnet.boot_server]
    ports = registry.config.tls.ports
    return {
        url.hostname
        for url in urls
        if url.scheme == "https" and url.hostname and (url.port or 443) in ports
    }
