"""Who may have a file with a secret: root's check and the daemon's user say the same of each."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import signed
from tests.users import NOBODY, SERVICE, with_users

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")

MAC = "52:54:00:00:00:01"
SITE = Path("/mnt")  # everybody may come there, in a view of the host of its own
#: Each case: a command that root types, then what ``check`` says to root and to the daemon's user,
#: then the same when the line was typed that root was told.
CODE = """
import json, os, subprocess, sys
from pathlib import Path
from netbootd.check import check

def told(uid, gid):
    reading, writing = os.pipe()
    if os.fork() == 0:
        if uid:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        found = [one.as_dict() for one in check(Path("/mnt/netbootd.json")).findings]
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    with open(reading) as opened:
        return [one for one in json.load(opened) if "chmod" in one["text"]]

user = json.loads(sys.argv[1])
check(Path("/mnt/netbootd.json"))  # imports all, which the user may be kept out of
for command in json.loads(sys.argv[2]):
    subprocess.run(["sh", "-ec", command], check=True)
    both = told(0, 0), told(*user)
    if both[0]:
        line = both[0][0]["text"].rpartition(": ")[2]
        subprocess.run(["sh", "-ec", line], check=True)
    print(json.dumps([both, (told(0, 0), told(*user))]))
"""


@pytest.fixture
def judged(tmp_path):
    """What is said in each case, to root and to the user, before and after the advice is taken."""

    def judge(user, *commands, service, settings=None, names=("secret_file", "secrets/value")):
        site = tmp_path / "site"
        (site / "secrets").mkdir(parents=True)
        (site / "machines.d").mkdir()
        (site / "machines.d" / "one.json").write_text("{}")
        (site / "secrets" / "value").write_text("canary")
        signed("server", "192.0.2.1").write(site / "secrets" / "pem")
        for one in (site, *site.rglob("*")):
            one.chmod(0o755 if one.is_dir() else 0o644)
        (site / "secrets" / "value").chmod(0o600)
        os.chown(site / "secrets" / "value", *user)
        machine = {"type": "localboot", "name": "disk", "pw": dict([names])}
        config = {
            "targets": {"localboot": {"disk": {}}},
            "machines": {MAC: machine},
            "netbootd": {"state": "/mnt/state", "files": "/mnt", **(settings or {})},
        }
        (site / "netbootd.json").write_text(json.dumps(config))
        words = [CODE, json.dumps(user), json.dumps(commands)]
        argv = [sys.executable, "-c", *words]
        mounts = [f"mount --bind {site} {SITE}"]
        done = subprocess.run(
            with_users(tmp_path, argv, service=service, before=mounts),
            capture_output=True,
            text=True,
            timeout=120,
            cwd=Path(__file__).parents[1],
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return judge


def owned(owner, mode, file="secrets/value"):
    return f"chown {owner} {SITE}/{file}; chmod {mode} {SITE}/{file}"


def line_of(text):
    return text.rpartition(": ")[2]


def assert_same(told):
    """One finding each, with the same line, and no number for a name; nothing after it is typed."""
    (roots, users), after = told
    assert len(roots) == len(users) == 1, told
    assert line_of(roots[0]["text"]) == line_of(users[0]["text"])
    assert after == [[], []]
    assert not re.search(r"65534|64999", roots[0]["text"] + users[0]["text"])
    return roots[0], users[0]


FINE = [("netbootd:netbootd", "0600"), ("netbootd:netbootd", "0440"), ("root:netbootd", "0640")]
MENDED = f"chown root:netbootd {SITE}/secrets/value && chmod 0640 {SITE}/secrets/value"


def test_of_the_services_files_root_says_what_its_user_says(judged):
    told = judged(SERVICE, *(owned(*one) for one in FINE), service=True)
    assert told == [[[[], []], [[], []]]] * len(FINE)


#: Owner and group, mode, and how it is told to root and to the user.
REFUSED = [
    ("root:root", "0600", "user netbootd cannot read", "user netbootd cannot read"),
    ("root:users", "0640", "group users may use", "user netbootd cannot read"),
    ("netbootd:netbootd", "0660", "group netbootd may use", "group netbootd may use"),
    ("daemon:root", "0600", "belongs to user daemon", "user netbootd cannot read"),
    ("nobody:root", "0644", "belongs to another user", "belongs to another user"),
]


def test_what_the_service_does_not_take_root_is_told_with_the_line_that_mends_it(judged):
    cases = judged(SERVICE, *(owned(*one[:2]) for one in REFUSED), service=True)
    for told, (*_, to_root, to_user) in zip(cases, REFUSED, strict=True):
        for one, words in zip(assert_same(told), (to_root, to_user), strict=True):
            assert words in one["text"]
            assert line_of(one["text"]) == MENDED
            assert (one["code"], one["level"]) == ("secret-unreadable", "error")


def test_without_a_service_it_is_the_user_that_is_named(judged):
    """What root starts reads a file of root's, and says that its user does not."""
    settings = {"user": "nobody"}
    commands = (owned("root:root", "0600"), owned("daemon:root", "0600"))
    cases = judged(NOBODY, *commands, service=False, settings=settings)
    for told, level in zip(cases, ("warning", "error"), strict=True):
        for one in assert_same(told):
            assert line_of(one["text"]).startswith(f"chown nobody {SITE}/secrets/value && chmod")
        assert told[0][0][0]["level"] == level


def test_a_folder_that_keeps_the_user_out_is_named(judged):
    """By a link that leads there as well."""
    command = f"chmod 0700 {SITE}/secrets; ln -s secrets/value {SITE}/link"
    (told,) = judged(SERVICE, command, service=True, names=("secret_file", "link"))
    for one in assert_same(told):
        assert one["text"] == (
            f"user netbootd cannot enter {SITE}/secrets, where {SITE}/secrets/value lies: chgrp"
            f" netbootd {SITE}/secrets && chmod g+rx {SITE}/secrets"
        )


def test_so_it_is_with_drop_ins_and_the_key_of_https(judged):
    tls = {"tls": {"certificate": "secrets/pem"}}
    drop_in, key = (
        owned("root:root", "0600", "machines.d/one.json"),
        owned("root:root", "0600", "secrets/pem"),
    )
    commands = (owned("root:netbootd", "0640", "secrets/pem"), drop_in, key)
    clean, of_drop_in, of_key = judged(SERVICE, *commands, service=True, settings=tls)
    certificates = [one for one in clean[0][0] if "cannot read" in one["text"]]
    assert not certificates
    (roots, users), _ = of_drop_in
    assert_named(roots, users, "machines.d/one.json", "file-read")
    (roots, users), _ = of_key
    assert_named(roots, users, "secrets/pem", "tls-certificate")


def assert_named(roots, users, file, code):
    for found in (roots, users):
        (one,) = [one for one in found if "user netbootd cannot read" in one["text"]]
        assert one["code"] == code
        assert f"chown root:netbootd {SITE}/{file} && chmod 0640 {SITE}/{file}" in one["text"]
