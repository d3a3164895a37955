"""Values from files and credentials: who may read the file, and who sees the value."""

from __future__ import annotations

import os
import pickle

import pytest

from netbootd.custody import myself
from netbootd.errors import RenderError
from netbootd.secretvalues import (
    BadSecret,
    NoCredentials,
    Secrets,
    read_credential,
    read_file,
)

VALUE = "canary $6$salt"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "value"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o640, 0o440])
def test_a_file_of_ones_own_is_read_without_its_line_end(file, mode):
    file.chmod(mode)
    assert read_file(file, myself()) == VALUE


@pytest.mark.parametrize("mode", [0o650, 0o604, 0o660, 0o644, 0o620, 0o601])
def test_what_others_may_use_is_refused_with_what_to_do(file, mode):
    file.chmod(mode)
    with pytest.raises(BadSecret, match=f"chmod 0600 {file}"):
        read_file(file, myself())


def test_one_that_we_may_not_open_says_whose_it_must_be(file, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadSecret, match=f"user {myself().name} may not read {file}"):
        read_file(file, myself())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_elses_is_refused(file):
    os.chown(file, 4321, 0)
    with pytest.raises(BadSecret, match=f"user 4321, not to root .*: chown {myself().name} {file}"):
        read_file(file, myself())


def test_what_is_no_such_file_is_refused(file, tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(BadSecret, match=r"no regular file|Is a directory"):
            read_file(path, myself())
    with pytest.raises(BadSecret, match="No such file"):
        read_file(tmp_path / "none", myself())
    for raw, told in ((b"\n", "is empty"), (b"\xff", "not UTF-8"), (b"x" * 65537, "more than")):
        file.write_bytes(raw)
        with pytest.raises(BadSecret, match=told):
            read_file(file, myself())


def test_a_credential_is_what_systemd_gives(file, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(NoCredentials, match="LoadCredential=value:/etc/netbootd/value"):
        read_credential("value")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    file.chmod(0o440)  # systemd gives it to the unit's user by an ACL
    assert read_credential("value") == VALUE
    with pytest.raises(BadSecret, match="LoadCredential=none:"):
        read_credential("none")
    for name in ("", ".", "..", "../value", "a/b"):
        with pytest.raises(BadSecret, match="no name of a credential"):
            read_credential(name)


SECRETS = Secrets({"<secret:a>": VALUE, "<secret:none>": None})


def test_values_are_put_in_their_places_and_what_is_missing_is_not_there():
    found = {
        "a": "<secret:a>",
        "deep": {"list": ["<secret:a>", "x", "<secret:none>"], "gone": "<secret:none>"},
        "gone": "<secret:none>",
        "within": "x <secret:a>",
        "number": 1,
    }
    assert SECRETS.put_into(found) == {
        "a": VALUE,
        "deep": {"list": [VALUE, "x"]},
        "within": "x <secret:a>",
        "number": 1,
    }


def test_nothing_that_is_printed_of_them_has_a_value():
    assert "canary" not in f"{SECRETS} {SECRETS!r}"


def test_they_cross_to_another_process():
    crossed = pickle.loads(pickle.dumps(SECRETS))
    assert crossed == SECRETS
    assert crossed != Secrets({"<secret:a>": "another", "<secret:none>": None})


def test_an_error_keeps_its_line_and_not_its_words():
    told = str(SECRETS.silence(RenderError(f"ks.cfg.j2:12: no number: {VALUE}")))
    assert told.startswith("ks.cfg.j2:12: ")
    assert "canary" not in told
    assert "canary" not in str(SECRETS.silence(RenderError(VALUE)))
    problem = RenderError("ks.cfg.j2:12: no such name")
    assert Secrets().silence(problem) is problem
