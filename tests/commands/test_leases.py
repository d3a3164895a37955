"""``netbootd leases`` as an admin types it, where netbootd gives no addresses."""

from __future__ import annotations

import json

import pytest

from netbootd.cli import main
from netbootd.commands.leases import _addresses, _which

from .test_daemon_commands import bad, completed, good


def test_a_daemon_that_gives_no_addresses_has_no_leases(site):
    assert good(site.run("leases")) == "0 leases\n"
    found = json.loads(good(site.run("leases", "--json", "--all")))
    assert (found["leases"], found["pools"], found["foreign"]) == ([], [], [])
    assert good(site.run("leases", "--subnet", "192.0.2.0/24", "--state", "free", "node7"))


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1"])
def test_a_lease_that_is_not_there_cannot_be_released(site, address):
    assert bad(site.run("leases", "release", address)) == f"netbootd: nobody has {address}\n"


class Listing:
    """What an API would list, whatever is asked."""

    def __init__(self, *names):
        self.names = names

    def get(self, *_path, **_query):
        lines = enumerate(self.names, 7)
        return {
            "leases": [
                {"address": f"192.0.2.{number}", "hostname": name, "machine": ""}
                for number, name in lines
            ]
        }


def test_a_host_name_stands_for_the_one_lease_that_has_it():
    assert _addresses(Listing("node70", "Node7"), "node7") == ["192.0.2.8"]
    assert _addresses(Listing(), "192.0.2.9") == ["192.0.2.9"]
    two = _addresses(Listing("node7", "node7"), "node7")
    assert "192.0.2.7, 192.0.2.8; say which" in _which("node7", two)


def test_what_is_no_address_is_told(site):
    assert "'node7' is no address" in bad(site.run("leases", "release", "node7"))
    assert '"subnet" must be a network' in bad(site.run("leases", "--subnet", "192.0.2.1/24"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("release",), "An ADDRESS is missing"),
        (("node7", "node8"), "'node8' is another"),
        (("--state", "x"), "invalid choice"),
        (("--state", "free", "--all"), "not allowed with"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told(site, words, told):
    assert told in bad(site.run("leases", *words), 2)


def test_help_has_examples_and_what_the_exit_status_means(capsys):
    with pytest.raises(SystemExit) as left:
        main(["leases", "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "netbootd leases release" in told.partition("examples:")[2]
    assert "exit status: 0" in told


def test_bash_completes_release(site):
    assert completed(site, "netbootd leases rel") == {"release"}
    assert good(site.run("completion", "leases")) == "release\n"
    assert "_netbootd_leases" in good(site.run("completion", "zsh"))
