"""``menu``: what is offered, what each choice boots, and what nobody may choose."""

from __future__ import annotations

import pytest

from netbootd import urls
from netbootd.mac import MAC

from .conftest import OWN

OTHERS = {
    "nfs/a": {"kernel": "k", "boot_args": "root=a"},
    "install/b": {"kernel": "k", "boot_args": "b"},
    "rescue/c": {"kernel": "k", "boot_args": "c"},
}
CHOICES = [
    {"label": "Node A", "target": "nfs/a", "key": "a"},
    {"label": "Install", "target": "install/b"},
    {"label": "Its disk", "target": "localboot", "key": "d"},
]
AGAIN = OWN + "/boot/${netX/mac:hexhyp}?choice=${choice}"


def menu(site, keys, machine=None, **more):
    return site.load({"menu/m": {"choices": CHOICES} | keys, **OTHERS | more}, machine)


def test_a_menu(site):
    menu(site, {"default": "localboot", "timeout": 2.5})
    assert site.script() == [
        "menu netbootd: menu/m for 52:54:00:12:34:56",
        "item --key a 1 Node A",
        "item 2 Install",
        "item --key d 3 Its disk",
        "choose --default 3 --timeout 2500 choice",
        f"chain --replace {AGAIN}",
        ":failed",
        ":cancelled",
        "exit 1",
    ]
    assert site.codes() == set()


def test_without_a_timeout_it_waits_and_the_first_is_marked(site):
    menu(site, {})
    assert "choose --default 1 choice" in site.script()


@pytest.mark.parametrize("default", ["Install", "install/b"])
def test_the_default_goes_by_label_or_target(site, default):
    menu(site, {"default": default})
    assert "choose --default 2 choice" in site.script()


def test_every_choice_really_boots(site):
    menu(site, {})
    assert site.script(choice="1")[0] == f"kernel --name kernel {OWN}/k root=a"
    assert site.script(choice="2")[0] == f"kernel --name kernel {OWN}/k b"
    assert site.script(choice="3")[0] == "iseq ${platform} efi && exit 1"
    assert site.answer(choice="1").says == "nfs/a"
    assert site.answer(choice="1").machine.title == "nfs/a"


def test_showing_a_menu_is_no_attempt_and_choosing_is(site):
    menu(site, {})
    assert not site.answer().boots
    assert site.answer(choice="2").boots


@pytest.mark.parametrize("choice", ["0", "4", "-1", "nfs/a", "rescue/c", "1 ", "٣", "9" * 5000])
def test_nobody_boots_what_is_not_offered(site, choice):
    menu(site, {})
    answer = site.answer(choice=choice)
    assert answer.status == 404
    assert "kernel" not in answer.text
    assert "offers no choice" in answer.text


def test_a_machine_without_a_menu_has_no_choice(site):
    menu(site, {}, {"type": "nfs", "name": "a"})
    assert site.answer(choice="1").status == 404
    assert site.answer().status == 200


def test_who_gets_the_menu_by_default_may_choose_too(site):
    menu(site, {})
    stranger = MAC.parse("52:54:00:00:00:99")
    assert site.script(mac=stranger, choice="2")[0].endswith(" b")


def test_the_number_is_what_the_query_of_the_page_carries(site):
    menu(site, {})
    assert f"?{urls.CHOICE}=" in site.text()


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        ({"target": "nfs/aa"}, "target-unknown"),
        ({"target": "menu/other"}, "target-unknown"),
        ({"target": "menu/m"}, "target-unknown"),
        ({"label": "x"}, "target-unknown"),
        ({"target": "nfs/a", "key": "F1"}, "menu-key"),
        ({"target": "nfs/a", "key": "ä"}, "menu-key"),
    ],
)
def test_a_choice_that_leads_nowhere_is_told_and_the_others_stay(site, choice, code):
    menu(site, {"choices": [*CHOICES, choice]}, **{"menu/other": {"choices": CHOICES}})
    assert site.codes() == {code}
    assert "item 2 Install" in site.script()


def test_a_misspelt_target_is_told_with_the_right_one(site):
    menu(site, {"choices": [*CHOICES, "nfs/aa"]})
    assert 'did you mean "nfs/a"?' in site.told("target-unknown")[0]


@pytest.mark.parametrize("choices", [None, [], {}, "x", [7], [{"target": 7}], [{"target": "x/y"}]])
def test_a_menu_of_nothing_is_unusable(site, choices):
    menu(site, {"choices": choices})
    assert site.answer().status == 500
    assert site.codes() & {"target-empty", "section-type"}


def test_a_default_that_is_no_choice_is_told(site):
    menu(site, {"default": "nfs/b"})
    assert site.codes() == {"menu-default"}


@pytest.mark.parametrize("timeout", [-1, "30", True])
def test_a_timeout_is_a_number_of_seconds(site, timeout):
    menu(site, {"timeout": timeout})
    assert site.told("section-type")


def test_a_label_cannot_act_in_the_script(site):
    choices = [{"label": "a || exit ${mac} # b", "target": "nfs/a"}]
    menu(site, {"choices": choices})
    assert "item 1 a '|| exit {mac} '# b || goto" not in site.text()
    [item] = [line for line in site.text().splitlines() if line.startswith("item")]
    assert item == "item 1 a '|| exit {mac} '# b"


def test_a_machine_may_have_a_timeout_of_its_own(site):
    menu(site, {}, {"timeout": 5})
    assert "choose --default 1 --timeout 5000 choice" in site.script()


@pytest.mark.parametrize(
    ("keys", "choice", "completed", "boots"),
    [
        ({"default": "install/b", "timeout": 9}, "2", (), "install/b"),
        ({"default": "install/b", "timeout": 9}, "2", ("install/b",), "localboot/disk"),
        ({"default": "install/b"}, "2", ("install/b",), "install/b"),
        ({"default": "nfs/a", "timeout": 9}, "2", ("install/b",), "install/b"),
        ({"default": "nfs/a", "timeout": 9}, "1", ("nfs/a",), "nfs/a"),
    ],
)
def test_a_timeout_does_not_install_again_and_a_person_may(site, keys, choice, completed, boots):
    menu(site, keys)
    assert site.answer(choice=choice, completed=completed).says == boots


def test_after_an_installation_that_a_timeout_took_comes_what_it_says(site):
    after = {"install/b": OTHERS["install/b"] | {"after": "nfs/a"}}
    menu(site, {"default": "install/b", "timeout": 9}, **after)
    assert site.answer(choice="2", completed=("install/b",)).says == "nfs/a"


def test_a_label_that_ends_in_a_backslash_does_not_join_the_next_line(site):
    choices = [{"label": "Disk C:\\", "target": "localboot"}, {"target": "nfs/a"}]
    site.load({"menu/m": {"choices": choices}, "nfs/a": {"kernel": "k"}})
    assert "item 1 Disk C:\nitem 2 nfs/a\n" in site.text()
