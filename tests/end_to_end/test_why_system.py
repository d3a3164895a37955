"""
Faults from the boot script to the report that a machine is up, injected for real: files that are
missing, cut or too large, connections that stand still, systems that say nothing or fail.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from netbootd.boots.boot import Boot, Code, Outcome, Stage
from netbootd.why.diagnosis import State
from tests.end_to_end.asking import Asker, assert_first, both, noted, nothing, reached
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, write_config
from tests.end_to_end.pretender import Pretender
from tests.end_to_end.test_why_firmware import NODE, TWIN, nft, node

pytestmark = pytest.mark.wire

__all__ = ["node"]
KERNEL, INITRD = "/images/vmlinuz", "/images/initrd.gz"
LARGE = 48 << 20


def root(site: Site) -> Path:
    return Path(site.config["netbootd"]["files"])


def trouble(stage: Stage):
    """The newest boot's *stage* did not go well."""

    def has(boots: Sequence[Boot]) -> bool:
        step = boots[0].step(stage) if boots else None
        return step is not None and bool(step.trouble)

    return has


def times(count: int):
    """So many boots there are."""
    return lambda boots: len(boots) >= count


def ended(outcome: Outcome):
    """The newest boot ended so."""
    return lambda boots: bool(boots) and boots[0].outcome is outcome


@pytest.fixture(autouse=True)
def dhcp(site: Site) -> None:
    site.lab.dhcp()


# -- files -----------------------------------------------------------------------------------------


def test_a_kernel_that_is_not_there(site: Site, node: Pretender) -> None:
    site.machine(NODE, "linux", "lost")
    site.serve()
    node.gets_script()
    assert node.http("/images/not-there") is None
    assert_first(Asker(site).why(NODE, noted(Code.REFUSED)), "kernel-missing")


def test_an_initrd_that_is_not_there(site: Site, node: Pretender) -> None:
    site.serve()
    (root(site) / "images" / "initrd.gz").unlink()
    node.gets_script()
    assert node.http(KERNEL) is not None
    assert node.http(INITRD) is None
    assert_first(Asker(site).why(NODE, noted(Code.REFUSED)), "initrd-missing")


def test_a_kernel_that_must_not_be_given(site: Site, node: Pretender) -> None:
    """A link that leaves the file root."""
    site.serve()
    asker = Asker(site)
    kernel = root(site) / "images" / "vmlinuz"
    kernel.unlink()
    kernel.symlink_to("/etc/hostname")
    node.gets_script()
    assert node.http(KERNEL) is None
    assert_first(asker.why(NODE, noted(Code.REFUSED)), "kernel-forbidden")


