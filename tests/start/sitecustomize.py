"""For each Python that tests start with ``--without``: the same is taken away there."""

from tests.fallbacks import force_here

force_here()
