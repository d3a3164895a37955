"""What is told of machines that load a shim: whether GRUB finds its way, and their kernels."""

from __future__ import annotations

import pytest

from netbootd.check import check, rehearse
from netbootd.cli import main
from netbootd.errors import Level
from netbootd.registry.load import load
from netbootd.secureboot import remarks

from . import binaries

CONFIG = """{
  "targets" : {
     "linux" : {
        "a" : { "kernel" : "kernel", "loader" : "%(loader)s" },
        "other" : { "kernel" : "unsigned" },
        "elsewhere" : { "kernel" : "http://192.0.2.9/k", "loader" : "%(loader)s" },
     },
  },
  "machines" : {
     "00:25:90:27:db:b4" : { "type" : "linux", "name" : "a" },
     "00:25:90:27:db:b5" : { "type" : "linux", "name" : "%(second)s" },
  },
  "netbootd" : { "firmware" : "firmware", "files" : "files", "proxydhcp" : %(proxydhcp)s },
}"""
SIGNED, UNSIGNED = binaries.pe(signer="Example CA"), binaries.pe()
SHIM = binaries.pe(signer="Example CA")
GOOD_GRUB = binaries.grub("2.12-9+deb13u2")


@pytest.fixture
def site(tmp_path):
    """The file of a site; each file is bytes, None for one that is not there."""

    def make(*, kernel=SIGNED, shim=SHIM, grub=GOOD_GRUB, **said):
        written = {"loader": "shim-grub", "second": "elsewhere", "proxydhcp": "true", **said}
        for folder, files in (
            ("firmware", {"shimx64.efi": shim, "grubx64.efi": grub, "snponly.efi": UNSIGNED}),
            ("files", {"kernel": kernel, "unsigned": UNSIGNED}),
        ):
            (tmp_path / folder).mkdir()
            for name, data in files.items():
                if data is not None:
                    (tmp_path / folder / name).write_bytes(data)
        (tmp_path / "c.json").write_text(CONFIG % written)
        return tmp_path / "c.json"

    return make


def told(file):
    return [(finding.code, finding.text) for finding in remarks(load(file))]


def test_nothing_is_said_of_signed_files_and_a_grub_that_knows_a_proxy(site):
    assert told(site()) == []


def test_nothing_is_said_of_machines_without_a_shim(site):
    assert told(site(loader="ipxe", kernel=UNSIGNED, grub=binaries.grub("2.06-13+deb12u2"))) == []


def test_an_old_grub_is_told_with_every_way_out(site):
    (pxe, http) = told(site(grub=binaries.grub("2.06-13+deb12u2")))
    assert pxe[0] == "grub-proxydhcp"
    assert "GRUB 2.06-13+deb12u2" in pxe[1]
    assert "Debian 13" in pxe[1]
    assert "next-server" in pxe[1]
    assert "(and 1 other machine)" in pxe[1]
    assert http[0] == "grub-http"


def test_an_old_grub_without_a_shim_is_told_as_well_but_no_kernel(site):
    file = site(loader="grub", grub=binaries.grub("2.06-13"), kernel=UNSIGNED)
    assert set(dict(told(file))) == {"grub-proxydhcp", "grub-http"}


def test_without_a_proxy_an_old_grub_is_told_of_http_alone(site):
    codes = [code for code, _ in told(site(grub=binaries.grub("2.06-13"), proxydhcp="false"))]
    assert codes == ["grub-http"]


def test_a_grub_without_a_version_is_no_good_one(site):
    nameless = binaries.pe(inside=b"\0GNU GRUB  version %s\0")
    assert "grub-proxydhcp" in dict(told(site(grub=nameless)))


def test_nothing_is_said_of_another_program_in_the_place_of_grub(site):
    assert told(site(grub=binaries.ipxe())) == []


def test_a_shim_of_ones_own_may_load_what_lies_beside_it_in_the_file_root(site, tmp_path):
    file = site(loader="own/shimx64.efi", grub=None)
    (tmp_path / "files" / "own").mkdir()
    (tmp_path / "files" / "own" / "shimx64.efi").write_bytes(SHIM)
    (tmp_path / "files" / "own" / "grubx64.efi").write_bytes(binaries.ipxe())
    assert told(file) == []


def test_the_shim_of_an_ipxe_release_asks_for_no_grub(site, tmp_path):
    file = site(loader="shim-ipxe", grub=None)
    (tmp_path / "firmware" / "ipxeboot" / "x86_64-sb").mkdir(parents=True)
    (tmp_path / "firmware" / "ipxeboot" / "x86_64-sb" / "shimx64.efi").write_bytes(SHIM)
    assert told(file) == []


def test_a_shim_without_its_grub_is_told(site):
    found = dict(told(site(grub=None)))
    assert "grubx64.efi" in found["grub-missing"]


def test_a_kernel_without_a_signature_is_told_at_its_machine(site):
    file = site(kernel=UNSIGNED)
    (finding,) = remarks(load(file))
    assert (finding.code, finding.level) == ("kernel-unsigned", Level.WARNING)
    assert '"kernel" bears no signature' in finding.text
    assert finding.path.endswith("00:25:90:27:db:b4]") or "db:b4" in finding.path


def test_a_kernel_with_a_blank_in_its_name_is_looked_at_too(site, tmp_path):
    file = site()
    file.write_text(file.read_text().replace('"kernel" : "kernel"', '"kernel" : "a%20kernel"'))
    (tmp_path / "files" / "a kernel").write_bytes(UNSIGNED)
    assert '"a kernel" bears no signature' in dict(told(file))["kernel-unsigned"]


def test_a_kernel_that_is_no_uefi_program_is_told(site):
    assert '"kernel" is no UEFI program' in dict(told(site(kernel=b"multiboot")))["kernel-unsigned"]


def test_a_certificate_table_that_points_nowhere_is_no_signature(site):
    assert "kernel-unsigned" in dict(told(site(kernel=SIGNED[:-40])))


def test_a_kernel_that_is_not_there_is_said_elsewhere(site):
    assert told(site(kernel=None)) == []


def test_the_kernel_of_a_machine_without_a_shim_is_nobodys_business(site):
    assert told(site(second="other")) == []


def test_check_and_the_daemon_tell_it(site):
    file = site(kernel=UNSIGNED)
    assert "kernel-unsigned" in [finding.code for finding in check(file).findings]
    assert "kernel-unsigned" in [finding.code for finding in rehearse(load(file))]


def test_explain_says_that_a_signature_is_not_trust(site, capsys):
    file = str(site(grub=binaries.grub("2.06-13")))
    main(["explain", "00:25:90:27:db:b4", "--config", file, "--firmware", "efi"])
    said = capsys.readouterr().out
    assert '"kernel" bears a signature by Example CA; whether this machine trusts it' in said
    assert "looks for its files on the host that the site's DHCP server names" in said


def test_explain_says_nothing_of_it_for_a_bios(site, capsys):
    main(["explain", "00:25:90:27:db:b4", "--config", str(site()), "--firmware", "bios"])
    assert "signature" not in capsys.readouterr().out
