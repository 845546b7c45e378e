"""Live progress of suites: a table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.live import Live

from ntlbg_service.cli.console import DataConsole
from ntlbg_service.cli.progress_table import table_of
from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import RunFilter
from ntlbg_service.ledger.records import RunSummary
from ntlbg_service.results.run_status import RunStatus, run_statuses
from ntlbg_service.storage.local import Storage

AROUND = 5
"""Lines of a terminal that the table's rows leave to what stands around them."""


class ProgressView:
    """Reads ledger and storage; shows what changed."""

    def __init__(
        self, ledger: Ledger, storage: Storage, suite_key: str | None, most: int | None = None
    ) -> None:
        """Of one suite, or of all; at most `most` runs at once."""
        self._ledger = ledger
        self._storage = storage
        self._chosen = RunFilter(suite=suite_key)
        self._most = most
        self._console = DataConsole()
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=False)
            if self._console.is_terminal
            else None
        )
        self._known: dict[RunSummary, RunStatus] = {}
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
        runs = self._ledger.listed(self._chosen, self._most)
        seen = self._standings(runs)
        if self._live is not None:
            rows = max(self._console.height - AROUND, 1)
            several = len({run.suite_key for run in runs}) > 1
            counts = self._ledger.count(self._chosen)
            title = self._title(runs, counts)
            self._live.update(table_of(seen, title, rows, suites=several, counts=counts))
        else:
            self._lines(seen)
        return any(run.state not in TERMINAL for run in runs)

    def note(self, text: str) -> None:
        """One line beside the table."""
        self._console.print(f"{self._elapsed()}  {text}", highlight=False)

    def _standings(self, runs: Sequence[RunSummary]) -> list[RunStatus]:
        """Where runs are; those that do not run are looked up once for each change."""
        fresh = [run for run in runs if run.state is RunState.RUNNING or run not in self._known]
        looked = dict(zip(fresh, run_statuses(self._ledger, self._storage, fresh), strict=True))
        self._known = {run: looked.get(run) or self._known[run] for run in runs}
        return list(self._known.values())

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _title(self, runs: Sequence[RunSummary], counts: Mapping[RunState, int]) -> str:
        done = sum(number for state, number in counts.items() if state in TERMINAL)
        keys = list(dict.fromkeys(run.suite_key for run in runs))
        names = " and ".join(keys) if len(keys) <= 2 else f"{len(keys)} suites"
        return f"{names}: {done} of {sum(counts.values())} runs ended, {self._elapsed()}"

    def _lines(self, seen: list[RunStatus]) -> None:
        for each in seen:
            doing = each.doing
            told = doing.split(" (")[0]
            if self._said.get(each.run.run_id) != told:
                self._said[each.run.run_id] = told
                self.note(f"{each.run.label}: {doing}")
