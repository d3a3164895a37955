"""All templates of a Registry, to be warmed before requests come for them."""

from __future__ import annotations

from collections.abc import Iterator

from netbootd.registry.scripts import built_in
from netbootd.registry.snapshot import Registry
from netbootd.rendering import TextTemplate
from netbootd.targets.ipxe import ScriptTemplate, Templates
from netbootd.unhurried import unhurried


def warm(registry: Registry) -> None:
    """
    Do what the first rendering of each would, some milliseconds for each template; in a thread.

    Our own are not compiled yet, and of a configuration that came from another process nobody has
    looked at any: one that was read here was tried with a machine of each kind.
    """
    for template in unhurried(_templates(registry)):
        template.warm()


def sources(registry: Registry) -> Iterator[str]:
    """The texts of those that are the operator's."""
    scripts, fragments = Templates(), [one.text for one in built_in().values()]
    for template in _templates(registry):
        ours = isinstance(template, ScriptTemplate) and template == scripts.file(template.name)
        if not ours and template not in fragments:
            yield template.source


def _templates(registry: Registry) -> Iterator[ScriptTemplate | TextTemplate]:
    """All of them; boot scripts come first, which nodes wait for."""
    yield registry.first_template
    yield registry.waiting_template
    yield registry.notice_template
    yield registry.disk.template
    for target in registry.targets.values():
        yield target.template
    yield from registry.dialects.values()
    for tree in registry.overlays.values():
        yield from tree.templates
    texts = (fragment.text for fragment in registry.fragments.values())
    for text in (*registry.answers.values(), *texts):
        if isinstance(text, TextTemplate):  # the others are broken, or no templates
            yield text
