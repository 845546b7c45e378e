"""Fault injection points around every side effect of a controller.

A controller may be killed at any instant. Only the effects done by then matter, so it suffices to
test a crash just before and just after each effect: `at_point` is called there with the effect's
name, and tests let it raise or end the process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Done = TypeVar("Done")


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class FaultPoints:
    """Executor of side effects, with a fault point before and after each."""

    at_point: Callable[[str], None] = _silent
    """Called with `before NAME` and `after NAME`."""
    leads: Callable[[], None] = lambda: None
    """Check that raises LeadershipLostError if another controller leads.

    Called before each external effect, which the ledger cannot refuse.
    """

    def ledger_effect(self, name: str, act: Callable[[], Done]) -> Done:
        """Run a ledger write, which the ledger itself refuses after leadership is lost."""
        self.at_point(f"before {name}")
        done = act()
        self.at_point(f"after {name}")
        return done

    def external_effect(self, name: str, act: Callable[[], Done]) -> Done:
        """Run an effect on processes or storage, which do not check the leader's term."""
        self.at_point(f"before {name}")
        self.leads()
        done = act()
        self.at_point(f"after {name}")
        return done
