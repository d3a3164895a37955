"""
Whom machines trust: an authority, what it signs, and iPXE and firmware that were given it.
"""

from __future__ import annotations

import struct
import subprocess
import uuid
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.certificates import Certified, signed
from tests.end_to_end import foreign
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.process import ROOT

#: ``firmware/build-ipxe --trust FOLDER/authority.pem --into FOLDER undionly.kpxe`` makes it, with an
#: authority and its key in that file.
BUILT = foreign.BUILT / "trusting"
# UEFI specification, 32.4.1: EFI_CERT_X509_GUID.
_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")


def by_https(site: Site, authority: Certified, **tls: object) -> Path:
    """*site* has HTTPS, with a certificate of *authority*'s, and sends machines there: its file."""
    server = signed("boot", BOOT_SERVER, signer=authority)
    file = server.write(site.lab.folder / "server.pem")
    site.config["netbootd"]["tls"] = {"certificate": str(file), **tls}
    site.config["boot_servers"]["default"] = f"https://{BOOT_SERVER}"
    return file


def loader(site: Site, authority: Certified | None) -> None:
    """UEFI machines load Debian 13's iPXE, which is made to trust *authority*, None for as it is."""
    if not foreign.IPXE_X64.ready:
        pytest.skip("no iPXE with HTTPS in the cache")
    folder = foreign.IPXE_X64.folder
    if authority is not None:
        anchor, folder = site.lab.folder / "authority.pem", site.lab.folder / "firmware"
        anchor.write_bytes(authority.pem)
        folder.mkdir()
        argv = [ROOT / "firmware" / "trust-ipxe", anchor, foreign.IPXE_X64.folder / "snponly.efi"]
        subprocess.run([*argv, folder / "snponly.efi"], check=True, stdout=subprocess.DEVNULL)
    site.config["netbootd"]["firmware"].insert(0, str(folder))


def built(site: Site) -> Certified:
    """BIOS machines load an iPXE built to trust the authority that is returned, with its key."""
    file = BUILT / "authority.pem"
    if not (file.exists() and (BUILT / "undionly.kpxe").exists()):
        pytest.skip(f"no iPXE in {BUILT}: firmware/build-ipxe --trust makes it")
    site.config["netbootd"]["firmware"].insert(0, str(BUILT))
    text = file.read_bytes()
    return Certified(x509.load_pem_x509_certificate(text), load_pem_private_key(text, None))


def sign(site: Site, signer: Certified, path: str) -> None:
    """A signature beside the file *path*, made as docs/tls.rst says."""
    pair = signer.write(site.lab.folder / "signer.pem")
    assert signer.signer is not None
    above = site.lab.folder / "authority.pem"
    above.write_bytes(signer.signer.pem)
    file = Path(site.config["netbootd"]["files"]) / path
    subprocess.run(
        [
            *("openssl", "cms", "-sign", "-binary", "-noattr", "-outform", "DER", "-md", "sha256"),
            *("-signer", str(pair), "-inkey", str(pair), "-certfile", str(above)),
            *("-in", str(file), "-out", f"{file}.sig"),
        ],
        check=True,
    )


def enrolled(authority: Certified, file: Path) -> tuple[str, ...]:
    """Options by which OVMF trusts *authority* (its README, "HTTPS Boot"); *file* is made for it."""
    der = authority.certificate.public_bytes(Encoding.DER)
    owner = uuid.UUID(int=1).bytes_le
    sizes = struct.pack("<III", 28 + 16 + len(der), 0, 16 + len(der))
    file.write_bytes(_X509.bytes_le + sizes + owner + der)
    return "-fw_cfg", f"name=etc/edk2/https/cacerts,file={file}"
