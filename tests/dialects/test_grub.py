"""What GRUB reads, judged by grub-script-check where it is installed."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.configfiles import Reader
from netbootd.dialects import quoting
from netbootd.dialects.dialect import HTTP, TFTP, Way
from netbootd.dialects.grub import Grub, first_contact, joined
from netbootd.errors import RenderError
from netbootd.record.standing import Standing

from .conftest import HOST, NODE

LINUX = {"kernel": "images/k", "initrd": ["images/i", "http://192.0.2.9:8080/j?x=1"]}
OWN = "(tftp,192.0.2.1)/52-54-00-12-34-56"


def judged(text):
    """*text*, which GRUB's own parser takes."""
    if check := shutil.which("grub-script-check"):
        done = subprocess.run([check], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + text
    return text


def commands(site, **asked):
    judged(site.answer(Reader.GRUB, **asked).text)
    return site.lines(Reader.GRUB, **asked)


def boot_of(lines):
    """What the kernel is told: its command and that of the initrds, as words."""
    return [shlex.split(line) for line in lines if line.startswith(("linux ", "initrd "))]


def test_a_kernel_is_fetched_as_the_configuration_was(site):
    site.boots("nfs/a", {**LINUX, "boot_args": "root=/dev/nfs ip=dhcp"})
    lines = commands(site)
    assert lines[0] == "set timeout=0"
    assert boot_of(lines) == [
        ["linux", f"{OWN}/images/k", "root=/dev/nfs", "ip=dhcp"],
        ["initrd", f"{OWN}/images/i", "(http,192.0.2.9:8080)/j?x=1"],
    ]
    assert lines.index("boot") < lines.index("exit")
    by_http = boot_of(commands(site, by=HTTP))
    assert by_http[0][1] == f"(http,{HOST})/52-54-00-12-34-56/images/k"


def test_the_extra_initrd_comes_first(site):
    (site.folder / "overlays" / "o").mkdir(parents=True)
    site.boots("nfs/a", LINUX, {"overlays": "o"})
    initrds = boot_of(commands(site))[1]
    overlay = "/overlay/52-54-00-12-34-56.cpio?token=tok"
    assert initrds[1:3] == [f"(tftp,192.0.2.1){overlay}", f"{OWN}/images/i"]


def test_placeholders_and_ipxes_name_of_the_card_are_filled_in(site):
    args = "h=__hostname__ BOOTIF=01-${netX/mac:hexhyp} m=${mac} initrd=initrd n=${net0/mac:hexraw}"
    site.boots("linux/a", {"kernel": "k", "boot_args": args}, {"hostname": "n1"})
    told = ["h=n1", f"BOOTIF=01-{NODE.dashed}", f"m={NODE}", f"n={NODE.raw}"]
    assert boot_of(commands(site))[0][2:] == told


def test_a_setting_that_only_ipxe_knows_is_said(site):
    site.boots("linux/a", {"kernel": "k", "boot_args": "x=${gateway}"})
    answer = site.answer(Reader.GRUB)
    assert answer.status == 500
    assert "linux/a needs iPXE: its arguments have ${gateway}" in judged(answer.text)
    assert "linux " not in answer.text.replace("linux/a", "")


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("smartos/s", {"platform": "20200101T000000Z"}),
        ("sanboot/s", {"sanboot": "http://192.0.2.9/x.iso"}),
        ("iscsi/s", {"iscsi": {"server": "192.0.2.9", "target": "iqn.x:y"}}),
        ("iscsi/k", {"kernel": "k", "iscsi": {"server": "192.0.2.9", "target": "iqn.x:y"}}),
        ("wimboot/w", {"tree": "win"}),
        ("esxi/e", {"tree": "esxi"}),
        ("chain/c", {"chain": "x.efi"}),
    ],
)
@pytest.mark.parametrize("reader", [Reader.GRUB, Reader.PXELINUX])
def test_what_needs_ipxe_says_so_on_the_console(site, title, keys, reader):
    site.boots(title, keys)
    answer = site.answer(reader)
    assert (answer.status, answer.boots) == (500, False)
    assert f"{title} needs iPXE: " in answer.text
    assert not site.answer(Reader.PI).text


def test_a_script_of_ones_own_needs_ipxe(site):
    (site.folder / "own.ipxe").write_text("#!ipxe\nshell\n")
    site.boots("ipxe/o", {"script": "own.ipxe"})
    assert "ipxe/o needs iPXE" in site.answer(Reader.GRUB).text


def test_memdisk_is_for_pxelinux(site):
    site.boots("memdisk/dos", {"initrd": "dos.img"})
    assert "needs PXELINUX or iPXE" in judged(site.answer(Reader.GRUB).text)


def test_the_disk_is_left_to_the_firmware_or_started(site):
    lines = commands(site.boots("localboot/disk", {}))
    assert lines[2:] == [
        *('if [ "$grub_platform" = pc ]; then', "chainloader (hd0)+1", "boot", "exit", "fi"),
        "exit",
    ]
    lines = commands(site.boots("localboot/disk", {"bios": "exit", "efi": r"\EFI\d\grubx64.efi"}))
    assert lines[2:] == [
        *('if [ "$grub_platform" = pc ]; then', "exit", "fi"),
        "if search --no-floppy --set=root --file '/EFI/d/grubx64.efi'; then",
        *("chainloader '/EFI/d/grubx64.efi'", "boot", "fi"),
        "exit",
    ]
    lines = commands(site.boots("localboot/disk", {"efi": "loaders/x.efi"}))
    assert f"chainloader '{OWN}/loaders/x.efi'" in lines
    lines = commands(site.boots("localboot/disk", {"efi": "sanboot"}))
    assert "for loader in /EFI/BOOT/BOOTX64.EFI" in " ".join(lines)


