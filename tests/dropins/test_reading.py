"""Which file wins, what is said about files that cannot be used, and what to watch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netbootd.dropins.reading import read, survey
from netbootd.errors import Level

from .conftest import codes, errors, from_where, refused, vms, write

SAMPLES = Path(__file__).parents[1] / "samples"


# --- precedence ----------------------------------------------------------------------------------


def test_one_file_is_one_layer(folder):
    layers = read(write(folder, {"netbootd.json": {"machines": {"default": {"name": "x"}}}}))
    ((key, value, owner),) = layers.entries("machines")
    assert (key, value) == ("default", {"name": "x"})
    assert owner.place_of(key).file == str(folder / "netbootd.json")
    assert not layers.findings


def test_a_later_drop_in_wins_over_an_earlier_one_and_all_over_the_main_file(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": vms("main", "b", "c"),
                "machines.d/10-b.json": vms("b", "c", "d"),
                "machines.d/9-c.json": vms("c", "d"),
            },
        )
    )
    assert from_where(layers, "vms") == {
        "main": "netbootd.json",
        "b": "10-b.json",
        "c": "9-c.json",
        "d": "9-c.json",
    }
    assert [Path(file).name for file in layers.documents] == [
        "9-c.json",
        "10-b.json",
        "netbootd.json",
    ]


def test_the_main_file_wins_over_its_includes_and_an_earlier_include_over_a_later(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": {"includes": ["one.json", "more/*.json"], **vms("a")},
                "one.json": vms("a", "b"),
                "more/x.json": vms("a", "b", "c"),
                "more/y.json": vms("c", "d"),
            },
        )
    )
    assert from_where(layers, "vms") == {
        "a": "netbootd.json",
        "b": "one.json",
        "c": "x.json",
        "d": "y.json",
    }


def test_included_files_include_from_their_own_folder_and_come_before_the_next(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": {"includes": ["site/first.json", "second.json"]},
                "site/first.json": {"includes": ["deep.json"]},
                "site/deep.json": vms("a"),
                "second.json": vms("a"),
            },
        )
    )
    assert from_where(layers, "vms") == {"a": "deep.json"}
    assert len(layers.documents) == 4


def test_a_drop_in_may_include_and_carries_it_above_the_main_file(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": vms("a"),
                "machines.d/x.json": {"includes": ["../common.json"]},
                "common.json": vms("a"),
            },
        )
    )
    assert from_where(layers, "vms") == {"a": "common.json"}


def test_an_absolute_pattern_is_taken_as_it_is(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, {"a.json": vms("a")})
    main = write(folder, {"netbootd.json": {"includes": [f"{elsewhere}/*.json"]}})
    assert from_where(read(main), "vms") == {"a": "a.json"}


def test_a_file_included_twice_counts_where_it_is_named_first(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": {"includes": ["a.json", "b.json", "./a.json"]},
                "a.json": {"includes": ["b.json"]},
                "b.json": vms("x"),
            },
        )
    )
    assert [Path(file).name for file in layers.documents] == ["netbootd.json", "a.json", "b.json"]
    assert not layers.findings


def test_hidden_and_foreign_files_are_no_drop_ins(folder):
    names = [".hidden.json", ".#edited.json", "old.json~", "README", "x.json.example", "json"]
    layers = read(
        write(folder, {"netbootd.json": {}, **{f"machines.d/{name}": "no JSON" for name in names}})
    )
    assert len(layers.documents) == 1


def test_a_folder_of_drop_ins_is_not_needed(tmp_path):
    assert read(write(tmp_path, {"netbootd.json": {}})).documents


def test_many_files_in_a_chain_are_no_matter(folder):
    files = {f"{i}.json": {"includes": [f"{i + 1}.json"]} for i in range(400)}
    main = write(folder, {**files, "400.json": {}, "netbootd.json": {"includes": ["0.json"]}})
    assert len(read(main).documents) == 402


# --- what is wrong -------------------------------------------------------------------------------


def test_every_file_is_read_before_any_is_refused(folder):
    main = write(
        folder,
        {
            "netbootd.json": '\ufeff{"includes":["i.json", "none.json"], "a":1, "a":2}',
            "i.json": '{"x" 1}',
            "machines.d/a.json": "{,}",
            "machines.d/b.json": '{"targets":[]}',
            "machines.d/c.json": "[\n",
            "machines.d/d.json": "# nothing",
        },
    )
    told = {(finding.code, Path(finding.place.file).name) for finding in refused(main)}
    assert told == {
        ("json-syntax", "a.json"),
        ("section-type", "b.json"),
        ("json-syntax", "c.json"),
        ("json-syntax", "d.json"),
        ("json-syntax", "i.json"),
        ("json-bom", "netbootd.json"),
        ("json-duplicate-key", "netbootd.json"),
        ("include-empty", "netbootd.json"),
        ("unknown-section", "netbootd.json"),
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [("[]", "an array"), ("null", "null"), ("# c\n 1", "a number"), ('"x"', "a string")],
)
def test_a_document_that_is_no_object_is_an_error(folder, text, word):
    (finding,) = errors(write(folder, {"netbootd.json": text}))
    assert finding.code == "top-not-object"
    assert word in finding.text
    assert finding.place.line == text.count("\n") + 1


def test_a_missing_main_file_is_an_error_with_the_systems_reason(folder):
    (finding,) = errors(folder / "netbootd.json")
    assert finding.code == "file-read"
    assert str(finding) == f"{folder}/netbootd.json: error: file-read: " + (
        "cannot be read: No such file or directory"
    )


def test_a_directory_is_no_file(folder):
    (folder / "machines.d" / "old.json").mkdir()
    (finding,) = errors(write(folder, {"netbootd.json": {}}))
    assert finding.code == "file-read"
    assert "Is a directory" in finding.text
    assert finding.place.file.endswith("machines.d/old.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_an_error(folder):
    main = write(folder, {"netbootd.json": {}})
    main.chmod(0)
    (finding,) = errors(main)
    assert "Permission denied" in finding.text


def test_a_drop_in_that_vanishes_between_listing_and_reading_is_an_error(folder):
    (folder / "machines.d" / "gone.json").symlink_to("nowhere")
    (finding,) = errors(write(folder, {"netbootd.json": {}}))
    assert finding.code == "file-read"
    assert "No such file" in finding.text
    assert finding.place.file.endswith("machines.d/gone.json")


def test_a_folder_of_drop_ins_that_is_a_file_is_an_error(tmp_path):
    (finding,) = errors(write(tmp_path, {"netbootd.json": {}, "machines.d": "x"}))
    assert (finding.code, finding.place.file) == ("file-read", str(tmp_path / "machines.d"))


def test_an_included_file_that_cannot_be_read_names_who_wants_it(folder):
    (folder / "i.json").mkdir()
    (finding,) = errors(write(folder, {"netbootd.json": {"includes": ["i.json"]}}))
    assert f"included at {folder}/netbootd.json:1:15" in finding.text


@pytest.mark.parametrize("pattern", ["none.json", "none/*.json", "*.conf", "", "a\0b", "\0/*"])
def test_a_pattern_that_matches_nothing_is_a_warning(folder, pattern):
    layers = read(write(folder, {"netbootd.json": {"includes": [pattern]}}))
    (finding,) = layers.findings
    assert (finding.code, finding.level) == ("include-empty", Level.WARNING)
    assert (str(finding.place), finding.path) == (f"{folder}/netbootd.json:1:15", "includes[0]")


def test_a_circle_of_includes_is_an_error_that_shows_it(folder):
    main = write(
        folder,
        {
            "netbootd.json": {"includes": ["a.json"]},
            "a.json": {"includes": ["sub/b.json"]},
            "sub/b.json": {"includes": ["../a.json"]},
        },
    )
    (finding,) = errors(main)
    assert finding.code == "include-cycle"
    assert finding.text.endswith(
        f"{folder}/netbootd.json -> {folder}/a.json -> {folder}/sub/b.json -> {folder}/sub/../a.json"
    )
    assert str(finding.place) == f"{folder}/sub/b.json:1:15"


def test_a_file_that_includes_itself_by_another_name_is_a_circle(folder):
    (folder / "other.json").symlink_to("netbootd.json")
    (finding,) = errors(write(folder, {"netbootd.json": {"includes": ["other.json"]}}))
    assert finding.code == "include-cycle"


@pytest.mark.parametrize("name", ["tiburon.json", "tiburon-2018.json", "tiburon-2020.json"])
def test_samples_load_without_a_word(name):
    layers = read(SAMPLES / name)
    assert not layers.findings
    assert layers.has("targets")


# --- what to watch -------------------------------------------------------------------------------


def test_all_that_matters_is_watched(folder):
    main = write(
        folder,
        {
            "netbootd.json": {"includes": ["site/*/x.json", "none/*.json", "i.json"]},
            "site/a/x.json": {},
            "i.json": "broken",
            "machines.d/x.json": {},
        },
    )
    watched = {file.removeprefix(str(folder)) for file in survey(main).files}
    assert watched == {
        "",
        "/netbootd.json",
        "/machines.d",
        "/machines.d/x.json",
        "/site",
        "/site/a",
        "/site/a/x.json",
        "/none",
        "/i.json",
    }


def test_a_survey_of_broken_files_has_what_is_left(folder):
    layers = survey(write(folder, {"netbootd.json": vms("a"), "machines.d/x.json": "{"}))
    assert codes(layers) == ["json-syntax"]
    assert from_where(layers, "vms") == {"a": "netbootd.json"}


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="needs names of any bytes")
def test_a_name_that_is_not_utf8_can_be_printed(folder):
    write(folder, {"netbootd.json": {}})
    (folder / "machines.d" / os.fsdecode(b"\xff.json")).write_text("{")
    (finding,) = errors(folder / "netbootd.json")
    assert str(finding).isprintable()
    assert r"\xff.json" in finding.place.file
