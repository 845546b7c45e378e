"""What goes wrong with one run does not touch the others."""

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
    """Errors of one step of a controller: each is noted when it begins, not every second."""

    alive: Callable[[], None]
    """Told before each thing that is tried."""
    _now: set[str] = field(default_factory=set)
    _before: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """A step begins."""
        self._before, self._now = self._now, set()

    def run(self, act: Callable[[*What], None], *what: *What) -> None:
        """Do something; what goes wrong is kept. Raises LeadershipLostError where another leads.

        A fault of the code is told like any other trouble: it is met again with every look at the
        same run, and a controller that it ends serves nobody.
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
        """What went wrong in this step and not in the one before."""
        return sorted(self._now - self._before)
