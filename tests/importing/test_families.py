"""
From a medium of each family to a machine that boots it: the files answer, the script is right, a
second run changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.check import check
from netbootd.cli import main
from netbootd.content import Library
from netbootd.errors import Level
from netbootd.importing.plan import checked_name, slug
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.show import show

from . import media

MACHINE = "00:00:5e:00:53:01"
THE_CLIENT = Client(stage=Stage.IPXE, mac=MAC.parse(MACHINE))


def disk(size):
    return b"\xeb\x3c\x90" + bytes(507) + b"\x55\xaa" + bytes(size - 512)


def make(kind, folder, name, content, label="CDROM"):
    if kind == "deb":
        return media.deb(folder / name, content)
    if kind == "file":
        (folder / name).write_bytes(content)
        return folder / name
    made = media.tree(folder / f"{name}.tree", content)
    if kind == "folder":
        return made.rename(folder / name)
    return (
        media.iso(folder / name, made, label) if kind == "iso" else media.tar(folder / name, made)
    )


def below(prefix, files):
    return {prefix + path: text for path, text in files.items()}


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


PACKAGE = below("usr/lib/debian-installer/images/12/amd64/text/", media.DEBIAN_NETBOOT) | {
    "usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64/linux": "not wanted",
    "usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64/initrd.gz": "not wanted",
}

#: kind and name of the medium, its content; the target; the files that the script must name, with
#: their bytes; and what else must be in the script.
CASES = {
    "debian-netboot": (
        ("tar", "netboot.tar.gz", media.DEBIAN_NETBOOT),
        "install/debian-12-amd64",
        {
            "images/debian-12-amd64/linux": media.kernel("debian"),
            "images/debian-12-amd64/initrd.gz": "initrd of debian",
        },
        (),
    ),
    "debian-package": (
        ("deb", "debian-installer-12-netboot-amd64_20230607_all.deb", PACKAGE),
        "install/debian-12-amd64",
        {
            "images/debian-12-amd64/linux": media.kernel("debian"),
            "images/debian-12-amd64/initrd.gz": "initrd of debian",
        },
        (),
    ),
    "debian-mini": (
        ("iso", "mini.iso", {"linux": media.kernel("mini"), "initrd.gz": "initrd"}),
        "install/mini",
        {"images/mini/linux": media.kernel("mini"), "images/mini/initrd.gz": "initrd"},
        (),
    ),
    "debian-disc": (
        ("iso", "debian.iso", media.DEBIAN_DISC),
        "install/debian-12.5.0-amd64",
        {
            "images/debian-12.5.0-amd64/vmlinuz": media.kernel("the disc"),
            "images/debian-12.5.0-amd64/initrd.gz": "initrd of the disc",
        },
        (),
    ),
    "ubuntu-live": (
        ("iso", "ubuntu.iso", media.UBUNTU_LIVE),
        "install/ubuntu-22.04.4-amd64",
        {
            "images/ubuntu-22.04.4-amd64/vmlinuz": media.kernel("ubuntu"),
            "images/ubuntu-22.04.4-amd64/initrd": "initrd of ubuntu",
            "images/ubuntu-22.04.4-amd64/ubuntu-22.04.4-amd64.iso": None,
        },
        ("ip=dhcp", "cloud-config-url=/dev/null"),
    ),
    "ubuntu-netboot": (
        ("tar", "ubuntu-24.04-netboot-amd64.tar.gz", media.UBUNTU_NETBOOT),
        "install/ubuntu-24.04-amd64",
        {
            "images/ubuntu-24.04-amd64/linux": media.kernel("ubuntu"),
            "images/ubuntu-24.04-amd64/initrd": "initrd of ubuntu",
        },
        ("url=https://releases.ubuntu.com/24.04/ubuntu-24.04-live-server-amd64.iso",),
    ),
    "red-hat-boot": (
        ("iso", "Rocky-boot.iso", media.RED_HAT_BOOT),
        "install/rocky-9.3-x86_64",
        {
            "images/rocky-9.3-x86_64/images/pxeboot/vmlinuz": media.kernel("rocky"),
            "images/rocky-9.3-x86_64/images/pxeboot/initrd.img": "initrd of rocky",
        },
        ("inst.stage2=http://192.0.2.1:3000/images/rocky-9.3-x86_64",),
    ),
    "red-hat-dvd": (
        ("iso", "Rocky-dvd.iso", media.RED_HAT_DVD),
        "install/rocky-9.3-x86_64",
        {
            "images/rocky-9.3-x86_64/images/pxeboot/vmlinuz": media.kernel("rocky"),
            "images/rocky-9.3-x86_64/images/pxeboot/initrd.img": "initrd of rocky",
        },
        ("inst.repo=http://192.0.2.1:3000/images/rocky-9.3-x86_64",),
    ),
    "centos-6": (
        ("folder", "centos", media.CENTOS_6),
        "install/centos-6.2-x86_64",
        {
            "images/centos-6.2-x86_64/images/pxeboot/vmlinuz": media.kernel("centos"),
            "images/centos-6.2-x86_64/images/pxeboot/initrd.img": "initrd of centos",
        },
        ("method=http://192.0.2.1:3000/images/centos-6.2-x86_64",),
    ),
    "smartos-tar": (
        ("tar", f"platform-{media.STAMP}.tgz", media.SMARTOS_TAR),
        f"smartos/{media.STAMP}",
        {
            f"os/{media.STAMP}/platform/i86pc/kernel/amd64/unix": media.UNIX,
            f"os/{media.STAMP}/platform/i86pc/amd64/boot_archive": "archive",
            f"os/{media.STAMP}/platform/i86pc/amd64/boot_archive.hash": (
                "0123456789abcdef0123456789abcdef01234567"
            ),
        },
        ("-B smartos=true",),
    ),
    "smartos-disc": (
        ("iso", f"smartos-{media.STAMP}.iso", media.SMARTOS_DISC),
        f"smartos/{media.STAMP}",
        {
            f"os/{media.STAMP}/platform/i86pc/kernel/amd64/unix": media.UNIX,
            f"os/{media.STAMP}/platform/i86pc/amd64/boot_archive": "archive",
            f"os/{media.STAMP}/platform/i86pc/amd64/boot_archive.hash": (
                hashlib.sha1(b"archive").hexdigest()
            ),
        },
        ("-B smartos=true",),
    ),
    "alpine": (
        ("tar", "alpine-netboot-3.19.1-x86_64.tar.gz", media.ALPINE),
        "ramroot/alpine-3.19.1-x86_64",
        {
            "images/alpine-3.19.1-x86_64/vmlinuz": media.kernel("alpine"),
            "images/alpine-3.19.1-x86_64/initramfs": "initramfs of alpine",
            "images/alpine-3.19.1-x86_64/modloop": "modules",
        },
        ("alpine_repo=http://dl-cdn.alpinelinux.org/alpine/v3.19/main", "ip=dhcp"),
    ),
    "live": (
        ("iso", "debian-live.iso", media.LIVE),
        "ramroot/debian-12.5.0-amd64-live",
        {
            "images/debian-12.5.0-amd64-live/vmlinuz": media.kernel("the live system"),
            "images/debian-12.5.0-amd64-live/initrd.img": "initrd of the live system",
            "images/debian-12.5.0-amd64-live/filesystem.squashfs": "its root",
        },
        ("boot=live",),
    ),
    "floppy": (
        ("file", "bios-update.img", disk(1474560)),
        "biosupdate/bios-update",
        {"memdisk": None, "biosupdate/bios-update/bios-update.img": None},
        (),
    ),
    "other-disc": (
        ("iso", "FreeDOS 1.3.iso", {"README.TXT": "a DOS"}),
        "memdisk/FreeDOS-1.3",
        {"memdisk": None, "images/FreeDOS-1.3/FreeDOS-1.3.iso": None},
        ("iso", "raw"),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_a_medium_becomes_files_and_a_target_that_boots(site, case):
    (kind, name, content), title, files, words = case
    medium = make(kind, site.media, name, content)
    said = site.run("--write", medium)
    assert said.status == 0, said.err

    type_, _, target = title.partition("/")
    machine = {"machines": {MACHINE: {"type": type_, "name": target}}}
    (site.config.parent / "machines.d" / "zz.json").write_text(json.dumps(machine))
    report = check(site.config)
    assert not [finding for finding in report.findings if finding.level >= Level.WARNING]

    script = show(load(site.config), THE_CLIENT).text
    served = set(re.findall(r"http://[0-9.]+:3000/([^\s,]+)", script))
    library = Library(site.files)
    for path, text in files.items():
        assert path in served, script
        if path != "memdisk":
            found = library.lookup(path)
            data = found.read(0, found.size)
            found.close()
            assert data == (medium.read_bytes() if text is None else as_bytes(text))
    for word in words:
        assert word in script
    walk = ["simulate", "--config", str(site.config), "--firmware", "bios", MACHINE]
    assert main(walk) == 0, site.capture.readouterr()
    assert b"not wanted" not in b"".join(
        data for path, data in site.contents().items() if not path.endswith(".iso")
    )


def test_a_second_run_changes_nothing_and_says_so(site, case):
    (kind, name, content), _, _, _ = case
    medium = make(kind, site.media, name, content)
    first = site.run("--write", medium)
    before = site.fingerprint()
    second = site.run("--write", medium)
    assert (first.status, second.status) == (0, 0)
    assert site.fingerprint() == before
    assert "nothing changed" in second.err
    assert "already" in second.err
    assert second.out == first.out


def test_a_dry_run_lists_the_files_and_the_target_and_writes_nothing(site, case):
    (kind, name, content), title, files, _ = case
    medium = make(kind, site.media, name, content)
    before = site.fingerprint()
    said = site.run("--dry-run", "--write", medium)
    assert said.status == 0, said.err
    assert site.fingerprint() == before
    for path in files:
        assert path == "memdisk" or path.rpartition("/")[2] in said.out
    assert f'"{title.partition("/")[2]}" : {{' in said.out


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.xz", "tar.zst", "tar.bz2"])
def test_a_tar_may_be_compressed_in_any_way_and_called_anything(site, ending):
    content = media.tree(site.media / "content", media.DEBIAN_NETBOOT)
    medium = media.tar(site.media / f"netboot.{ending}", content).rename(site.media / "download")
    assert site.run(medium).status == 0
    assert site.contents()["images/debian-12-amd64/linux"] == media.kernel("debian")


def test_one_medium_in_four_forms_gives_the_same_files(site):
    contents = []
    for kind, name in (("iso", "a.iso"), ("tar", "a.tar"), ("deb", "a.deb"), ("folder", "a")):
        medium = make(kind, site.media, name, media.DEBIAN_NETBOOT)
        said = site.run("--files", site.media / f"files-{kind}", medium)
        assert said.status == 0, said.err
        root = site.media / f"files-{kind}" / "images" / "debian-12-amd64"
        contents.append({path.name: path.read_bytes() for path in root.iterdir()})
    assert contents[0] == {"linux": media.kernel("debian"), "initrd.gz": b"initrd of debian"}
    assert all(content == contents[0] for content in contents)


def test_a_dvd_is_taken_whole_and_a_boot_iso_without_its_loaders(site):
    site.run(make("iso", site.media, "dvd.iso", media.RED_HAT_DVD), "--name", "dvd")
    site.run(make("iso", site.media, "boot.iso", media.RED_HAT_BOOT), "--name", "boot")
    expected = {f"images/dvd/{path}" for path in media.RED_HAT_DVD} | {
        f"images/boot/{path}" for path in media.RED_HAT_BOOT if not path.startswith("EFI")
    }
    assert set(site.contents()) == expected


def test_name_type_and_file_root_may_be_chosen(site):
    medium = make("tar", site.media, "netboot.tar", media.DEBIAN_NETBOOT)
    root = site.media / "elsewhere"
    said = site.run("--name", "d12", "--type", "nfs", "--files", root, medium)
    assert said.status == 0
    assert (root / "images" / "d12" / "linux").read_bytes() == media.kernel("debian")
    assert '"nfs" : {' in said.out
    assert '"d12" : {' in said.out


def test_an_answer_file_makes_the_proposed_install_unattended(site):
    site.run("--write", make("tar", site.media, "netboot.tar", media.DEBIAN_NETBOOT))
    media.tree(site.files, {"install/debian-12-amd64/preseed.cfg": "#_preseed_V1\n"})
    drop_in = site.config.parent / "machines.d" / "debian-12-amd64.json"
    text = re.sub(r'# ("answer"|"machines")', r"\1", drop_in.read_text())
    drop_in.write_text(text)
    script = show(load(site.config), THE_CLIENT).text
    assert "auto=true" in script
    assert re.search(r"url=http://\S+/debian-12-amd64/preseed\.cfg", script)


def test_a_disc_that_cannot_install_over_the_network_says_so(site):
    said = site.run(make("iso", site.media, "debian.iso", media.DEBIAN_DISC))
    assert "debian-installer-*-netboot-*.deb" in said.err
    assert "debian-installer-*-netboot-*.deb" in said.out


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_ubuntus_installer_without_its_iso_is_refused(site, kind):
    said = site.run(make(kind, site.media, "ubuntu", media.UBUNTU_LIVE))
    assert said.status == 1
    assert "import the .iso" in said.err
    assert site.contents() == {}


def test_a_platform_without_a_stamp_is_refused(site):
    said = site.run(make("iso", site.media, "smartos.iso", media.SMARTOS_DISC))
    assert said.status == 1
    assert "name the file after it" in said.err


def test_a_platforms_stamp_may_be_the_volumes_name(site):
    medium = make("iso", site.media, "smartos.iso", media.SMARTOS_DISC, label=media.STAMP)
    assert site.run(medium).status == 0
    assert f"os/{media.STAMP}/platform/i86pc/amd64/boot_archive" in site.contents()


def test_a_platform_has_its_stamp_for_a_folder_whatever_the_targets_name(site):
    medium = make("tar", site.media, "platform.tgz", media.SMARTOS_TAR)
    said = site.run("--name", "smart", medium)
    assert said.status == 0
    assert f"os/{media.STAMP}/platform/i86pc/kernel/amd64/unix" in site.contents()
    assert '"smart" : {' in said.out


def test_a_platform_that_is_there_otherwise_is_no_matter_of_the_name(site):
    medium = make("tar", site.media, "platform.tgz", media.SMARTOS_TAR)
    site.run(medium)
    (site.files / "os" / media.STAMP / "platform/i86pc/kernel/amd64/unix").write_bytes(b"other")
    said = site.run("--name", "smart", medium)
    assert said.status == 1
    assert "nothing was changed.  Remove that folder" in said.err
    assert "--name" not in said.err


def test_half_a_platform_is_none(site):
    content = {path: text for path, text in media.SMARTOS_TAR.items() if "boot_archive" not in path}
    said = site.run(make("tar", site.media, f"platform-{media.STAMP}.tgz", content))
    assert said.status == 1
    assert "no system that is known" in said.err


def test_ubuntus_old_installer_is_debians(site):
    content = {path.replace("debian-i", "ubuntu-i"): t for path, t in media.DEBIAN_NETBOOT.items()}
    del content["version.info"]
    said = site.run(make("tar", site.media, "netboot.tar.gz", content))
    assert '"ubuntu-amd64" : {' in said.out
    assert '"os" : "debian",' in said.out


@pytest.mark.parametrize(
    ("treeinfo", "name"),
    [
        ("", "medium"),
        ("no section", "medium"),
        ("[general]\nfamily = \x1b[2J\nversion = ../../9\narch = x", "2j-..-..-9-x"),
        (
            "[general]\nfamily = Red Hat Enterprise Linux\nversion = 9.3\narch = x86_64",
            "rhel-9.3-x86_64",
        ),
        ("[general]\nfamily = CentOS Stream\nversion = 9\narch = x86_64", "centos-stream-9-x86_64"),
    ],
)
def test_what_a_tree_says_of_itself_becomes_a_harmless_name(site, treeinfo, name):
    said = site.run(
        make("iso", site.media, "medium.iso", media.RED_HAT_BOOT | {".treeinfo": treeinfo})
    )
    assert said.status == 0
    assert "\x1b" not in said.err + said.out
    assert [path.name for path in (site.files / "images").iterdir()] == [name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FreeDOS 1.3", "FreeDOS-1.3"),
        ("../../etc", "etc"),
        ("…", "system"),
        ("a" * 100, "a" * 64),
        ("Größe", "Gr-e"),
        ("rocky-9.3__q__-x", "rocky-9.3_q_-x"),
        ("__hostname__", "hostname"),
    ],
)
def test_a_name_made_of_a_file_name_is_fit_for_a_url(text, name):
    assert slug(text) == name
    assert checked_name(slug(text)) == name
