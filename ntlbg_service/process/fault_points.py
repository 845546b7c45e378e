"""The one door that every side effect of a controller goes through.

A controller may be killed at any instant. What matters is what was done by then, so it is enough to
end it just before and just after each effect: `at_point` is called there, by name, and tests let it
raise or end the process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Done = TypeVar("Done")


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class FaultPoints:
    """Passes effects on, one after another."""

    at_point: Callable[[str], None] = _silent
    """Called with `before NAME` and `after NAME`."""
    leads: Callable[[], None] = lambda: None
    """Raises LeadershipLostError where another leads. Asked before what the ledger cannot
    refuse."""

    def ledger_effect(self, name: str, act: Callable[[], Done]) -> Done:
        """An effect that its receiver refuses from a deposed leader: a write of the ledger."""
        self.at_point(f"before {name}")
        done = act()
        self.at_point(f"after {name}")
        return done

    def external_effect(self, name: str, act: Callable[[], Done]) -> Done:
        """An effect on what knows no terms: processes, storage."""
        self.at_point(f"before {name}")
        self.leads()
        done = act()
        self.at_point(f"after {name}")
        return done
