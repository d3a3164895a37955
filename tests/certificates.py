"""
Certificates for tests: an authority, and what it signs.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# iPXE takes no signature of a certificate that does not say so.
_SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certified:
    """A certificate, its key, and who signed it (None: itself)."""

    certificate: x509.Certificate
    key: Any
    signer: Certified | None = None

    @property
    def pem(self) -> bytes:
        """The certificate, and all that signed it."""
        above = self.signer.pem if self.signer else b""
        return self.certificate.public_bytes(Encoding.PEM) + above

    def key_pem(self, passphrase: bytes = b"") -> bytes:
        """The key, behind *passphrase* if that is not empty."""
        hidden = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)

    def write(self, file: Path) -> Path:
        """Both into one *file*, which only its owner can read."""
        file.write_bytes(self.pem + self.key_pem())
        file.chmod(0o600)
        return file


def signed(
    name: str,
    *names: str,
    signer: Certified | None = None,
    days: tuple[float, float] = (-1, 365),
    elliptic: bool = False,
    code: bool = False,
) -> Certified:
    """
    A certificate for *names* (host names or addresses), good from and to *days* from now.

    *code*: for signing code, instead of a server.  Without a *signer* it is an authority.
    """
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else rsa.generate_private_key(65537, 2048)
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if names:
        made = made.add_extension(
            x509.SubjectAlternativeName(list(map(_name, names))), critical=False
        )
    if signer is not None:
        use = ExtendedKeyUsageOID.CODE_SIGNING if code else ExtendedKeyUsageOID.SERVER_AUTH
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        made = made.add_extension(_SIGNS, critical=True)
    signing = signer.key if signer else key
    return Certified(made.sign(signing, hashes.SHA256()), key, signer)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@cache
def authority() -> Certified:
    """The one that all tests of a process trust."""
    return signed("netbootd's tests")
