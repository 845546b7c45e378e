"""How long nothing has changed about an attempt, by this process's clock alone.

Clocks of nodes differ, and a controller that was away has seen nothing meanwhile: so what counts is
how long it has itself seen the same heartbeat. A new controller begins to count anew.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass
class StallDetector:
    """Remembers since when each sign has been as it is."""

    clock: Callable[[], float]
    """Seconds that only grow."""
    _seen: dict[str, tuple[Hashable, float]] = field(default_factory=dict)

    def still_for(self, name: str, sign: Hashable) -> float:
        """Seconds since the sign of this name was first seen as it is now."""
        now = self.clock()
        last, since = self._seen.get(name, (None, now))
        if name not in self._seen or last != sign:
            self._seen[name] = (sign, now)
            return 0.0
        return now - since

    def forget(self, *names: str) -> None:
        """Count these anew: what they did meanwhile could not be seen."""
        for name in names:
            self._seen.pop(name, None)

    def forget_all_but(self, names: set[str]) -> None:
        """Drop signs of what has ended."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
