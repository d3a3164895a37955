"""
Secret values that a caller would have put into an entry: none but those that stand there already.

The daemon reads files for ``secret_file`` that its callers may not, and what is made for a machine
is given to it: whoever may change machines would read them so, and the values of others by their
stand-ins; by one that nobody has yet, what an operator is to name later.  Who may write the
configuration's own files may have any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netbootd.secretvalues import CREDENTIAL, FILE, is_stand_in, stand_in


def secrets_in(thing: Any) -> Iterator[str]:
    """The stand-ins of all that *thing* names."""
    if isinstance(thing, str) and is_stand_in(thing):
        yield thing
    if isinstance(thing, Mapping):
        for kind in (FILE, CREDENTIAL):
            if thing.keys() == {kind}:
                yield stand_in(kind, str(thing[kind]))
        thing = list(thing.values())
    if isinstance(thing, list | tuple):
        for one in thing:
            yield from secrets_in(one)
