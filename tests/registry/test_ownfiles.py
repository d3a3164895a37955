"""What of netbootd's own lies below the file root is served to nobody."""

from __future__ import annotations

import json

import pytest

from netbootd.errors import Forbidden
from netbootd.registry.load import load

MAC = "52:54:00:00:00:01"


def laid_out(root, *, state="state", secret=True, **settings):
    """A configuration in the file root itself, with everything that it names."""
    state = root / state
    own = {
        "value": root / "value", "key": root / "tls" / "key.pem", "scripts": root / "scripts" / "a",
        "overlays": root / "overlays" / "a" / "etc" / "shadow", "drop-in": root / "machines.d" / "a.json",
        "record": state / "record.sqlite", "wal": state / "record.sqlite-wal",
        "broken": state / "record.sqlite.broken", "leases": state / "leases.sqlite",
        "token": state / "api.token", "vm": state / "vms" / "a.json",
        "log": state / "logs" / "netbootd-1.jsonl",
    }  # fmt: skip
    plain = {"image": root / "images" / "linux", "beside": root / "values", "new": root / "newer"}
    for file in (*own.values(), *plain.values()):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        file.chmod(0o600)
    (root / "link").symlink_to("value")
    target = {"kernel": "images/linux", "secret": secret, "overlays": ["a"], "scripts": ["a"]}
    config = {
        "targets": {"linux": {"a": target}},
        "machines": {MAC: {"type": "linux", "name": "a", "pw": {"secret_file": "value"}}},
        "netbootd": {
            "files": str(root),
            "state": str(state),
            "tls": {"certificate": str(root / "crt.pem"), "key": str(own["key"])},
            **settings,
        },
    }
    (root / "netbootd.json").write_text(json.dumps(config))
    library = load(root / "netbootd.json").library
    files = {**own, **plain, "link": root / "link", "config": root / "netbootd.json"}
    return {name for name, file in files.items() if _serves(library, file.relative_to(root))}


def _serves(library, path):
    try:
        library.lookup(str(path)).close()
    except Forbidden:
        return False
    return True


PLAIN = {"image", "beside", "new"}


@pytest.mark.parametrize("state", ["state", ".", "srv/../state"])
def test_nothing_of_its_own_is_served(tmp_path, state):
    assert laid_out(tmp_path, state=state) == PLAIN


def test_what_scripts_and_overlays_are_made_of_is_as_open_as_they_are(tmp_path):
    assert laid_out(tmp_path, secret=False) == PLAIN | {"scripts", "overlays"}


def test_a_file_root_in_the_state_folder_is_served(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "linux").write_text("a kernel")
    settings = {"files": str(files), "state": str(tmp_path)}
    (tmp_path / "netbootd.json").write_text(json.dumps({"netbootd": settings}))
    load(tmp_path / "netbootd.json").library.lookup("linux").close()
