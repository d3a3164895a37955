"""
What machines with Secure Boot on load: Debian's signed shim and GRUB, and files with our own keys.

The keys of the second are made here for machines that exist in these tests alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.end_to_end import debian, guest
from tests.end_to_end.cache import Part, run, unpack, with_libraries
from tests.end_to_end.machines import OVMF

#: The releases whose signed loaders are tested: GRUB 2.06 and 2.12.
SUITES = ("bookworm", "trixie")


def _signed(folder: Path) -> None:
    """Debian's signed loaders, in a firmware folder for each release."""
    for suite in SUITES:
        with (
            tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
            debian.packages(suite, "amd64") as release,
        ):
            tree = release.unpack(Path(scratch), "shim-signed", "grub-efi-amd64-signed")
            lib = tree / "usr" / "lib"
            (folder / suite).mkdir()
            for name in ("shim/shimx64.efi.signed", "grub/x86_64-efi-signed/grubnetx64.efi.signed"):
                shutil.copy(lib / name, folder / suite)


OWN_KEY = """
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=netbootd test/" \
    -keyout own.key -out own.pem
python3 -m venv tools
tools/bin/pip -q --disable-pip-version-check install virt-firmware
guid=$(cat /proc/sys/kernel/random/uuid)
tools/bin/virt-fw-vars --input "$firmware/OVMF_VARS_4M.fd" --output vars.fd --secure-boot \
    --set-pk "$guid" own.pem --add-kek "$guid" own.pem --add-db "$guid" own.pem
tools/bin/virt-fw-vars --input "$firmware/OVMF_VARS_4M.ms.fd" --output mok.fd \
    --add-mok "$guid" own.pem
for file in snponly.efi snponly-shim.efi vmlinuz; do
    sbsign --key own.key --cert own.pem --output "$file" "unsigned/$file"
done
rm -rf tools unsigned own.key
"""

# What a shim loads next, as it stands in it; and the name that one made for iPXE has there.
GRUB, IPXE = ("\\grubx64.efi".encode("utf-16-le"), "\\snponly.efi".encode("utf-16-le"))


def _own_keys(folder: Path) -> None:
    """
    What is signed with a key of our own: iPXE of Debian 13 (older ones a shim does not take), a
    shim for it, and a kernel.

    The shim stands for that of iPXE's own releases: it is Debian's before signing, but for the name
    of what it loads.  *vars.fd* is of a firmware that trusts that key alone, *mok.fd* of one with
    Microsoft's keys whose owner has enrolled it for shims.
    """
    unsigned = folder / "unsigned"
    unsigned.mkdir()
    shutil.copy(guest.fetch().kernel, unsigned / "vmlinuz")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with debian.packages("trixie", "amd64") as trixie:
            lib = trixie.unpack(Path(scratch) / "trixie", "ipxe", "shim-unsigned") / "usr" / "lib"
        shutil.copy(lib / "ipxe" / "snponly.efi", unsigned)
        shim = (lib / "shim" / "shimx64.efi").read_bytes()
        assert shim.count(GRUB) == 1
        (unsigned / "snponly-shim.efi").write_bytes(shim.replace(GRUB, IPXE))
        tree = unpack(Path(scratch) / "tools", *with_libraries("sbsigntool"))
        libraries = f"{tree}/usr/lib/x86_64-linux-gnu:{tree}/lib/x86_64-linux-gnu"
        run(
            *("env", f"PATH={tree}/usr/bin:/usr/bin:/bin", f"LD_LIBRARY_PATH={libraries}"),
            *(f"firmware={OVMF}", "sh", "-ec", OWN_KEY),
            cwd=folder,
        )


SIGNED = Part("signed", _signed)
OWN_KEYS = Part("own-keys", _own_keys, (OWN_KEY,))

PARTS = {part.name: part for part in (SIGNED, OWN_KEYS)}
