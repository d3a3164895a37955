"""For all tests: how long an example of hypothesis takes says nothing, on a machine at work."""

from hypothesis import settings

settings.register_profile("netbootd", deadline=None)
settings.load_profile("netbootd")
