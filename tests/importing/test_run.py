"""The command: what goes where, and what is never written over."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from netbootd.registry.load import load
from tests.end_to_end.process import ROOT
from tests.users import with_users

from . import media


@pytest.fixture
def medium(site):
    content = media.tree(site.media / "netboot", media.DEBIAN_NETBOOT)
    return media.tar(site.media / "netboot.tar.gz", content)


def drop_in(site):
    return site.config.parent / "machines.d" / "debian-12-amd64.json"


def test_what_is_printed_can_be_kept_as_a_drop_in(site, medium):
    for arguments in ((), ("--dry-run",)):
        said = site.run(*arguments, medium)
        drop_in(site).parent.mkdir(exist_ok=True)
        drop_in(site).write_text(said.out)
        assert "install/debian-12-amd64" in load(site.config).targets
        drop_in(site).unlink()


def test_without_write_nothing_is_configured(site, medium):
    said = site.run(medium)
    assert f"--write puts it into {drop_in(site)}" in said.err
    assert not drop_in(site).parent.exists()


def test_write_puts_the_target_in_force(site, medium):
    assert site.run("--write", medium).status == 0
    assert "install/debian-12-amd64" in load(site.config).targets
    assert drop_in(site).stat().st_mode & 0o777 == 0o644
    assert os.listdir(drop_in(site).parent) == [drop_in(site).name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root asks for another")
def test_the_services_user_need_not_come_where_root_tries_the_proposal(site, medium, tmp_path):
    """Nor to the medium."""
    argv = [sys.executable, "-m", "netbootd", "import", "--config", str(site.config), "--write"]
    done = subprocess.run(
        with_users(tmp_path, [*argv, str(medium)], service=True),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "written to" in done.stderr
    assert "cannot" not in done.stderr
    assert "install/debian-12-amd64" in load(site.config).targets


def test_write_keeps_a_file_that_is_there(site, medium):
    drop_in(site).parent.mkdir()
    drop_in(site).write_text('{ "vms" : {} }')
    said = site.run("--write", medium)
    assert said.status == 0
    assert "is there already, and stays as it is" in said.err
    assert drop_in(site).read_text() == '{ "vms" : {} }'


def test_write_leaves_a_target_of_the_main_file_alone(site, medium):
    own = '"install" : { "debian-12-amd64" : { "kernel" : "http://192.0.2.9/mine" } }, "localboot"'
    site.config.write_text(site.config.read_text().replace('"localboot"', own, 1))
    said = site.run("--write", medium)
    assert said.status == 0
    assert "the configuration has install/debian-12-amd64 already" in said.err
    assert not drop_in(site).exists()


def test_a_configuration_that_cannot_be_used_is_said_before_anything_is_copied(site, medium):
    site.config.write_text("{")
    assert site.run(medium).status == 2
    assert site.run("--write", "--files", site.files, medium).status == 2
    assert site.contents() == {}
    assert site.run("--files", site.files, medium).status == 0
    assert len(site.contents()) == 2


def test_a_type_that_the_medium_cannot_be_is_said(site):
    content = media.tree(site.media / "platform", media.SMARTOS_TAR)
    said = site.run("--write", "--type", "install", media.tar(site.media / "p.tar", content))
    assert said.status == 1
    assert "target-empty" in said.err
    assert "this target would not boot as it is" in said.err
    assert not drop_in(site).parent.exists()
    assert site.contents() == {}


def test_a_folder_that_clients_cannot_reach_is_said(site, medium):
    (site.media / "elsewhere").mkdir()
    (site.files / "images").symlink_to(site.media / "elsewhere")
    said = site.run("--write", medium)
    assert said.status == 1
    assert "file-outside" in said.err
    assert not drop_in(site).exists()
    assert list((site.media / "elsewhere").iterdir()) == []


def test_a_name_that_would_be_a_placeholder_is_said_before_anything_is_copied(site):
    content = media.tree(site.media / "dvd", media.RED_HAT_DVD)
    said = site.run("--name", "a__q__", content)
    assert said.status == 1
    assert "placeholder-empty" in said.err
    assert site.contents() == {}


def test_without_libarchive_it_says_what_to_install(site, medium):
    done = subprocess.run(
        [sys.executable, "-m", "netbootd", "import", "--config", site.config, medium],
        env=os.environ | {"LIBARCHIVE": "/nonexistent/libarchive.so"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "apt install libarchive13" in done.stderr
    assert "pip install libarchive-c" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_teaches_by_examples_and_names_the_exit_status(site):
    said = site.run("--help")
    assert said.status == 0
    assert "netbootd import --dry-run Rocky" in said.out
    assert "exit status: 0 imported" in said.out
