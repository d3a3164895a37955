"""
The first cause of a boot that goes nowhere, as a person gets it while it happens: by the command
and on the web page, both from the daemon that heard of it.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.end_to_end.browser import Browser
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import NETBOOTD
from tests.end_to_end.pretender import Pretender
from tests.end_to_end.test_why_firmware import NODE, nft, node
from tests.end_to_end.tokens import new_token

pytestmark = [pytest.mark.wire, pytest.mark.slow]

__all__ = ["node"]
#: Firmware has 20 s to go on before its silence means anything.
STUCK_S = 60


def why(site: Site, *options: str) -> subprocess.CompletedProcess[str]:
    """What the command tells of the machine."""
    command = [str(NETBOOTD), "why", NODE, "--config", str(site.file), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_tftp_behind_a_filter_is_named_first_by_the_command_and_on_the_page(
    site: Site, node: Pretender
) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", hostname="node1", reply_style="boot-server")
    nft(site, "boot", "udp dport 69")
    site.serve()
    token = new_token(site.file.with_name("state"))
    browser = Browser(site.lab, place="lan")
    try:
        browser.sign_in(token)
        browser.go("#/machines")
        browser.click("#machines-rows a", "node1")
        browser.see("#machine .badge", "not seen")
        node.take_address(node.discover())
        assert node.asks_4011()
        assert not node.tftp("snponly.efi", 1)

        browser.see("#machine .badge", "stuck", within=STUCK_S)
        first = browser.see(".why .causes > li").text

        said = why(site, "--json")
        assert said.returncode == 1, said.stderr
        diagnosis = json.loads(said.stdout)
        assert (diagnosis["state"], diagnosis["causes"][0]["code"]) == ("stuck", "tftp-blocked")
        sentence = diagnosis["causes"][0]["sentence"]
        assert sentence in first
        told = why(site)
        assert told.returncode == 1
        others = [cause["sentence"] for cause in diagnosis["causes"][1:]]
        in_one_line = " ".join(told.stdout.split())
        assert sentence in in_one_line.partition(others[0] if others else "\0")[0]
    finally:
        browser.close()
