"""Live progress of suites: a table on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.live import Live

from ntlbg_service.cli.console import DataConsole
from ntlbg_service.cli.progress_table import table_of
from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Run
from ntlbg_service.standings import Standing, standing
from ntlbg_service.storage.local import Storage

AROUND = 5
"""Lines of a terminal that the table's rows leave to what stands around them."""


class Progress:
    """Reads ledger and storage; shows what changed."""

    def __init__(self, ledger: Ledger, storage: Storage, *suite_keys: str) -> None:
        self._ledger = ledger
        self._storage = storage
        self._suite_keys = suite_keys
        self._console = DataConsole()
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=False)
            if self._console.is_terminal
            else None
        )
        self._known: dict[str, tuple[float, Standing]] = {}
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

    def update(self) -> bool:
        """Look again and show it. False when every run has ended."""
        runs = [run for key in self._suite_keys for run in self._ledger.current_runs(key)]
        seen = [self._standing(run) for run in runs]
        if self._live is not None:
            rows = max(self._console.height - AROUND, 1)
            several = len(self._suite_keys) > 1
            self._live.update(table_of(seen, self._title(runs), rows, suites=several))
        else:
            self._lines(seen)
        return any(run.state not in TERMINAL for run in runs)

    def note(self, text: str) -> None:
        """One line beside the table."""
        self._console.print(f"{self._elapsed()}  {text}", highlight=False)

    def _standing(self, run: Run) -> Standing:
        """Where a run is; for one that does not run, looked up once for each change."""
        changed, known = self._known.get(run.run_id, (None, None))
        if known is None or run.state is RunState.RUNNING or changed != run.updated_at:
            known = standing(self._ledger, self._storage, run)
            self._known[run.run_id] = (run.updated_at, known)
        return known

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _title(self, runs: list[Run]) -> str:
        done = sum(run.state in TERMINAL for run in runs)
        names = " and ".join(self._suite_keys[:2])
        if len(self._suite_keys) > 2:
            names = f"{len(self._suite_keys)} suites"
        return f"{names}: {done} of {len(runs)} runs ended, {self._elapsed()}"

    def _lines(self, seen: list[Standing]) -> None:
        for each in seen:
            doing = each.doing
            told = doing.split(" (")[0]
            if self._said.get(each.run.run_id) != told:
                self._said[each.run.run_id] = told
                self.note(f"{each.run.label}: {doing}")
