"""Text from outside in a script: nothing in it acts."""

from __future__ import annotations

import pytest

from netbootd.targets.ipxe import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b\nc\x1bd", "a b c d"),
        ("a ${mac}", "a {mac}"),
        ("$${netX/mac}", "{netX/mac}"),
        ("a || b && #c", "a '|| b '&& '#c"),
        ("its disk C:\\", "its disk C:"),
        ("a \\\\ \\", "a"),
        ("C:\\ and D:", "C:\\ and D:"),
    ],
)
def test_what_is_shown_is_one_line_that_only_shows(text, shown):
    assert plain(text) == shown
