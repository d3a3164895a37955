"""``netbootd show MAC --as``: what another loader would read."""

from __future__ import annotations

import json

import pytest

from netbootd.cli import main

NODE = "52:54:00:12:34:56"


@pytest.mark.parametrize(
    ("reader", "line"),
    [
        ("grub", "linux '(tftp,boot-server)/52-54-00-12-34-56/k' 'a=b'"),
        ("pxelinux", "  KERNEL /52-54-00-12-34-56/k"),
        ("pi", "kernel=k"),
    ],
)
def test_it_prints_what_would_be_served(tmp_path, capsys, reader, line):
    whole = {
        "targets": {"nfs": {"a": {"kernel": "k", "boot_args": "a=b"}}, "localboot": {"d": {}}},
        "machines": {
            NODE: {"type": "nfs", "name": "a"},
            "52:54:00:12:34:57": {"type": "chain", "name": "c"},
        },
        "netbootd": {"files": "files", "state": str(tmp_path / "state")},
    }
    (tmp_path / "c.json").write_text(json.dumps(whole))
    asked = ["show", "--config", str(tmp_path / "c.json"), "--as", reader]
    assert main([*asked, NODE]) == 0
    assert line in capsys.readouterr().out.splitlines()
    assert main([*asked, "52:54:00:12:34:57"]) == 1
    assert "cannot boot" in capsys.readouterr().out


@pytest.mark.parametrize(("loader", "says"), [("grub", "GRUB"), ("pxelinux", "PXELINUX")])
def test_show_says_of_its_script_that_another_loader_reads_another(tmp_path, capsys, loader, says):
    whole = {
        "targets": {"nfs": {"a": {"kernel": "k", "boot_args": "a=b"}}},
        "machines": {NODE: {"type": "nfs", "name": "a", "loader": loader}},
        "netbootd": {"state": str(tmp_path / "state")},
    }
    (tmp_path / "c.json").write_text(json.dumps(whole))
    assert main(["show", "--config", str(tmp_path / "c.json"), NODE]) == 0
    told = capsys.readouterr().out
    assert f"script    below is that of iPXE; {says} reads another: --as {loader}\n" in told
    assert "because   iPXE asks" not in told
