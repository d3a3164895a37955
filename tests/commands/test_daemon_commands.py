"""The commands as an admin types them, against a real daemon on its Unix socket and over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from netbootd import apitoken
from netbootd.cli import main
from tests.end_to_end.process import ROOT

from .daemons import HANDMADE, NETBOOTD, NODE, Site, until

OTHER, THIRD = "00:25:90:27:db:b5", "00:25:90:27:db:b6"
#: What has booted is remembered: each is of one test alone, and the last one never does.
BOOTED, UP, TALKS, DARK = (f"00:25:90:27:db:c{number}" for number in range(4))


@pytest.fixture(autouse=True)
def as_at_the_start(site):
    """Each test finds the hand-written machine alone."""
    before = site.file.read_text()
    yield
    added = list(site.folder.glob("machines.d/*"))
    for file in added:
        file.unlink()
    if added or site.file.read_text() != before:
        site.file.write_text(before)
        site.run("reload")


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def bad(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr
    return done.stderr


def keys(site: Site) -> list[str]:
    found = json.loads(good(site.run("machines", "list", "--json")))
    return [machine["key"] for machine in found["machines"] if machine["known"]]


# -- machines --------------------------------------------------------------------------------------


def test_a_machine_is_added_to_a_group_by_one_short_command(site):
    told = good(site.run("machines", "add", OTHER, "--group", "rack1"))
    assert told == f"{OTHER} is added: boots localboot/disk, of rack1\n"
    assert re.search(rf"^{OTHER} +{OTHER} +unknown +localboot/disk +rack1",
                     good(site.run("machines")), re.MULTILINE)  # fmt: skip
    [file] = site.folder.glob("machines.d/managed-*.json")
    text = file.read_text()
    assert re.match(r"# Written by netbootd for \w+ at 20\d\d-\d\d-\d\dT.* by command", text)
    assert good(site.run("check", str(site.file)))


@pytest.mark.parametrize(
    "words",
    [
        (OTHER, "--group", "rack1", "hostname=node8", "vars.disk=/dev/sda"),
        ("--group", "rack1", OTHER, "hostname=node8", "vars.disk=/dev/sda"),
        (OTHER.upper().replace(":", "-"), "hostname=node8", "vars.disk=/dev/sda", "--group=rack1"),
    ],
    ids=["between", "before", "behind"],
)
def test_keys_of_the_entry_stand_anywhere_behind_the_mac(site, words):
    good(site.run("machines", "add", *words))
    [found] = json.loads(good(site.run("machines", "list", "node8", "--json")))["machines"]
    assert (found["key"], found["hostname"], found["groups"]) == (OTHER, "node8", ["rack1"])
    text = next(site.folder.glob("machines.d/*")).read_text()
    assert '"disk" : "/dev/sda"' in text


@pytest.mark.parametrize("word", ["NaN", "Infinity", "1e999"])
def test_what_is_no_json_after_all_is_text(site, word):
    good(site.run("machines", "set", "node7", f"vars.disk={word}"))
    [file] = site.folder.glob("machines.d/managed-*.json")
    assert f'"disk" : "{word}"' in file.read_text()


def test_a_typing_error_in_a_mac_is_pointed_at_and_nobody_is_asked(site):
    told = bad(site.run("machines", "add", "00:25:90:27:db:g4", "--group", "rack1"), 2)
    assert "column 16: 'g' is no hexadecimal digit\n" in told
    assert told.endswith("  00:25:90:27:db:g4\n                 ^\n")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("add", OTHER, "--group", "rack9"), 1, 'no group "rack9"; did you mean "rack1"?'),
        (("add", OTHER, "--target", "nfs/two"), 1, "two"),
        (("add", OTHER, "--target", "nfs"), 2, "a type and a name"),
        (("add", NODE, "--group", "rack1"), 1, NODE),
        (("add", OTHER, "hostname"), 2, "no KEY=VALUE"),
        (("add", OTHER, "a.b=1", "a=2", "a.c=3"), 2, "leads into"),
        (("add", OTHER, "a..b=1"), 2, "is no key"),
        (("add",), 2, "a MAC, or --unknown"),
        (("add", "ff:ff:ff:ff:ff:ff"), 2, "broadcast"),
        (("add", "--unknown"), 1, "nobody asked"),
        (("set", "node7"), 2, "nothing to change"),
        (("set", "no\x1bde", "a=1"), 2, "no name of a machine"),
        (("set", "node9", "a=1"), 1, 'did you mean "node7"'),
        (("remove", "node9"), 1, 'did you mean "node7"'),
        (("remove", "00:25:90:27:dbb:4"), 2, "column 15"),
        (("remove", NODE), 1, "netbootd.json:1"),
        (("list", "--state", "asleep"), 2, "invalid choice"),
        (("import", "none.csv"), 1, "No such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_changes_nothing(site, words, status, told):
    before = site.file.read_text()
    assert told in bad(site.run("machines", *words), status)
    assert keys(site) == [NODE]
    assert site.file.read_text() == before
    assert not list(site.folder.glob("machines.d/*.json"))


def test_a_hand_written_machine_is_changed_beside_its_file(site):
    before = site.file.read_text()
    told = good(site.run("machines", "set", "node7", "--target", "localboot/disk", "vars.a=1"))
    assert "boots localboot/disk" in told
    assert site.file.read_text() == before
    good(site.run("machines", "set", "node7", "hostname=null"))
    [found] = json.loads(good(site.run("machines", "list", "--json")))["machines"]
    assert found["hostname"] == ""
    told = good(site.run("machines", "remove", NODE))  # the hand-written one is back
    assert "(node7) is as it is written by hand again, at" in told
    assert "netbootd.json:1" in told
    [found] = json.loads(good(site.run("machines", "list", "--json")))["machines"]
    assert (found["hostname"], found["target"]) == ("node7", "nfs/one")


def test_a_table_is_tried_first_and_taken_whole_or_not_at_all(site, tmp_path):
    table = f"mac,type,name,hostname,vars.disk\n{OTHER},nfs,one,n1,/dev/sda\n{THIRD},nfs,one,n2,\n"
    (tmp_path / "a.csv").write_text(table)
    words = ("machines", "import", str(tmp_path / "a.csv"))
    assert good(site.run(*words, "--dry-run")).startswith("2 would be added")
    assert keys(site) == [NODE]
    assert good(site.run(*words)).startswith("2 added, 0 changed")
    assert keys(site) == [NODE, OTHER, THIRD]
    assert good(site.run("machines", "import", "-", text=table)).startswith("0 added, 0 changed, 2")
    told = bad(site.run("machines", "import", "-", text="mac,type,name\nxx,nfs,one\n"))
    assert "row 2" in told or ":2" in told


def test_names_alone_are_for_scripts(site):
    assert good(site.run("machines", "list", "--names")) == f"{NODE}\nnode7\n"


# -- boots -----------------------------------------------------------------------------------------


def test_a_boot_is_told_step_by_step(site):
    good(site.run("machines", "add", BOOTED, "--target", "nfs/one", "hostname=boots"))
    site.boots(BOOTED, f"/{BOOTED.replace(':', '-')}/k")
    told = until(
        lambda: (found := site.run("timeline", "boots").stdout) and "kernel" in found and found
    )
    assert f"{BOOTED}  boot " in told
    assert re.search(r"script +- +/boot/", told)
    assert re.search(r"kernel +6\.0 kB", told)
    boot = json.loads(good(site.run("timeline", "boots", "--json")))["boot"]
    listed = good(site.run("timeline", "boots", "--list"))
    assert re.search(rf"^{boot['number']} .*under way", listed, re.MULTILINE)
    one = json.loads(good(site.run("timeline", "boots", "--boot", str(boot["number"]), "--json")))
    assert one["boot"]["number"] == boot["number"]
    assert "there is no boot 4711" in bad(site.run("timeline", "boots", "--boot", "4711"))


def test_why_says_what_is_missing_and_its_status_says_that_something_is(site):
    good(site.run("machines", "add", DARK, "--target", "nfs/one"))
    done = site.run("why", DARK)
    assert done.returncode == 1
    assert "never seen" in done.stdout
    assert re.search(r"^1\. \(\d+ %\) ", done.stdout, re.MULTILINE)
    said = json.loads(site.run("why", DARK, "--json").stdout)
    assert said["machine"] == DARK
    assert said["causes"]


def test_why_of_a_machine_with_nothing_wrong_is_status_0(site):
    good(site.run("machines", "add", UP, "--target", "nfs/one", "hostname=up"))
    site.boots(UP, "/k", "/i")
    assert site.run("why", "up").returncode == 0


def test_logs_are_the_lines_of_the_node_and_of_its_boot(site):
    good(
        site.run("machines", "add", TALKS, "--target", "nfs/one", "hostname=talks", "ip=127.0.0.1")
    )
    site.boots(TALKS)
    site.logs("hello\x1b[2J from the node", severity=3)
    told = until(lambda: "hello" in (found := site.run("logs", "talks").stdout) and found)
    line = next(line for line in told.splitlines() if "hello" in line)
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} demo error: hello\\x1b\[2J from the node$", line)
    [document] = [
        json.loads(one) for one in site.run("logs", "talks", "--json", "-n1").stdout.splitlines()
    ]
    assert document["log"]["level"] == "error"


def test_more_lines_than_there_are_at_once_are_a_wrong_command_line(site):
    assert "1 to 5000" in bad(site.run("logs", "node7", "-n", "5001"), 2)


@pytest.mark.slow
def test_logs_go_on_over_a_restart_of_the_daemon(tmp_path):
    site = Site(tmp_path)
    site.start()
    follower = None
    try:
        good(site.run("machines", "set", "node7", "ip=127.0.0.1"))
        site.logs("line one")
        until(lambda: "line one" in site.run("logs", "node7").stdout)
        follower = site.spawn("logs", "node7", "-f")
        follower.wait_for("line one", 20)
        site.logs("line two")
        follower.wait_for("line two", 20)
        site.stop()
        follower.wait_for("netbootd is away", 20)
        site.start()
        follower.wait_for("netbootd is back", 20)
        site.logs("line three")
        follower.wait_for("line three", 20)
        assert all(follower.text.count(f"line {word}") == 1 for word in ("one", "two", "three"))
    finally:
        if follower is not None:
            follower.close()
        site.stop()


# -- orders ----------------------------------------------------------------------------------------


def test_a_boot_is_armed_and_taken_back_over_the_socket(site):
    told = good(site.run("next", "node7", "localboot/disk", "--times", "2", "--until", "+2h"))
    assert re.fullmatch(rf"{NODE} \(node7\) boots localboot/disk next, 2 times, before .*\n", told)
    assert "next: localboot/disk, 2 times" in good(site.run("machines"))
    assert "nothing is armed any more" in good(site.run("next", "node7", "--cancel"))
    assert "nothing is armed\n" in good(site.run("next", "node7", "--cancel"))
    told = bad(site.run("next", "node7", "localboot/dsk"))
    assert "target localboot/dsk does not exist; there are: localboot/disk\n" in told
    assert "is not held" in good(site.run("release", NODE))
    assert good(site.run("release", "all")) == "may boot again: nobody\n"
    machine = json.loads(good(site.run("next", NODE, "localboot/disk", "--json")))
    assert machine["armed"]["target"] == "localboot/disk"
    good(site.run("next", NODE, "--cancel"))


@pytest.mark.slow
def test_orders_wait_for_a_daemon_that_does_not_run(tmp_path):
    site = Site(tmp_path)
    site.start()
    site.stop()
    told = good(site.run("next", NODE, "localboot/disk"))
    assert "no daemon has taken the order yet" in told
    site.start()
    try:
        until(lambda: "next: localboot/disk" in site.run("machines").stdout)
    finally:
        site.stop()


# -- the daemon ------------------------------------------------------------------------------------


def test_a_reload_tells_what_changed_and_what_keeps_it_out(site):
    site.write({**HANDMADE, "machines": {**HANDMADE["machines"], OTHER: {"group": "rack1"}}})
    assert "generation" in good(site.run("reload"))
    assert keys(site) == [NODE, OTHER]
    site.file.write_text(site.file.read_text().replace('"groups":', '"groups" oops', 1))
    told = bad(site.run("reload"))
    assert "netbootd.json:1" in told
    assert told.count("json-syntax") == 1
    assert told.splitlines()[-1].startswith("netbootd: reload refused")
    error = json.loads(site.run("reload", "--json").stdout)["error"]
    assert error["findings"]
    assert keys(site) == [NODE, OTHER]


def test_a_slip_of_the_fingers_in_a_mac_takes_no_machine_away(site):
    site.write({**HANDMADE, "machines": {"00:25:90:27:dg:b4": HANDMADE["machines"][NODE]}})
    told = bad(site.run("reload"))
    assert re.search(r"netbootd\.json:1:\d+: error: .*column 14: 'g' is no hexadecimal digit", told)
    assert keys(site) == [NODE]
    assert "column 14" in good(site.run("status"))
    site.write(HANDMADE)
    assert "generation" in good(site.run("reload"))


def test_a_slip_of_the_fingers_in_a_mac_keeps_no_other_from_booting_at_the_start(tmp_path):
    site = Site(tmp_path)
    slip = {"00:25:90:27:dg:b5": HANDMADE["machines"][NODE]}
    site.write({**HANDMADE, "machines": {**HANDMADE["machines"], **slip}})
    try:
        site.start()
        assert "error: mac-invalid" in site.daemon.text
        assert keys(site) == [NODE]
    finally:
        site.stop()


def test_a_placeholder_that_nothing_defines_keeps_a_reload_out(site):
    targets = {"nfs": {"one": {"kernel": "k", "boot_args": "root=/dev/nfs x=__nothere__"}}}
    site.write({**HANDMADE, "targets": {**HANDMADE["targets"], **targets}})
    assert "__nothere__ has no value" in bad(site.run("reload"))
    assert "reload refused" in site.daemon.text
    site.write(HANDMADE)
    assert "generation" in good(site.run("reload"))


def test_a_reload_tells_the_errors_that_stand_also_when_it_changes_nothing(site):
    assert "stand" not in good(site.run("reload"))
    broken = {NODE: {"type": "nfs", "name": "onne"}, OTHER: {"type": "nfs", "name": "onne"}}
    site.write({**HANDMADE, "machines": broken})
    site.run("reload")
    changed, stand, *errors = good(site.run("reload")).splitlines()
    assert "0 changed; generation" in changed
    assert stand == "2 errors stand:"
    assert len(errors) == 2
    assert all(re.search(r"netbootd\.json:1:\d+: target error: ", one) for one in errors)
    assert all('no target "onne"' in one for one in errors)


def test_status_has_what_everybody_may_see_and_more(site):
    told = good(site.run("status"))
    assert re.search(r"^generation +\d+$", told, re.MULTILINE)
    assert re.search(r"^counts\.\w+ +\d+$", told, re.MULTILINE)
    assert "now" not in told.split()
    assert json.loads(good(site.run("status", "--json")))["machines"] == 1
    public = good(site.run("status", "--url", f"http://127.0.0.1:{site.http}"))
    assert "generation" in public
    assert "counts" not in public


def test_over_http_the_token_opens_and_another_does_not(site, tmp_path):
    url = ("--url", f"http://127.0.0.1:{site.http}")
    (tmp_path / "right").write_text(good(site.run("token", "new", "ops")))
    right = ("--token-file", str(tmp_path / "right"))
    assert "node7" in good(site.run("machines", "list", *url, *right))
    told = bad(site.run("machines", "list", *url))
    assert "only digests" in told
    (tmp_path / "wrong").write_text("guess\n")
    told = bad(site.run("machines", "list", *url, "--token-file", str(tmp_path / "wrong")))
    assert "not an API token" in told


def test_options_of_machines_count_for_what_is_below_it(site):
    assert json.loads(good(site.run("machines", "--json", "list")))["machines"]
    assert json.loads(good(site.run("machines", "--json")))["machines"]
    told = bad(site.run("machines", "--config", str(site.folder / "elsewhere.json"), "unknown"))
    assert "api.sock is not there" in told


def test_the_page_has_an_address_with_its_key(site):
    told = good(site.run("ui"))
    here = f"http://127.0.0.1:{site.http}"
    assert told.startswith(f"{here}/ui/#token=")
    assert good(site.run("ui", "--url", "https://boot/")).startswith("https://boot/ui/#token=")
    key = told.strip().partition("=")[2]
    asking = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST")
    asking += ("-H", f"Authorization: Bearer {key}", f"{here}/api/v1/session")
    tries = [subprocess.run(asking, capture_output=True, text=True).stdout for _ in range(2)]
    assert tries[0] == "204"
    assert tries[1] in ("401", "503")


def test_tokens_are_made_listed_and_taken_back(site):
    token = good(site.run("token", "new", "ops")).strip()
    file = site.folder / "state" / "api.token"
    assert (len(token), file.stat().st_mode & 0o777) == (43, 0o600)
    assert token not in file.read_text()
    assert json.loads(good(site.run("token", "--json"))) == {"tokens": ["ops"]}
    assert good(site.run("token", "new", "ops")).strip() != token
    assert good(site.run("token", "remove", "ops")) == "ops counts no more\n"
    assert "there is no API token" in site.run("token").stderr
    assert "no API token 'ops'" in bad(site.run("token", "remove", "ops"))
    assert "letters, digits" in bad(site.run("token", "new", "no blanks"))


def test_a_token_for_a_file_of_the_admin_s_is_printed_with_its_line(site, tmp_path):
    file = tmp_path / "tokens"
    (tmp_path / "c.json").write_text(json.dumps({"netbootd": {"api_token": str(file)}}))
    made = site.run("token", "new", "ops", "--config", str(tmp_path / "c.json"))
    line = made.stderr.splitlines()[-1].removeprefix("netbootd: ")
    file.write_text(line + "\n")
    assert apitoken.read(file)[0].name_of(made.stdout.strip()) == "ops"


@pytest.mark.parametrize(
    "words",
    [["machines"], ["why", NODE], ["timeline", NODE], ["logs", NODE], ["logs", "-f", NODE],
     ["watch"], ["reload"], ["machines", "unknown"]],
    ids=" ".join,
)  # fmt: skip
def test_without_a_daemon_one_line_says_so(tmp_path, words):
    (tmp_path / "c.json").write_text(json.dumps({"netbootd": {"state": str(tmp_path)}}))
    environment = {**os.environ, "NETBOOTD_CONFIG": str(tmp_path / "c.json")}
    done = subprocess.run(
        [*NETBOOTD, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "is not there: is netbootd running" in done.stderr


# -- help and completion ---------------------------------------------------------------------------

_OVER_THE_API = ["machines", "timeline", "why", "logs", "watch", "reload", "status", "next",
                 "release", "ui", "completion", "replay", "machines add", "machines set",
                 "machines remove", "machines import", "machines list", "machines unknown"]  # fmt: skip


@pytest.mark.parametrize("command", _OVER_THE_API)
def test_help_has_examples_and_what_the_exit_status_means(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command.split(), "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "examples:" in told
    assert f"netbootd {command}" in told.partition("examples:")[2]
    assert "exit status: 0" in told


def completed(site: Site, line: str) -> set[str]:
    """What bash offers for *line*, whose last word is under way."""
    script = good(site.run("completion", "bash"))
    words = line.split(" ")
    program = f"""
netbootd() {{ {" ".join(NETBOOTD)} "$@"; }}
{script}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
COMP_LINE='{line}'; COMP_POINT={len(line)}
_shtab_netbootd netbootd '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = {**os.environ, "NETBOOTD_CONFIG": str(site.file)}
    done = subprocess.run(
        ["bash", "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_bash_completes_commands_machines_and_targets(site):
    assert {"why", "watch"} <= completed(site, "netbootd w")
    assert completed(site, "netbootd why no") == {"node7"}
    assert NODE.replace(":", "-") in completed(site, "netbootd timeline 00")
    assert completed(site, "netbootd next node7 loc") == {"localboot/disk"}
    assert {"add", "import"} <= completed(site, "netbootd machines ")


def test_zsh_gets_a_script_as_well(site):
    told = good(site.run("completion", "zsh"))
    assert told.startswith("#compdef netbootd")
    assert "_netbootd_machines" in told
