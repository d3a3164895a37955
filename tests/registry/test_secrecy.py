"""What a configuration calls secret."""

from __future__ import annotations

import json

import pytest

from netbootd.answers import asks_for
from netbootd.errors import Level
from netbootd.mac import MAC
from netbootd.registry import secrecy
from netbootd.registry.load import load

ONE, TWO, THREE = (f"52:54:00:00:00:0{n}" for n in (1, 2, 3))


@pytest.fixture
def registry_of(tmp_path):
    install = tmp_path / "files" / "install"
    install.mkdir(parents=True)
    (install / "a.cfg.j2").write_text("{{ token }}\n")
    (install / "b.cfg.j2").write_text("b\n")
    (install / "seed").mkdir()
    (install / "seed" / "user-data.j2").write_text("#cloud-config\n")
    (tmp_path / "files" / "linux").write_bytes(b"x")

    def make(targets, machines, **sections):
        debian = {"kernel": "linux", "os": "debian"}
        written = {
            "targets": {"install": {name: {**debian, **more} for name, more in targets.items()}},
            "machines": machines,
            "netbootd": {"files": "files", "firmware": "firmware", "state": "state"},
            **sections,
        }
        (tmp_path / "c.json").write_text(json.dumps(written))
        return load(tmp_path / "c.json")

    return make


def entry(name, **more):
    return {"type": "install", "name": name, **more}


def sealed(registry, mac):
    return secrecy.is_sealed(registry.machines[MAC.parse(mac)], registry)


def test_nothing_is_secret_where_nobody_says_it(registry_of):
    registry = registry_of({"a": {"answer": "install/a.cfg"}}, {ONE: entry("a")})
    assert not registry.seals
    assert not sealed(registry, ONE)


@pytest.mark.parametrize(
    ("targets", "machines", "groups"),
    [
        ({"a": {"answer": "install/a.cfg", "secret": True}}, {ONE: entry("a")}, {}),
        ({"a": {"answer": "install/a.cfg"}}, {ONE: entry("a", secret=True)}, {}),
        ({"a": {"answer": "install/a.cfg"}}, {ONE: entry("a", group="g")}, {"g": {"secret": True}}),
        ({"a": {"answer": "/install/a.cfg.j2", "secret": True}},
         {ONE: entry("a", secret=False)}, {}),
    ],
)  # fmt: skip
def test_a_target_a_group_or_a_machine_says_it(registry_of, targets, machines, groups):
    registry = registry_of(
        {**targets, "b": {"answer": "install/b.cfg"}, "same": {"answer": "install/a.cfg"}},
        {**machines, TWO: entry("b"), THREE: entry("same")},
        groups=groups,
    )
    assert registry.seals
    assert sealed(registry, ONE)
    assert not sealed(registry, TWO)
    assert sealed(registry, THREE)  # its file is that of the secret one
    assert "install/a.cfg" in registry.secret_files
    assert "install/b.cfg" not in registry.secret_files


def test_a_seed_and_a_file_that_boot_args_name_are_secret(registry_of):
    registry = registry_of(
        {
            "seed": {"os": "ubuntu", "tree": "http://x/a.iso", "answer": "install/seed", "secret": True},
            "words": {"boot_args": "ks=__install__/b.cfg", "secret": True},
        },
        {},
    )  # fmt: skip
    assert {"install/seed/user-data", "install/seed/meta-data", "install/b.cfg"} <= (
        registry.secret_files
    )
    assert "linux" not in registry.secret_files


@pytest.mark.parametrize(
    "words", ["ks=__base__/install/b.cfg?token=__token__", "__token__ ks=__install__/b.cfg"]
)
def test_a_file_beside_the_token_of_the_boot_is_named_as_well(registry_of, words):
    registry = registry_of({"words": {"boot_args": words, "secret": True}}, {ONE: entry("words")})
    assert "install/b.cfg" in registry.secret_files
    assert asks_for("install/b.cfg", registry.machines[MAC.parse(ONE)], registry)


def test_a_machine_without_what_its_script_needs_hides_no_file_of_the_others(registry_of):
    registry = registry_of(
        {"words": {"boot_args": "ks=__install__/b.cfg h=__hostname__", "secret": True}},
        {ONE: entry("words"), TWO: entry("words", hostname="two")},
    )
    assert "install/b.cfg" in registry.secret_files


