"""The options of kernel modules, in each form that they may be written in."""

from __future__ import annotations

import pytest

from netbootd.scripts.modules import options


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"kvm": {"ignore_msrs": 1}}, [("kvm", "ignore_msrs", "1")]),
        (
            {"kvm": {"ignore_msrs": True, "halt": False}},
            [("kvm", "ignore_msrs", "1"), ("kvm", "halt", "0")],
        ),
        ({"kvm": "a=1 b=x,y"}, [("kvm", "a", "1"), ("kvm", "b", "x,y")]),
        ({"kvm": {}}, []),
        (["kvm", "bonding"], []),
        ("kvm", []),
        (None, []),
    ],
)
def test_options(written, meant):
    assert options(written) == meant


@pytest.mark.parametrize(
    "written",
    [{"kvm": 1}, {"kvm": ["a=1"]}, {"kvm": {"a": "1 2"}}, {"kvm": "=1"}, {"kvm": {"": 1}}],
)
def test_what_is_no_option_is_said(written):
    with pytest.raises(ValueError, match="modules: kvm"):
        options(written)
