"""
What keeps machines from trusting what they are sent: the certificate of HTTPS.  ``check`` tells,
and the daemon at each load.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from netbootd.errors import Finding, Level, Place, Unusable
from netbootd.registry.snapshot import Registry

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
