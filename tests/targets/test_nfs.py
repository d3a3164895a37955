"""``nfs``: whose initramfs wants which arguments, and the extra initrd."""

from __future__ import annotations

import pytest

from .conftest import END, NODE, OWN

BASE = {"kernel": "k", "initrd": "i"}


def args(lines):
    [kernel] = [line for line in lines if line.startswith("kernel ")]
    assert kernel.startswith(f"kernel --name kernel {OWN}/k ")
    return kernel.split()[4:]


@pytest.mark.parametrize(
    ("initramfs", "root", "wanted"),
    [
        (
            "dracut",
            "192.0.2.9:/d/a",
            "root=nfs:192.0.2.9:/d/a ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        ),
        (
            "dracut",
            "[2001:db8::9]:/d",
            "root=nfs:[2001:db8::9]:/d ip=dhcp6 BOOTIF=01-52-54-00-12-34-56 ro",
        ),
        (
            "dracut",
            "nas:/d/a,vers=3",
            "root=nfs:nas:/d/a:vers=3 ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        ),
        (
            "initramfs-tools",
            "nas:/d/a",
            "root=/dev/nfs nfsroot=nas:/d/a ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        ),
        (
            "initramfs-tools",
            "nas:/d,vers=3,tcp",
            "root=/dev/nfs nfsroot=nas:/d,vers=3,tcp ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        ),
        (None, "nas:/d/a", "root=/dev/nfs nfsroot=nas:/d/a ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro"),
        (
            "live-boot",
            "nas:/d",
            "boot=live netboot=nfs nfsroot=nas:/d ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        ),
        (
            "casper",
            "nas:/d",
            "boot=casper netboot=nfs nfsroot=nas:/d ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        ),
    ],
)
def test_the_root_is_written_as_the_initramfs_wants_it(site, initramfs, root, wanted):
    keys = BASE | {"root": root} | ({"initramfs": initramfs} if initramfs else {})
    assert args(site.one("nfs/a", keys)) == ["initrd=initrd", *wanted.split()]
    assert site.codes() == set()


def test_what_boot_args_says_counts(site):
    keys = BASE | {"root": "nas:/d", "initramfs": "dracut", "boot_args": "ip=eth0:dhcp rw quiet"}
    assert args(site.one("nfs/a", keys)) == ["initrd=initrd", "root=nfs:nas:/d", "ip=eth0:dhcp", "rw", "quiet"]  # fmt: skip


def test_a_root_in_the_arguments_stays_as_it_is_and_the_key_is_told_to_be_idle(site):
    keys = BASE | {"root": "nas:/d", "boot_args": "root=/dev/nfs nfsroot=other:/x"}
    assert args(site.one("nfs/a", keys)) == ["initrd=initrd", "root=/dev/nfs", "nfsroot=other:/x"]
    assert site.codes() == {"target-unused-key"}


@pytest.mark.parametrize("root", ["/data", "nas", "nas:data", "nas:/a b", "nas:/a,"])
def test_a_root_that_is_none_is_told_with_its_form(site, root):
    site.load({"nfs/a": BASE | {"root": root}})
    assert any("SERVER:/PATH" in text for text in site.told("nfs-root"))
    assert site.answer().status == 500


def test_an_unknown_initramfs_is_told_with_those_there_are(site):
    site.load({"nfs/a": BASE | {"root": "nas:/d", "initramfs": "mkinitcpio"}})
    [told] = site.told("value-unknown")
    assert "casper, dracut, initramfs-tools, live-boot" in told


def test_a_root_may_be_each_machines_own(site):
    keys = BASE | {"root": "nas:/nodes/__hostname__", "initramfs": "dracut"}
    lines = site.one("nfs/a", keys, {"hostname": "node7"})
    assert "root=nfs:nas:/nodes/node7" in args(lines)
    # The default machine has no name, so no root.
    assert site.codes() == {"placeholder-empty"}


@pytest.mark.parametrize("overlay", [True, "25%", {"size": "2g"}, {}])
def test_the_overlay_comes_first_with_a_name_of_its_own(site, overlay):
    keys = BASE | {"root": "nas:/d", "initramfs": "dracut", "overlay": overlay}
    assert site.one("nfs/a", keys) == [
        f"kernel --name kernel {OWN}/k initrd=overlay.cpio initrd=initrd root=nfs:nas:/d ip=dhcp BOOTIF=01-52-54-00-12-34-56 ro",
        f"initrd --name overlay.cpio {OWN}/overlay/{NODE.dashed}.cpio",
        f"initrd --name initrd {OWN}/i",
        "boot",
        *END,
    ]
    target = site.registry.targets["nfs/a"]
    assert target.wants_overlay
    assert target.overlay_size == {"25%": "25%", str({"size": "2g"}): "2g"}.get(str(overlay), "")


@pytest.mark.parametrize("overlay", ["much", {"size": "all"}, 7, ["25%"]])
def test_an_overlay_of_no_size_is_told(site, overlay):
    site.load({"nfs/a": BASE | {"root": "nas:/d", "overlay": overlay}})
    assert any("25% or 2g" in text for text in site.told("section-type"))


def test_no_overlay_unless_it_is_asked_for(site):
    lines = site.one("nfs/a", BASE | {"root": "nas:/d", "overlay": False})
    assert not any("overlay" in line for line in lines)


@pytest.mark.parametrize("type_", ["nfs", "install", "ramroot", "something"])
def test_a_machine_with_overlays_gets_the_extra_initrd_whatever_linux_it_boots(site, type_):
    (site.folder / "overlays" / "site" / "etc").mkdir(parents=True)
    (site.folder / "overlays" / "site" / "etc" / "motd").write_text("hello")
    keys = BASE | {"boot_args": "root=x"}
    lines = site.one(f"{type_}/a", keys, {"overlays": ["site"]})
    assert lines[1].startswith("initrd --name overlay.cpio ")
    assert "initrd=overlay.cpio initrd=initrd root=x" in lines[0]
    stranger = site.script(mac=type(NODE).parse("52:54:00:00:00:99"))
    assert not any("overlay" in line for line in stranger)


def test_the_overlay_goes_before_initrds_that_the_author_named(site):
    keys = BASE | {"overlay": True, "boot_args": "initrd=mine root=x"}
    assert args(site.one("nfs/a", keys)) == ["initrd=overlay.cpio", "initrd=mine", "root=x"]


def test_memdisk_gets_no_extra_initrd(site):
    (site.folder / "overlays" / "site").mkdir(parents=True)
    lines = site.one("memdisk/a", {"initrd": "i"}, {"overlays": ["site"]})
    assert not any("overlay" in line for line in lines)


def test_a_machine_replaces_the_root_for_itself_alone(site):
    keys = BASE | {"root": "nas:/d", "initramfs": "dracut"}
    site.load({"nfs/a": keys}, {"root": "nas:/other"})
    assert "root=nfs:nas:/other" in args(site.script())
    stranger = site.script(mac=type(NODE).parse("52:54:00:00:00:99"))
    assert "root=nfs:nas:/d" in args(stranger)


def test_a_machine_that_replaces_nothing_shares_its_target(site):
    registry = site.load({"nfs/a": BASE | {"root": "nas:/d"}}, {"hostname": "n", "rack": 4})
    assert registry.machines[NODE].target is registry.targets["nfs/a"]


@pytest.mark.parametrize(
    ("type_", "keys"), [("memdisk", {"initrd": "i"}), ("wimboot", {"tree": "t"})]
)
def test_where_there_is_no_extra_initrd_the_word_is_free_data(site, type_, keys):
    site.load({f"{type_}/a": keys | {"overlay": "blue"}})
    assert site.answer().status == 200
    assert site.registry.targets[f"{type_}/a"].common.variables == {"overlay": "blue"}


@pytest.mark.parametrize(("path", "told"), [("/d", True), ("/nodes/__hostname__", False)])
def test_one_root_that_all_write_to_is_worth_a_word(site, path, told):
    keys = BASE | {"root": f"nas:{path}", "boot_args": "rw"}
    site.load({"nfs/a": keys}, {"hostname": "n1"}, vars={"hostname": "other"})
    assert bool(site.told("nfs-root-rw")) is told


def test_options_of_kernel_modules_are_arguments_too(site):
    modules = {"kvm_intel": {"nested": 0}, "kvm": "ignore_msrs=1"}
    keys = BASE | {"boot_args": "root=x kvm.ignore_msrs=0"}
    lines = site.one("nfs/a", keys, {"modules": modules})
    assert args(lines) == ["initrd=initrd", "root=x", "kvm.ignore_msrs=0", "kvm_intel.nested=0"]


def test_options_that_are_none_are_told_on_the_console_and_by_check(site):
    site.load({"nfs/a": BASE | {"boot_args": "root=x"}}, {"modules": {"kvm": 7}})
    assert site.answer().status == 500


@pytest.mark.parametrize("mark", ["--", "---"])
def test_options_of_modules_stand_before_what_is_not_for_the_kernel(site, mark):
    """What follows ``--`` is init's (kernel-parameters.rst), ``---`` the installed system's."""
    keys = {"kernel": "k", "boot_args": f"root=/dev/nfs {mark} single"}
    lines = site.one("nfs/a", keys, {"modules": {"kvm": {"ignore_msrs": 1}}})
    assert lines[0].endswith(f" root=/dev/nfs kvm.ignore_msrs=1 {mark} single")


@pytest.mark.parametrize("initramfs", ["initramfs-tools", "live-boot", "casper", None])
def test_only_dracut_mounts_a_root_over_ipv6(site, initramfs):
    keys = BASE | {"root": "[2001:db8::9]:/d"} | ({"initramfs": initramfs} if initramfs else {})
    site.load({"nfs/a": keys})
    assert site.codes() == {"nfs-root-ipv6"}
