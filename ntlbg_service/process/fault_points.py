"""The one door that every side effect of a controller goes through.

A controller may be killed at any instant. What matters is what was done by then, so it is enough to
end it just before and just after each effect: `knock` is called there, by name, and tests let it
raise or end the process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Done = TypeVar("Done")


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Door:
    """Passes effects on, one after another."""

    knock: Callable[[str], None] = _silent
    """Called with `before NAME` and `after NAME`."""
    leads: Callable[[], None] = lambda: None
    """Raises DeposedError where another leads. Asked before what the ledger cannot refuse."""

    def through(self, name: str, act: Callable[[], Done]) -> Done:
        """An effect that its receiver refuses from a deposed leader: a write of the ledger."""
        self.knock(f"before {name}")
        done = act()
        self.knock(f"after {name}")
        return done

    def outside(self, name: str, act: Callable[[], Done]) -> Done:
        """An effect on what knows no terms: processes, storage."""
        self.knock(f"before {name}")
        self.leads()
        done = act()
        self.knock(f"after {name}")
        return done
