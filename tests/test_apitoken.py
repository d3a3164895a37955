"""The API tokens' file."""

from __future__ import annotations

import os

import pytest

from netbootd.apitoken import NAME, PLAIN, Tokens, is_name, new, read, read_plain, write


def test_what_is_written_counts_and_cannot_be_read_out_of_the_file(tmp_path):
    file = tmp_path / "state" / NAME
    ops, ci = new(), new()
    write(file, Tokens().having("ops", ops).having("ci", ci))
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [NAME]
    assert ops not in file.read_text()
    tokens, plain = read(file)
    assert (tokens.name_of(ops), tokens.name_of(ci), plain) == ("ops", "ci", "")
    assert tokens.name_of(ops[:-1]) == tokens.name_of("") == ""
    digest = file.read_text().split("sha256:")[1].split()[0]
    assert tokens.name_of(digest) == tokens.name_of(f"sha256:{digest}") == ""


def test_a_token_has_256_bits_of_chance():
    assert len(new()) == 43
    assert new() != new()


def test_each_name_has_one_token_and_a_name_that_goes_takes_it_along(tmp_path):
    first, second = new(), new()
    tokens = Tokens().having("ops", first).having("ops", second)
    assert (tokens.name_of(first), tokens.name_of(second)) == ("", "ops")
    assert tokens.without("ops").name_of(second) == ""
    write(tmp_path / "t", tokens.without("ops"))
    assert read(tmp_path / "t") == (Tokens(), "")


@pytest.mark.parametrize("text", ["secret", "secret\n", "  secret \r\n"])
def test_a_line_in_plain_text_is_a_token(tmp_path, text):
    (tmp_path / "t").write_text(text)
    tokens, plain = read(tmp_path / "t")
    assert (tokens.name_of("secret"), plain) == (PLAIN, "secret")
    assert read_plain(tmp_path / "t") == "secret"


@pytest.mark.parametrize(
    "text", ["two words", "two\nlines", "ops sha256:12", f"ops sha256:{'0' * 64}\nplain"]
)
def test_what_holds_something_else_is_no_file_of_tokens(tmp_path, text):
    (tmp_path / "t").write_text(text)
    with pytest.raises(OSError, match="other lines than NAME sha256:DIGEST"):
        read(tmp_path / "t")


def test_of_digests_nothing_can_be_sent(tmp_path):
    write(tmp_path / "t", Tokens().having("ops", new()))
    with pytest.raises(OSError, match="only digests"):
        read_plain(tmp_path / "t")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file" / NAME, Tokens())


@pytest.mark.parametrize("name", ["", "a b", "a\n", "-a", "ä", "a" * 65, "a:b", "a\x1b[2J"])
def test_a_name_cannot_spoil_a_line_of_the_log(name):
    assert not is_name(name)
    assert is_name("ops.rack-1_x")
