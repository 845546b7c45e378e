"""Detection of attempts that make no progress, by this process's clock alone.

Clocks of nodes differ, and a controller that was away has observed nothing meanwhile: what counts
is how long it has itself observed the same heartbeat. A new controller counts from zero.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass
class StallDetector:
    """Record of the time since which each sign is unchanged."""

    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    _seen: dict[str, tuple[Hashable, float]] = field(default_factory=dict)

    def still_for(self, name: str, sign: Hashable) -> float:
        """Return the seconds since the sign of this name was first seen with its present value."""
        now = self.clock()
        last, since = self._seen.get(name, (None, now))
        if name not in self._seen or last != sign:
            self._seen[name] = (sign, now)
            return 0.0
        return now - since

    def forget(self, *names: str) -> None:
        """Restart the count of these names, since their changes could not be observed meanwhile."""
        for name in names:
            self._seen.pop(name, None)

    def forget_all_but(self, names: set[str]) -> None:
        """Drop the signs of all other names."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
