"""What the firmware of a Raspberry Pi reads."""

from __future__ import annotations

import pytest

from netbootd.configfiles import Reader
from netbootd.record.standing import Standing

LINUX = {"kernel": "pi/kernel8.img", "initrd": ["pi/initrd", "pi/more"]}


def test_a_kernel_and_its_arguments(site):
    args = "root=/dev/nfs rw rootwait console=serial0,115200"
    site.boots("nfs/pi", {**LINUX, "boot_args": args})
    assert site.lines(Reader.PI) == [
        "arm_64bit=1",
        "kernel=pi/kernel8.img",
        "initramfs pi/initrd,pi/more followkernel",
    ]
    assert site.answer(Reader.PI, name="cmdline.txt").text == f"{args}\n"


@pytest.mark.parametrize("lines", ["dtoverlay=x\narm_64bit=0\n", ["dtoverlay=x", "arm_64bit=0"]])
def test_lines_of_its_own_come_last_and_so_win(site, lines):
    site.boots("nfs/pi", {"kernel": "k", "config_txt": lines})
    assert site.lines(Reader.PI) == ["arm_64bit=1", "kernel=k", "dtoverlay=x", "arm_64bit=0"]
    site.boots("nfs/pi", {"kernel": "k"}, {"config_txt": lines})
    assert site.lines(Reader.PI)[-1] == "arm_64bit=0"


def test_the_extra_initrd_comes_first_and_takes_little_of_the_line(site):
    (site.folder / "overlays" / "o").mkdir(parents=True)
    site.boots("nfs/pi", {"kernel": "k", "initrd": "images/pi/initrd.img"}, {"overlays": "o"})
    overlay = "overlay/52-54-00-12-34-56.cpio"
    assert f"initramfs {overlay},images/pi/initrd.img followkernel" in site.lines(Reader.PI)


def test_a_line_of_which_the_end_would_not_be_read_is_not_written(site):
    name = "i" * (98 - len("initramfs  followkernel"))
    site.boots("nfs/a", {"kernel": "k", "initrd": name})
    assert f"initramfs {name} followkernel" in site.lines(Reader.PI)
    site.boots("nfs/b", {"kernel": "k", "initrd": name + "i"})
    answer = site.answer(Reader.PI)
    assert answer.text == ""
    assert "98 characters" in answer.says
    assert "ipxe" not in answer.says


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("localboot/disk", {}),
        ("menu/m", {"choices": ["localboot"]}),
        ("memdisk/m", {"initrd": "i"}),
        ("linux/a", {"kernel": "http://192.0.2.9/k"}),
        ("linux/a", {"kernel": "k", "config_txt": {"a": 1}, "initrd": "a%20b"}),
    ],
)
def test_it_finds_nothing_where_there_is_nothing_that_it_can_boot(site, title, keys):
    answer = site.boots(title, keys).answer(Reader.PI)
    assert answer.text == ""
    assert answer.says


def test_it_finds_nothing_where_it_is_held(site):
    site.boots("nfs/pi", LINUX)
    assert site.answer(Reader.PI, standing=Standing(held="why")).text == ""
