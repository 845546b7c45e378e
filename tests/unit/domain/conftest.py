"""Properties are tried on cases that are the same each time; how long one takes is not judged."""

from hypothesis import settings

settings.register_profile("domain", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("domain")
