"""What goes wrong with one run does not touch the others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVarTuple

from ntlbg_service.domain.errors import NtlbgError
from ntlbg_service.ledger.transactions import DeposedError

What = TypeVarTuple("What")


@dataclass
class Trouble:
    """Errors of one step of a controller: each is noted when it begins, not every second."""

    alive: Callable[[], None]
    """Told before each thing that is tried."""
    _now: set[str] = field(default_factory=set)
    _before: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """A step begins."""
        self._before, self._now = self._now, set()

    def despite(self, act: Callable[[*What], None], *what: *What) -> None:
        """Do something; what goes wrong is kept. Raises DeposedError where another leads."""
        self.alive()
        try:
            act(*what)
        except DeposedError:
            raise
        except NtlbgError as error:
            self._now.add(str(error))

    def fresh(self) -> list[str]:
        """What went wrong in this step and not in the one before."""
        return sorted(self._now - self._before)
