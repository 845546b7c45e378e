"""Live progress of a suite: a table on a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage


@dataclass(frozen=True)
class Standing:
    """Where one run is."""

    run: Run
    attempt: Attempt | None
    step: int
    steps: int
    loss: float | None
    answered: int

    @property
    def doing(self) -> str:
        """One phrase for a person."""
        if self.run.state is not RunState.RUNNING:
            return f"{self.run.state}: {self.run.reason}" if self.run.reason else self.run.state
        if self.answered:
            return f"answering ({self.answered} questions)"
        if self.step >= self.steps > 0:
            return "evaluating"
        if self.step:
            loss = "" if self.loss is None else f", loss {self.loss:.3f}"
            return f"training {self.step}/{self.steps}{loss}"
        return "starting"


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
        standings = [self._standing(run) for run in self._ledger.current_runs(self._suite_key)]
        if self._live is not None:
            self._live.update(self._table(standings))
        else:
            self._lines(standings)

    def note(self, text: str) -> None:
        """One line beside the table."""
        self._console.print(f"{self._elapsed()}  {text}", highlight=False)

    def _standing(self, run: Run) -> Standing:
        attempts = self._ledger.attempts_of(run.run_id)
        if run.state is not RunState.RUNNING or not attempts:
            last = attempts[-1] if attempts else None
            return Standing(run, last, 0, 0, None, 0)
        keys = AttemptKeys(run.run_id, attempts[-1].number)
        lines = [row for row in self._storage.lines(keys.metrics) if "train/loss" in row["values"]]
        answered = sum(
            1
            for dataset in run.config["data"]["evaluation"]
            for _ in self._storage.lines(keys.predictions(dataset["name"]))
        )
        return Standing(
            run=run,
            attempt=attempts[-1],
            step=lines[-1]["step"] if lines else 0,
            steps=run.config["training"]["max_steps"],
            loss=lines[-1]["values"]["train/loss"] if lines else None,
            answered=answered,
        )

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _table(self, standings: list[Standing]) -> Table:
        done = sum(standing.run.state in TERMINAL for standing in standings)
        title = f"{self._suite_key}: {done} of {len(standings)} runs ended, {self._elapsed()}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in ("run", "attempt", "on", "memory predicted", "now"):
            table.add_column(heading)
        for standing in standings:
            attempt = standing.attempt
            table.add_row(
                standing.run.label,
                str(attempt.number) if attempt else "-",
                attempt.fit.profile if attempt else "-",
                f"{attempt.fit.predicted_gib:.1f} GiB" if attempt else "-",
                standing.doing,
            )
        return table

    def _lines(self, standings: list[Standing]) -> None:
        for standing in standings:
            doing = standing.doing
            told = doing.split(" (")[0]
            if self._said.get(standing.run.run_id) != told:
                self._said[standing.run.run_id] = told
                self.note(f"{standing.run.label}: {doing}")
