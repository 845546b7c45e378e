"""The command as a person runs it."""

from collections.abc import Callable

Ntlbg = Callable[..., str]
