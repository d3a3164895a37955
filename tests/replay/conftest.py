"""A configuration to hold captures against."""

from __future__ import annotations

import json

import pytest

from netbootd.cli import main
from tests.simulate.kernels import bzimage, efi_program

CONFIG = """{
  "targets" : { "localboot" : { "disk" : { } } },
  "machines" : { "default" : { "type" : "localboot", "name" : "disk" } },
  "netbootd" : { "firmware" : "fw", "files" : "files", "state" : "state"%s },
}"""


@pytest.fixture
def replay(tmp_path, capsys):
    """``replay(file, *options)``: exit status, and what it prints; as values with --json."""
    for folder in ("fw", "files"):
        (tmp_path / folder).mkdir()
    (tmp_path / "fw" / "undionly.kpxe").write_bytes(bytes(74213))
    (tmp_path / "fw" / "snponly.efi").write_bytes(efi_program(0x8664))
    (tmp_path / "files" / "k").write_bytes(bzimage(100_000))

    def replay(file, *options, settings=""):
        (tmp_path / "c.json").write_text(CONFIG % settings)
        status = main(["replay", "--config", str(tmp_path / "c.json"), str(file), *options])
        told = capsys.readouterr()
        if "--json" in options and status < 2 and told.out:
            return status, json.loads(told.out)
        return status, told.out + told.err

    return replay