def test_a_choice_of_a_menu_asks_again(site):
    choices = [{"target": "nfs/a", "label": "it's $HOME; reboot", "key": "i"}, "localboot"]
    keys = {"choices": choices, "default": "localboot", "timeout": 7}
    site.boots("menu/m", keys, nfs__a=LINUX)
    lines = commands(site)
    assert lines[:2] == ["set timeout=7", "set default=1"]
    assert shlex.split(lines[2]) == ["menuentry", "it's $HOME; reboot", "--hotkey=i", "{"]
    own = f"{OWN}/grub.cfg-01-52-54-00-12-34-56.choice-1"
    assert lines[3:5] == [f"configfile '{own}'", "}"]
    assert not site.answer(Reader.GRUB).boots
    chosen = site.answer(Reader.GRUB, choice="1")
    assert chosen.boots
    assert f"{OWN}/images/k" in judged(chosen.text)
    assert site.answer(Reader.GRUB, choice="3").status == 404


def test_a_menu_without_a_time_waits(site):
    site.boots("menu/m", {"choices": ["localboot"]})
    assert commands(site)[0] == "set timeout=-1"


def test_a_machine_that_is_held_is_told_so_and_may_ask_again(site):
    site.boots("nfs/a", LINUX)
    text = judged(site.answer(Reader.GRUB, standing=Standing(held="it's `$(reboot)`")).text)
    lines = text.splitlines()
    assert "netbootd: 52:54:00:12:34:56 is held: it's `$(reboot)`" in shlex.split(lines[2])[1]
    assert "netbootd release 52:54:00:12:34:56" in lines[3]
    assert f"configfile '{OWN}/grub.cfg-01-52-54-00-12-34-56'" in lines
    assert "linux" not in text


def test_an_admins_own_template_takes_the_place_of_ours(site):
    own = '{% extends "netbootd/grub.cfg" %}{% block before %}set gfxmode={{ mode|grub }}\n'
    (site.folder / "grub.cfg").write_text(own + "{% endblock %}")
    site.boots("nfs/a", LINUX, {"mode": "x'; reboot; '"})
    assert commands(site)[0] == r"set gfxmode='x'\''; reboot; '\'''"
    assert str(site.folder / "grub.cfg") in site.registry.watched


def test_a_broken_template_of_an_admin_gives_way_to_ours(site):
    (site.folder / "grub.cfg").write_text("{% if %}")
    site.boots("nfs/a", LINUX)
    assert boot_of(commands(site))
    assert "template-error" in {finding.code for finding in site.registry.findings}


def test_first_contact_asks_by_the_mac_that_grub_knows(site):
    registry = site.boots("nfs/a", LINUX).registry
    text = judged(first_contact(registry.dialects["grub-first.cfg"], Way(TFTP, HOST)))
    assert "configfile '(tftp,192.0.2.1)/grub.cfg-01-'\"$mac\"" in text
    text = judged(first_contact(registry.dialects["grub-first.cfg"], Way(HTTP, "192.0.2.1")))
    assert "configfile '(http,192.0.2.1)/grub.cfg-01-'\"$mac\"" in text


def test_an_address_of_ipv6_keeps_its_brackets(site):
    registry = site.boots("nfs/a", LINUX).registry
    grub = Grub(registry.dialects["grub.cfg"], Way(TFTP, "[2001:db8::1]:3000"))
    assert grub.own_file("/k") == "(tftp,[2001:db8::1])/k"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a", "b=c"], ["a", "b=c"]),
        (['dyndbg="file', "foo", '+p"', "x"], ["dyndbg=file foo +p", "x"]),
        (['"a', 'b"'], ["a b"]),
        (["a=$b", "c;d", "e&f"], ["a=$b", "c;d", "e&f"]),
    ],
)
def test_words_that_belong_together_are_one(args, words):
    assert joined(args) == words


@pytest.mark.parametrize("args", [["a='b'"], ["a=\\b"], ['a="b']])
def test_what_grub_would_change_is_not_booted(args):
    with pytest.raises(RenderError):
        joined(args)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_no_value_gets_out_of_its_quotes(values):
    """GRUB's quoting of what we use is the shell's: read back, it is the same words."""
    try:
        line = " ".join(quoting.grub(value) for value in values)
    except RenderError:
        assert not all(value.isprintable() for value in values)
        return
    assert shlex.split(line) == values
    assert "\n" not in line


@given(st.text(max_size=80))
def test_what_is_shown_is_one_line(value):
    assert quoting.shown(value).isprintable()
    assert "\n" not in quoting.grub(quoting.shown(value))


HOSTILE = "".join(chr(c) for c in range(33, 127))


def test_hostile_names_stay_text_in_a_whole_script(site):
    label = f"{HOSTILE}\n}}\nreboot\n"
    site.boots("menu/m", {"choices": [{"target": "localboot", "label": label}]})
    lines = [line for line in commands(site) if line.startswith("menuentry")]
    assert shlex.split(lines[0])[1] == f"{HOSTILE} }} reboot"
    assert "reboot" not in commands(site)
