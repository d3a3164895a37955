"""
The certificate that HTTPS shows, and its key: read from PEM files, and what is wrong with them.

``read`` refuses what no server could use, in words for the operator; ``remarks`` says what clients
will not like, above all iPXE, whose TLS knows RSA alone until 2025 (its crypto/mishmash).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from netbootd import custody
from netbootd.errors import Unusable

#: Seconds before its end from which a certificate is to be renewed: those of Let's Encrypt live
#: 90 days, and are renewed when a third of that is left.
_SOON_S = 30 * 86400
_DAY_S = 86400
_MOST = 1 << 20  # bytes of a file with certificates


@dataclass(frozen=True, slots=True)
class Pair:
    """
    A certificate with what signed it, and its key, as the library ``cryptography`` has them.

    *names* are those it is good for, addresses as text; *begins* and *ends* in Unix seconds.
    """

    file: Path
    chain: tuple[Any, ...]
    key: Any = field(repr=False)
    names: frozenset[str]
    begins: float
    ends: float


def read(certificate: Path, key: Path | None) -> Pair:
    """
    The Pair in the PEM files *certificate* (whatever signed it behind it) and *key*, None for the
    same file.  Raises Unusable.
    """
    own_key = key or certificate
    _must_be_private(own_key)
    text = _bytes(certificate)
    try:
        chain = tuple(x509.load_pem_x509_certificates(text))
        first = chain[0]
        names = frozenset(_names(first))
        ends = first.not_valid_after_utc.timestamp()
    except (ValueError, x509.DuplicateExtension):
        told = 'holds no certificate in PEM ("-----BEGIN CERTIFICATE-----")'
        raise Unusable(f"{certificate} {told}") from None
    loaded = _key(own_key, text if own_key == certificate else _bytes(own_key))
    if _public(loaded) != _public(first):
        raise Unusable(f"{own_key} is not the key of the certificate in {certificate}")
    begins = first.not_valid_before_utc.timestamp()
    return Pair(certificate, chain, loaded, names, begins, ends)


def _bytes(file: Path) -> bytes:
    try:
        # Not blocking: whoever writes to a FIFO may never come.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise Unusable(f"{file} is no file")
            return opened.read(_MOST)
    except OSError as problem:
        if isinstance(problem, PermissionError):
            raise Unusable(custody.refused(file)) from None
        raise Unusable(f"{file} cannot be read: {problem.strerror}") from None


def _must_be_private(file: Path) -> None:
    with suppress(OSError):  # which reading it tells better
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o027:
            who = "everybody" if mode & 0o007 else "its group"
            told = f"{who} may read or change it (mode {mode:04o}): chmod 0600, or 0640"
            raise Unusable(f"{file} has the key of HTTPS, and {told}")


def _key(file: Path, text: bytes) -> Any:
    try:
        return load_pem_private_key(text, None)
    except TypeError:
        told = (
            "holds a key with a passphrase, which nobody is there to type: openssl pkey removes it"
        )
        raise Unusable(f"{file} {told}") from None
    except (ValueError, UnsupportedAlgorithm):
        told = 'holds no private key in PEM ("-----BEGIN PRIVATE KEY-----")'
        raise Unusable(f"{file} {told}") from None


def _public(holder: Any) -> bytes:
    key: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key


def _names(certificate: Any) -> Iterator[str]:
    """Those of its subjectAltName; the common name, which clients read no more, does not count."""
    with suppress(x509.ExtensionNotFound):
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in found.get_values_for_type(x509.DNSName):
            yield name.lower()
        for address in found.get_values_for_type(x509.IPAddress):
            yield str(address)


def remarks(pair: Pair, hosts: Iterable[str], now: float) -> Iterator[str]:
    """What clients will not like about *pair*, which *hosts* are named to them."""
    if pair.begins > now:
        yield f"{pair.file} is not valid yet: is the clock right?"
    if told := expiring(pair.ends, now):
        yield f"{pair.file} {told}"
    for host in sorted(set(hosts)):
        if not names_host(pair, host):
            kind = "IP" if _is_address(host) else "DNS"
            has = ", ".join(sorted(pair.names)) or "nobody"
            yield (
                f"{pair.file} is for {has}, and boot_servers sends machines to https://{host}: its"
                f" subjectAltName lacks {kind}:{host}"
            )
    yield from _foreign_to_ipxe(pair)
    for one, other in zip(pair.chain, pair.chain[1:], strict=False):
        if one.issuer != other.subject:
            yield (
                f"{pair.file}: behind each certificate the one that signed it must follow, and"
                f" {other.subject.rfc4514_string():.80} did not sign what is before it"
            )
            break


def _foreign_to_ipxe(pair: Pair) -> Iterator[str]:
    others = [one for one in pair.chain if not isinstance(one.public_key(), RSAPublicKey)]
    if others:
        what = others[0].subject.rfc4514_string()
        yield f"{pair.file}: the key of {what:.80} is not RSA, which is all that iPXE of 2025 knows"


def expiring(ends: float, now: float) -> str:
    """What to say of a certificate that ends at *ends*; empty while there is time."""
    left = ends - now
    if left <= 0:
        return "has expired, and no client takes it"
    if left < _SOON_S:
        days = int(left / _DAY_S)
        return f"expires in {days} day{'' if days == 1 else 's'}: renew it, and reload"
    return ""


def names_host(pair: Pair, host: str) -> bool:
    """Whether *pair* is good for *host* (RFC 6125, 6.4; a star stands for one label)."""
    host = host.lower().rstrip(".")
    if _is_address(host):
        return str(ip_address(host)) in pair.names
    return host in pair.names or f"*.{host.partition('.')[2]}" in pair.names


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
