"""The API token's file."""

from __future__ import annotations

import os

import pytest

from netbootd.apitoken import NAME, read, read_or_make


def test_a_missing_one_is_made_once_and_for_its_owner_only(tmp_path):
    file = tmp_path / "state" / NAME
    token = read_or_make(file)
    assert len(token) > 40
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_make(file) == read(file) == token
    assert os.listdir(file.parent) == [NAME]
    file.unlink()
    assert read_or_make(file) != token


@pytest.mark.parametrize("text", ["secret", "secret\n", "  secret \r\n"])
def test_the_token_is_the_line(tmp_path, text):
    (tmp_path / "t").write_text(text)
    assert read(tmp_path / "t") == "secret"


@pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines"])
def test_what_holds_no_token_is_no_token_file(tmp_path, text):
    (tmp_path / "t").write_text(text)
    with pytest.raises(OSError, match="one line"):
        read_or_make(tmp_path / "t")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        read_or_make(tmp_path / "file" / NAME)
