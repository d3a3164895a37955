"""What a loader is that was fetched: by what it says of itself, else by its name."""

from __future__ import annotations

from enum import Enum

from netbootd import loaderfile, loaders, otherloaders, secureboot, urls
from netbootd.configfiles import Reader


class Kind(Enum):
    """What it does next."""

    IPXE = "iPXE"
    SHIM = "shim"
    GRUB = "GRUB"
    PXELINUX = "PXELINUX"
    UNKNOWN = "unknown"


_PRODUCTS = {
    "iPXE": Kind.IPXE,
    "iPXE (compressed)": Kind.IPXE,
    "shim": Kind.SHIM,
    "GRUB": Kind.GRUB,
    "PXELINUX": Kind.PXELINUX,
    "SYSLINUX": Kind.PXELINUX,
}
_READERS = {Reader.GRUB: Kind.GRUB, Reader.PXELINUX: Kind.PXELINUX}


def kind_of(path: str, data: bytes) -> Kind:
    """What the loader is that was fetched as *path* and has the bytes *data*."""
    if found := _PRODUCTS.get(loaderfile.inspect(data).product):
        return found
    _, name = urls.split_mac(path)
    if secureboot.is_shim(name):
        return Kind.SHIM
    if reader := otherloaders.reads(name):
        return _READERS[reader]
    is_ipxe = {name, name.rpartition("/")[2]} & (loaders.IPXE | loaders.SCRIPTED)
    return Kind.IPXE if is_ipxe or name in urls.ALIASES else Kind.UNKNOWN


def second_stage(path: str) -> tuple[str, ...]:
    """
    What a shim at *path* asks for, beside itself: its GRUB; where it is that of an iPXE release,
    the file that is called like itself without "-shim", and some builds ``ipxe.efi``.
    """
    folder, slash, name = path.rpartition("/")
    before = folder + slash
    if urls.split_mac(path)[1] in loaders.IPXE or "-shim" in name:
        alike = (name.replace("-shim", "", 1),) if "-shim" in name else ()
        return tuple(f"{before}{one}" for one in (*alike, "ipxe.efi"))
    return (f"{before}{name.replace('shim', 'grub', 1)}",)
