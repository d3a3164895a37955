"""Tokens at rest: how they come to count, and what becomes of one in plain text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.logger import globalLogPublisher

from netbootd import apitoken
from netbootd.api.no import No
from netbootd.config import Config
from netbootd.http.keyring import Keyring

LONG = "a-token-of-an-earlier-version-of-netbootd-x"


@pytest.fixture
def said():
    lines = []

    def observe(event):
        lines.append(event.get("text", ""))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def config(tmp_path):
    return replace(Config(), state=tmp_path / "state")


@pytest.fixture
def file(config):
    config.state.mkdir()
    return config.state / apitoken.NAME


def test_a_token_in_plain_text_becomes_its_digest_and_goes_on_counting(config, file, said):
    file.write_text(LONG + "\n")
    for _ in range(2):
        keyring = Keyring()
        keyring.configured(config)
        assert keyring.tokens.name_of(LONG) == "admin"
    assert LONG not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(said) == 1
    assert "the digest alone from now on" in said[0]
    assert LONG not in said[0]


def test_one_that_may_be_found_by_trying_is_said_to_be_so(config, file, said):
    file.write_text("secret\n")
    keyring = Keyring()
    keyring.configured(config)
    assert keyring.tokens.name_of("secret") == "admin"
    assert "6 characters, which may be found by trying" in said[0]
    assert "secret" not in said[0]


def test_where_it_cannot_be_replaced_it_counts_all_the_same_and_that_is_said(
    config, file, said, monkeypatch
):
    file.write_text(LONG)

    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(apitoken, "write", read_only)
    keyring = Keyring()
    for _ in range(2):
        keyring.configured(config)
    assert keyring.tokens.name_of(LONG) == "admin"
    assert len(said) == 1
    assert "plain text, and cannot be written: Read-only file system" in said[0]


def test_the_file_of_an_admin_is_read_and_never_written(config, tmp_path, said):
    theirs = tmp_path / "theirs"
    theirs.write_text(LONG)
    keyring = Keyring()
    keyring.configured(replace(config, api_token=theirs))
    assert keyring.tokens.name_of(LONG) == "admin"
    assert theirs.read_text() == LONG
    assert "plain text, for whoever reads it" in said[0]
    for change in (lambda: keyring.make("ops"), lambda: keyring.remove("admin")):
        with pytest.raises(No, match="change it there"):
            change()
    assert theirs.read_text() == LONG


def test_a_token_that_was_made_counts_at_once_and_after_a_restart(config, said):
    keyring = Keyring()
    keyring.configured(config)
    assert "no API token was made yet" in said[0]
    token = keyring.make("ops")
    again = Keyring()
    again.configured(config)
    assert keyring.tokens.name_of(token) == again.tokens.name_of(token) == "ops"
    keyring.remove("ops")
    again.configured(config)
    assert keyring.tokens.name_of(token) == again.tokens.name_of(token) == ""


def test_lines_of_somebody_else_are_not_written_over(config, file):
    keyring = Keyring()
    keyring.configured(config)
    file.write_text("what is\nthis\n")
    with pytest.raises(No, match="nothing was changed"):
        keyring.make("ops")
    assert file.read_text() == "what is\nthis\n"


def test_a_disk_that_takes_nothing_leaves_the_tokens_as_they_are(config, monkeypatch):
    keyring = Keyring()
    keyring.configured(config)
    token = keyring.make("ops")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(No, match="nothing was changed"):
        keyring.make("ops")
    assert keyring.tokens.name_of(token) == "ops"
