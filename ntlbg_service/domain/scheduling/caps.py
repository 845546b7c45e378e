"""How many GPUs one user, or one suite, may hold at once."""

from dataclasses import dataclass, field
from typing import ClassVar

from ntlbg_model.config import STRICT
from ntlbg_service.domain.scheduling.cluster import Cap

ANYONE = "*"
"""The name that stands for all that are not named."""


@dataclass(frozen=True, kw_only=True)
class Caps:
    """A caps file: GPUs at once, by name; `*` is each of those that are not named, null no cap."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    users: dict[str, int | None] = field(default_factory=dict)
    """GPUs of all runs of one user."""
    suites: dict[str, int | None] = field(default_factory=dict)
    """GPUs of all runs of one suite, by the name of its file or with its scale: NAME@SCALE."""

    def __post_init__(self) -> None:
        for what, named in (("users", self.users), ("suites", self.suites)):
            for name, gpus in named.items():
                if gpus is not None and gpus < 1:
                    raise ValueError(f"{what}.{name} must be at least 1 or null, got {gpus}")

    def of(self, user: str, suite: str) -> tuple[Cap, ...]:
        """What a run counts against."""
        for_user = _named(self.users, user)
        for_suite = _named(self.suites, suite, suite.rpartition("@")[0])
        found = ((f"user {user}", for_user), (f"suite {suite}", for_suite))
        return tuple(Cap(whose, gpus) for whose, gpus in found if gpus is not None)


def _named(caps: dict[str, int | None], *names: str) -> int | None:
    for name in (*names, ANYONE):
        if name in caps:
            return caps[name]
    return None
