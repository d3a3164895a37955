from __future__ import annotations

from netbootd.logbook import files

from .lines import NOON


def test_an_identity_is_a_moment_a_person_can_read():
    assert files.new_identity(NOON + 0.1234) == "20261121T120000.123Z"


def test_identities_only_grow():
    first = files.new_identity(NOON)
    assert files.new_identity(NOON, first) == "20261121T120000.001Z"
    assert files.new_identity(NOON - 1e6, "20261121T235959.999Z") == "20261122T000000.000Z"


def test_only_files_of_the_log_count(tmp_path):
    for name in (
        "netbootd-20261121T120000.123Z.jsonl",
        "netbootd-20261121T120000.123Z.jsonl.gz",
        "netbootd-20261121T120000.124Z.jsonl.gz",
        "netbootd-20261121T120000.125Z.jsonl.gz.part",
        "index.sqlite",
        "netbootd-x.jsonl",
    ):
        (tmp_path / name).touch()
    assert files.identities(tmp_path) == ["20261121T120000.123Z", "20261121T120000.124Z"]
    assert files.identities(tmp_path / "none") == []
