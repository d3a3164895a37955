"""What the paths of a boot are, by what the target says and by their names."""

from __future__ import annotations

import pytest

from netbootd.boots.classify import stage_of
from netbootd.registry.load import load

MAC = "00-25-90-27-db-b4"
CONFIG = """{
  "boot_servers" : { "default" : "http://192.0.2.10:3000" },
  "targets" : {
    "nfs" : { "a" : { "kernel" : "odd/a", "initrd" : ["odd/b", "odd/c"], "boot_args" : "x" } },
    "install" : { "url" : { "kernel" : "http://192.0.2.10:3000/d/linux%20one", "boot_args" : "x" } },
    "sanboot" : { "s" : { "sanboot" : "http://192.0.2.10:3000/disks/one.img" } },
    "smartos" : { "o" : { "kernel" : "p/i86pc/kernel/amd64/unix", "initrd" : "p/boot_archive" } },
    "wimboot" : { "w" : { "tree" : "w" } },
    "biosupdate" : { "m" : { "initrd" : "bios/x.img" } },
  },
  "machines" : {},
  "netbootd" : { "files" : "srv" },
}"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classify")
    (folder / "srv" / "install").mkdir(parents=True)
    (folder / "srv" / "install" / "odd.answers.j2").write_text("x")
    (folder / "c.json").write_text(CONFIG)
    return load(folder / "c.json")


@pytest.mark.parametrize(
    ("path", "target", "stage"),
    [
        ("/odd/a", "nfs/a", "kernel"),
        ("odd/a", "nfs/a", "kernel"),
        (f"/{MAC}/odd/a", "nfs/a", "kernel"),
        ("/odd/b", "nfs/a", "initrd"),
        ("/odd/c", "nfs/a", "initrd"),
        ("/odd/a", "", "files"),
        ("/d/linux one", "install/url", "kernel"),
        ("/disks/one.img", "sanboot/s", "files"),
        ("/p/i86pc/kernel/amd64/unix", "smartos/o", "kernel"),
        ("/p/boot_archive", "smartos/o", "initrd"),
        ("/w/sources/boot.wim", "wimboot/w", "initrd"),
        ("/memdisk", "biosupdate/m", "kernel"),
        ("/bios/x.img", "biosupdate/m", "initrd"),
        (f"/overlay/{MAC}.cpio", "nfs/a", "initrd"),
        (f"{MAC}//overlay/{MAC}?token=1", "nfs/a", "initrd"),
        (f"{MAC}/odd/b,overlay/{MAC}.cpio", "nfs/a", "initrd"),
        ("undionly.kpxe", "nfs/a", "loader"),
        (f"{MAC}/undionly.kpxe", "nfs/a", "loader"),
        ("00:25:90:27:db:b4/ipxeboot/x86_64-sb/snponly-shim.efi", "", "loader"),
        ("grub/grubx64.efi", "", "loader"),
        ("grub/x86_64-efi/http.mod", "", "loader"),
        ("9027dbb4/start4.elf", "", "loader"),
        ("9027dbb4/fixup4.dat", "", "loader"),
        ("9027dbb4/bcm2711-rpi-4-b.dtb", "", "files"),
        ("9027dbb4/config.txt", "", "script"),
        (f"{MAC}/autoexec.ipxe", "", "script"),
        (f"{MAC}/pxelinux.cfg/01-{MAC}", "nfs/a", "script"),
        (f"grub/grub.cfg-01-{MAC}", "nfs/a", "script"),
        (f"/install/{MAC}/odd.answers", "", "answer-file"),
        ("/install/odd.answers", "", "answer-file"),
        (f"/install/{MAC}/preseed.cfg", "", "answer-file"),
        (f"/{MAC}/seed/user-data", "", "answer-file"),
        ("/d-i/trixie/preseed.cfg", "", "answer-file"),
        ("/debian/dists/trixie/Release.cfg", "", "files"),
        ("/other/vmlinuz-6.12", "", "kernel"),
        ("/other/initrd.img-6.12", "", "initrd"),
        ("/other/initramfs-6.12.img", "", "initrd"),
        ("/debian/pool/main/l/linux/linux-image_1.deb", "", "files"),
        ("/", "", "files"),
        ("", "", "files"),
    ],
)
def test_a_path_has_its_place_in_the_boot(registry, path, target, stage):
    found = registry.targets.get(target)
    assert (found is None) == (not target)
    assert stage_of(path, found, registry).value == stage
