"""Isolation of runs from each other's errors."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVarTuple

from ntlbg_service.domain.errors import NtlbgError, in_one_line
from ntlbg_service.ledger.transactions import LeadershipLostError

What = TypeVarTuple("What")


@dataclass
class ErrorIsolation:
    """Errors of one step of a controller; each is reported when it first occurs, not every step."""

    alive: Callable[[], None]
    """Callback before each action."""
    _now: set[str] = field(default_factory=set)
    _before: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Begin a step."""
        self._before, self._now = self._now, set()

    def run(self, act: Callable[[*What], None], *what: *What) -> None:
        """Call a function and keep its error. Raises LeadershipLostError where another leads.

        A bug is reported like any other error: it would recur with every look at the same run, and
        must not end the controller.
        """
        self.alive()
        try:
            act(*what)
        except LeadershipLostError:
            raise
        except NtlbgError as error:
            self._now.add(str(error))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            self._now.add(f"fault at {place}: {in_one_line(f'{type(error).__name__}: {error}')}")

    def fresh(self) -> list[str]:
        """Return the errors of this step that did not occur in the previous one."""
        return sorted(self._now - self._before)
