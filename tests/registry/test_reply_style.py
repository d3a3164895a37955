"""How a proxy tells a machine's firmware, as the file says it."""

from __future__ import annotations

import json

import pytest

from netbootd import replies
from netbootd.errors import ConfigErrors, Level
from netbootd.mac import MAC
from netbootd.registry.load import load

MAC_1 = "52:54:00:12:34:56"


def loaded(tmp_path, entry, groups=None, settings=None):
    file = tmp_path / "netbootd.json"
    written = {
        "netbootd": {"files": str(tmp_path), "firmware": [], **(settings or {})},
        "targets": {"localboot": {"disk": {}}},
        "groups": groups or {},
        "machines": {
            "default": {"type": "localboot", "name": "disk"},
            MAC_1: entry,
        },
    }
    file.write_text(json.dumps(written))
    return load(file)


def style(registry):
    return registry.machines[MAC.parse(MAC_1)].reply_style


@pytest.mark.parametrize("word", [replies.AUTO, *replies.CHOOSABLE])
def test_a_machine_has_its_style(tmp_path, word):
    registry = loaded(tmp_path, {"reply_style": f" {word} "})
    assert style(registry) == word
    assert registry.findings == ()


def test_a_group_gives_it_and_the_machine_counts_over_it(tmp_path):
    groups = {"hp": {"reply_style": "direct"}}
    assert style(loaded(tmp_path, {"group": "hp"}, groups)) == "direct"
    assert style(loaded(tmp_path, {"group": "hp", "reply_style": "menu"}, groups)) == "menu"


def test_nobody_says_it(tmp_path):
    assert style(loaded(tmp_path, {})) == ""


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("dirct", 'did you mean "direct"?'),
        ("http", "must be one of auto, direct, boot-server, menu"),
        (8, "must be one of auto, direct"),
        (["direct"], "must be one of auto, direct"),
    ],
)
def test_a_wrong_one_is_told_and_left_out(tmp_path, written, told):
    registry = loaded(tmp_path, {"reply_style": written})
    assert style(registry) == ""
    [finding] = registry.findings
    assert (finding.code, finding.path) == ("reply-style", f'machines."{MAC_1}".reply_style')
    assert finding.level is Level.TARGET
    assert told in finding.text
    assert finding.text.endswith("; left out")


def test_it_is_no_free_data(tmp_path):
    registry = loaded(tmp_path, {"reply_style": "menu"})
    assert "reply_style" not in registry.machines[MAC.parse(MAC_1)].variables


def test_the_setting(tmp_path):
    config = loaded(tmp_path, {}, settings={"proxydhcp": {"style": "menu", "learn": False}}).config
    assert (config.proxydhcp.style, config.proxydhcp.learn) == ("menu", False)
    assert loaded(tmp_path, {}).config.proxydhcp.style == replies.AUTO
    with pytest.raises(ConfigErrors, match="style"):
        loaded(tmp_path, {}, settings={"proxydhcp": {"style": "full"}})
