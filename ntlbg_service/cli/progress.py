"""Live progress of a suite: a table on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ntlbg_service.domain.states import TERMINAL
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.standings import Standing, standings
from ntlbg_service.storage.local import Storage


class Progress:
    """Reads ledger and storage; shows what changed."""

    def __init__(self, ledger: Ledger, storage: Storage, suite_key: str) -> None:
        self._ledger = ledger
        self._storage = storage
        self._suite_key = suite_key
        self._console = Console()
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=False)
            if self._console.is_terminal
            else None
        )
        self._said: dict[str, str] = {}
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Look again and show it."""
        seen = standings(
            self._ledger, self._storage, self._ledger.current_runs(self._suite_key)
        )
        if self._live is not None:
            self._live.update(self._table(seen))
        else:
            self._lines(seen)

    def note(self, text: str) -> None:
        """One line beside the table."""
        self._console.print(f"{self._elapsed()}  {text}", highlight=False)

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _table(self, seen: list[Standing]) -> Table:
        done = sum(standing.run.state in TERMINAL for standing in seen)
        title = f"{self._suite_key}: {done} of {len(seen)} runs ended, {self._elapsed()}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in ("run", "attempt", "on", "memory predicted", "now"):
            table.add_column(heading)
        for standing in seen:
            attempt = standing.attempt
            table.add_row(
                standing.run.label,
                str(attempt.number) if attempt else "-",
                attempt.fit.profile if attempt else "-",
                f"{attempt.fit.predicted_gib:.1f} GiB" if attempt else "-",
                standing.doing,
            )
        return table

    def _lines(self, seen: list[Standing]) -> None:
        for standing in seen:
            doing = standing.doing
            told = doing.split(" (")[0]
            if self._said.get(standing.run.run_id) != told:
                self._said[standing.run.run_id] = told
                self.note(f"{standing.run.label}: {doing}")