def test_what_a_subnet_has_may_stand_beside_a_file(registry_of):
    registry = registry_of(
        {"words": {"boot_args": "ks=__install__/b.cfg s=__site__", "secret": True}},
        {ONE: entry("words")},
        subnets={"10.1.0.0/24": {"vars": {"site": "x"}}},
    )
    assert "install/b.cfg" in registry.secret_files
    assert asks_for("install/b.cfg", registry.machines[MAC.parse(ONE)], registry)


@pytest.mark.parametrize("written", ["yes", 1, ["answers"], None])
def test_nonsense_boots_nothing_rather_than_give_it_away(registry_of, written):
    registry = registry_of({"a": {"answer": "install/a.cfg"}}, {ONE: entry("a", secret=written)})
    assert "cannot boot" in registry.machines[MAC.parse(ONE)].target.reason
    assert any(f.code == "secret-invalid" and f.level is Level.TARGET for f in registry.findings)
    registry = registry_of({"a": {"answer": "install/a.cfg", "secret": written}}, {ONE: entry("a")})
    assert "cannot boot" in registry.machines[MAC.parse(ONE)].target.reason


def test_a_description_is_secret_by_a_machine_that_has_it(registry_of):
    registry = registry_of(
        {"a": {}},
        {ONE: entry("a", secret=True, vms=["web"]), TWO: entry("a", vms=["web", "db"]),
         THREE: entry("a", vms=["db"])},
        vms={"web": {"brand": "joyent"}, "db": {"brand": "joyent"}},
    )  # fmt: skip
    assert secrecy.is_secret_vm("web", registry)
    many = registry_of(
        {"a": {}},
        {"52:54:00:*": entry("a", secret=True, vms=["web"])},
        vms={"web": {"brand": "joyent"}},
    )
    assert secrecy.is_secret_vm("web", many)
    assert not secrecy.is_secret_vm("db", registry)
    assert sealed(registry, TWO)
    assert not sealed(registry, THREE)


def test_what_a_machine_says_of_itself_makes_no_card_its_own(registry_of):
    registry = registry_of(
        {"a": {}},
        {
            ONE: entry("a", macs=[TWO]),
            "by-uuid": entry("a", uuid="564d4f3a-1111-2222-3333-444455556666"),
            "default": entry("a"),
        },
    )
    stranger = MAC.parse(THREE)
    assert secrecy.cards_of(registry.machines[MAC.parse(TWO)]) == (
        MAC.parse(ONE), MAC.parse(TWO)
    )  # fmt: skip
    assert secrecy.cards_of(registry.named["by-uuid"].for_card(stranger)) == ()
    assert secrecy.cards_of(registry.default.for_stranger(stranger)) == (stranger,)


def test_a_secret_file_is_secret_by_all_the_names_that_links_give_it(registry_of, tmp_path):
    install = tmp_path / "files" / "install"
    for name in ("v1", "v2"):
        (install / name).mkdir()
        (install / name / "plain.cfg").write_text("x\n")
    (install / "latest").symlink_to("v2")
    (install / "other.cfg").symlink_to("v1/plain.cfg")
    (install / "other-a.cfg.j2").symlink_to("a.cfg.j2")
    registry = registry_of(
        {
            "a": {"answer": "install/a.cfg", "secret": True},
            "one": {"answer": "install/v1/plain.cfg", "secret": True},
            "two": {"answer": "install/latest/plain.cfg", "secret": True},
            "by-link": {"answer": "install/other-a.cfg"},
        },
        {ONE: entry("by-link")},
    )
    named = {
        "install/other.cfg": "install/v1/plain.cfg",
        "install/v2/plain.cfg": "install/v2/plain.cfg",
        "install/latest/plain.cfg": "install/latest/plain.cfg",
        "install/b.cfg": "",
        "linux": "",
        "install/none.cfg": "",
        "x" * 5000: "",
    }
    assert {path: secrecy.secret_name(path, registry) for path in named} == named
    assert secrecy.secret_name("install/other-a.cfg", registry)
    assert sealed(registry, ONE)  # or it could never have its file
