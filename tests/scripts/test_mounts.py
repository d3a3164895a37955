"""Mounts in each form, and what is none."""

from __future__ import annotations

import pytest

from netbootd.scripts.mounts import Mount, mounts


@pytest.mark.parametrize(
    ("written", "mount"),
    [
        ("nas:/a  /a\tnfs soft", ("nas:/a /a nfs soft", "/a", True)),
        ("nas:/a /a/ nfs", ("nas:/a /a nfs", "/a", True)),
        ("/dev/x / ext4 ro 0 1", ("/dev/x / ext4 ro 0 1", "/", True)),
        (r"tmpfs /b\040c tmpfs", (r"tmpfs /b\040c tmpfs", r"/b\040c", True)),
        ("/dev/x none swap sw", ("/dev/x none swap sw", "none", False)),
        ("/dev/x swap swap sw", ("/dev/x swap swap sw", "swap", False)),
        ("nas:/a /a nfs ro,noauto 0 0", ("nas:/a /a nfs ro,noauto 0 0", "/a", False)),
        ({"what": "nas:/a", "where": "/a/"}, ("nas:/a /a nfs defaults 0 0", "/a", True)),
        (
            {"what": "//nas/a b", "where": "/a b", "type": "cifs", "options": "ro"},
            (r"//nas/a\040b /a\040b cifs ro 0 0", r"/a\040b", True),
        ),
    ],
)
def test_lines_and_objects(written, mount):
    assert mounts([written]) == [Mount(*mount)]


@pytest.mark.parametrize(
    ("written", "teaches"),
    [
        ("nas:/a /a nfs", "an array"),
        (7, "an array"),
        ({"what": "x"}, "an array"),
        (["nas:/a"], "WHAT WHERE TYPE"),
        ([{"what": "nas:/a"}], 'lacks "where"'),
        (["nas:/a /a nfs\nid"], "line end"),
        ([{"what": "a", "where": "/a\nb"}], "line end"),
    ],
)
def test_what_is_none_is_said(written, teaches):
    with pytest.raises(ValueError, match=teaches):
        mounts(written)