def test_a_kernel_that_was_not_copied_whole(site: Site, node: Pretender) -> None:
    kernel = root(site) / "images" / "vmlinuz"
    kernel.write_bytes(kernel.read_bytes()[: kernel.stat().st_size // 3])
    site.serve()
    node.gets_script()
    assert node.http(KERNEL) is not None
    assert_first(Asker(site).why(NODE, reached(Stage.KERNEL)), "kernel-truncated")


def test_an_initrd_that_is_cut_while_it_is_sent(site: Site, node: Pretender) -> None:
    initrd = root(site) / "images" / "initrd.gz"
    initrd.write_bytes(os.urandom(LARGE))
    site.serve()
    node.gets_script()
    assert node.http(KERNEL) is not None
    slow = node.begins_http(INITRD, "--limit-rate", "4M")
    Asker(site).boots(NODE, reached(Stage.INITRD))
    os.truncate(initrd, LARGE // 4)
    assert slow.wait(30) != 0
    assert_first(Asker(site).why(NODE, noted(Code.BROKEN)), "initrd-truncated")


def test_a_file_that_ipxe_takes_for_no_kernel(site: Site, node: Pretender) -> None:
    """It is fetched whole, and the script ends there."""
    site.put("images/vmlinuz", os.urandom(100_000))
    site.serve()
    node.gets_script()
    assert node.http(KERNEL) is not None
    assert_first(Asker(site).why(NODE, reached(Stage.KERNEL)), "kernel-refused")


# -- connections -----------------------------------------------------------------------------------


def test_connections_that_are_cut_after_the_script(site: Site, node: Pretender) -> None:
    site.serve()
    node.gets_script()
    nft(site, "boot", "tcp dport 3000")
    assert node.http(KERNEL, 1) is None
    diagnosis = Asker(site).why(NODE, reached(Stage.SCRIPT))
    assert_first(diagnosis, "kernel-not-fetched")


@pytest.mark.slow
def test_http_that_stands_still(site: Site, node: Pretender) -> None:
    """Small packets pass, large ones do not: a hop with a smaller MTU that does not say so."""
    site.serve()
    node.gets_script()
    large = 'iifname "eth0-boot" tcp sport 3000 ip length > 1000'
    nft(site, "switch", large, family="bridge", hook="forward")
    assert node.http(KERNEL, 3) is None
    assert_first(Asker(site).why(NODE, reached(Stage.KERNEL)), "http-stalls")


@pytest.mark.parametrize("memory", ["?memsize=64", ""], ids=["memory known", "memory unknown"])
def test_an_initrd_for_which_there_is_no_room(site: Site, node: Pretender, memory: str) -> None:
    """iPXE asks for memory by the length that it is told, gets none, and the machine goes on."""
    site.put("images/initrd.gz", bytes(LARGE))
    site.serve()
    for _ in range(1 if memory else 2):
        node.becomes("efi")
        node.gets_script(memory)
        assert node.http(KERNEL) is not None
        assert node.http(INITRD, 4, "--max-filesize", str(LARGE - 1)) is None
    until = both(trouble(Stage.INITRD), times(1 if memory else 2))
    diagnosis = Asker(site).why(NODE, until)
    assert_first(diagnosis, "initrd-too-large")
    assert ("64 MiB of memory" in diagnosis.causes[0].sentence) is bool(memory)


# -- the system ------------------------------------------------------------------------------------


def test_a_kernel_without_a_driver_for_its_card(site: Site, node: Pretender) -> None:
    site.serve()
    node.gets_kernel()
    diagnosis = Asker(site).why(NODE, reached(Stage.INITRD))
    assert_first(diagnosis, "kernel-silent")
    assert "driver" in diagnosis.causes[0].sentence


def test_a_kernel_after_which_the_machine_is_reset(site: Site, node: Pretender) -> None:
    site.serve()
    node.gets_kernel()
    node.becomes("efi")
    node.discover()
    assert_first(Asker(site).why(NODE, times(2)), "kernel-died")


def test_a_kernel_that_panics(site: Site, node: Pretender) -> None:
    """Its last words come by netconsole."""
    site.serve()
    node.gets_kernel()
    node.netconsole("[    2.1] VFS: Cannot open root device")
    node.netconsole("[    2.2] Kernel panic - not syncing: VFS: Unable to mount root fs on (0,0)")
    asker = Asker(site)
    diagnosis = asker.why(NODE, reached(Stage.INITRD), console=asker.console(NODE, "Kernel panic"))
    assert_first(diagnosis, "kernel-panic")
    assert any("Cannot open root device" in line for line in diagnosis.causes[0].because)


def nfs(site: Site, **more: object) -> None:
    site.target(
        *("nfs", "root"),
        kernel="images/vmlinuz",
        initrd="images/initrd.gz",
        root=f"{BOOT_SERVER}:/srv/nfs/none",
        **more,
    )
    site.machine(NODE, "nfs", "root")


def test_a_root_over_nfs_that_is_not_exported(site: Site, node: Pretender) -> None:
    nfs(site)
    site.serve()
    node.gets_kernel()
    node.runs_a_system()
    node.says("mount.nfs: access denied by server while mounting 192.0.2.10:/srv/nfs/none")
    asker = Asker(site)
    said = asker.console(NODE, "access denied")
    assert_first(asker.why(NODE, reached(Stage.SYSTEM), console=said), "nfs-root-missing")


def test_a_root_over_nfs_of_which_nothing_is_said(site: Site, node: Pretender) -> None:
    nfs(site, up_within=900)
    site.serve()
    node.gets_kernel()
    node.runs_a_system()
    assert_first(Asker(site).why(NODE, reached(Stage.SYSTEM)), "nfs-root-missing")


def test_a_machine_that_is_overdue(site: Site, node: Pretender) -> None:
    site.config["targets"]["linux"]["one"]["up_within"] = 1
    site.serve()
    node.gets_kernel()
    node.runs_a_system()
    diagnosis = Asker(site).why(NODE, both(ended(Outcome.OVERDUE), reached(Stage.SYSTEM)))
    assert diagnosis.state is State.OVERDUE
    assert_first(diagnosis, "overdue")


def test_a_node_that_reports_a_failure(site: Site, node: Pretender) -> None:
    linux = site.config["targets"]["linux"]["one"]
    linux["boot_args"] = "failed=__failed__"
    site.serve()
    script = node.gets_kernel()
    node.runs_a_system()
    url = next(word for word in script.split() if word.startswith("failed=")).partition("=")[2]
    output = "partitioning\nmkfs.ext4: no such device /dev/sdz"
    assert node.http(f"{url}&status=3", 4, "--data-binary", output) is not None
    diagnosis = Asker(site).why(NODE, ended(Outcome.FAILED))
    assert diagnosis.state is State.FAILED
    assert_first(diagnosis, "node-failed")
    assert "mkfs.ext4" in diagnosis.causes[0].sentence


def test_nothing_is_wrong_with_a_machine_that_reports_to_be_up(site: Site, node: Pretender) -> None:
    site.config["targets"]["linux"]["one"]["boot_args"] = "done=__done__"
    site.serve()
    script = node.gets_kernel()
    node.runs_a_system()
    url = next(word for word in script.split() if word.startswith("done=")).partition("=")[2]
    assert node.http(url) is not None
    asker = Asker(site)
    diagnosis = asker.why(NODE, ended(Outcome.DONE))
    assert (diagnosis.state, diagnosis.causes) == (State.UP, ())
    assert asker.api(f"/machines/{NODE}/why")["state"] == State.UP


# -- answers ---------------------------------------------------------------------------------------


def install(site: Site, text: str = "d-i debian-installer/locale string en_US\n") -> str:
    """NODE is to install Debian; the path of its answer file, as its kernel is told it."""
    site.target(
        *("install", "debian"),
        kernel="images/vmlinuz",
        initrd="images/initrd.gz",
        os="debian",
        answer="install/preseed.cfg",
    )
    site.machine(NODE, "install", "debian")
    site.put("install/preseed.cfg.j2", text.encode())
    return f"/install/{NODE.replace(':', '-')}/preseed.cfg"


def test_an_installer_that_never_asks_for_its_answers(site: Site, node: Pretender) -> None:
    install(site)
    site.serve()
    node.gets_kernel()
    node.runs_a_system()
    assert_first(Asker(site).why(NODE, reached(Stage.SYSTEM)), "answer-file-not-fetched")


def test_an_answer_file_that_cannot_be_made(site: Site, node: Pretender) -> None:
    """The template cannot cope with the other address that the installer has taken."""
    other = "192.0.2.240"
    path = install(site, f"{{% if ip == '{other}' %}}{{{{ disk_of_nobody }}}}{{% endif %}}\n")
    site.serve()
    node.gets_kernel()
    node.runs_a_system()
    node.lab.ip(node.place, "addr flush dev eth0")
    node.lab.ip(node.place, f"addr add {other}/24 dev eth0")
    assert node.http(path) is None
    assert_first(Asker(site).why(NODE, noted(Code.REFUSED)), "answer-file-broken")


def test_an_answer_file_that_is_gone(site: Site, node: Pretender) -> None:
    path = install(site)
    daemon = site.serve()
    node.gets_kernel()
    node.runs_a_system()
    (root(site) / "install" / "preseed.cfg.j2").unlink()
    daemon.reload()
    assert node.http(path) is None
    assert_first(Asker(site).why(NODE, noted(Code.REFUSED)), "answer-file-missing")


# -- the configuration -----------------------------------------------------------------------------


def test_a_target_that_cannot_be_booted(site: Site, node: Pretender) -> None:
    install(site, "{{ disk_that_nobody_has }}\n")
    site.serve()
    assert "cannot boot" in node.gets_script()
    assert_first(Asker(site).why(NODE, trouble(Stage.SCRIPT)), "target-broken")


def test_a_machine_that_nobody_listed(site: Site, node: Pretender) -> None:
    site.config["machines"] = {TWIN: {"type": "linux", "name": "two"}}
    daemon = site.serve()
    node.insists(1)
    daemon.wait_for(rf"{NODE}.*not in the configuration", 10)
    diagnosis = Asker(site).why(NODE, nothing)
    assert_first(diagnosis, "unknown-machine")
    assert NODE in diagnosis.causes[0].advice


def test_a_machine_that_is_switched_off(site: Site, node: Pretender) -> None:
    site.machine(NODE, "linux", "one", enabled=False)
    site.serve()
    node.gets_script()
    diagnosis = Asker(site).why(NODE, reached(Stage.SCRIPT))
    assert diagnosis.state is State.DISABLED
    assert_first(diagnosis, "machine-disabled")


def test_a_machine_that_installs_again_and_again(site: Site, node: Pretender) -> None:
    """The guard holds it."""
    install(site)
    site.config["netbootd"]["guard"] = {"installs": 1}
    site.serve()
    node.gets_kernel()
    node.becomes("efi")
    assert "is held" in node.gets_script()
    diagnosis = Asker(site).why(NODE, noted(Code.HELD))
    assert diagnosis.state is State.HELD
    assert_first(diagnosis, "held")


def test_a_machine_that_stands_only_in_a_refused_configuration(site: Site, node: Pretender) -> None:
    own = site.config["machines"].pop(NODE)
    site.machine(TWIN, "linux", "two")
    daemon = site.serve()
    asker = Asker(site)
    site.config["machines"][NODE] = own
    site.config["netbootd"]["http_port"] = "a port"
    write_config(site.file, site.config)
    daemon.wait_for("reload refused", 10)
    node.insists(1)
    daemon.wait_for(rf"{NODE}.*not in the configuration", 10)
    findings = [one["text"] for one in asker.api("/findings")["refused"]]
    diagnosis = asker.why(NODE, nothing, refused=findings)
    assert_first(diagnosis, "reload-refused")
    assert "http_port" in " ".join(diagnosis.causes[0].because)


def test_a_menu_before_which_nobody_stands(site: Site, node: Pretender) -> None:
    site.config["targets"]["menu"] = {
        "all": {"choices": [{"label": "Linux", "target": "linux/one", "key": "l"}]}
    }
    site.machine(NODE, "menu", "all")
    site.serve()
    node.gets_script()
    assert_first(Asker(site).why(NODE, reached(Stage.SCRIPT)), "menu-waits")
