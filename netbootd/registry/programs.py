"""
The boot programs of a configuration, and what of those that it chooses is not there.

Which of them a machine gets is said by ``loader``, in many places: all the words are collected here
once, so that nobody has to look at the disk for one later.
"""

from __future__ import annotations

from collections.abc import Iterator

from netbootd import loaders
from netbootd.config import Config
from netbootd.dropins import GROUPS, MACHINES, SUBNETS, Layers
from netbootd.loaders import Choice
from netbootd.programs import Program, find_programs
from netbootd.relaxedjson import Object
from netbootd.targets.settings import LOADER


def find(layers: Layers, config: Config) -> dict[str, Program]:
    """Every program of the folders and the file root that could be asked for by name."""
    wanted = {word for choice in _choices(layers, config) for word in choice.words}
    return find_programs(config.files, config.firmware, wanted - loaders.SETS.keys())


def _choices(layers: Layers, config: Config) -> Iterator[Choice]:
    """All that the files say; what is wrong in them is found by whoever reads it in its place."""
    yield config.loader
    entries = [layers.entries(section) for section in (MACHINES, GROUPS, SUBNETS)]
    values = [entry.value for section in entries for entry in section]
    for value in (*values, *(entry.value for entry in layers.target_entries())):
        if isinstance(value, Object) and LOADER in value:
            try:
                yield Choice.parse(value[LOADER])
            except ValueError:
                continue
