"""The waiting runs as jobs; each step reads only those that are new or have changed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ntlbg_service.domain.scheduling.cluster import Job
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import InQueue, Waiting


class _Read(NamedTuple):
    mark: InQueue
    run: Waiting
    job: Job


@dataclass
class Queue:
    """Cache of waiting runs. It can be dropped at any time: the ledger is authoritative."""

    _read: dict[str, _Read] = field(default_factory=dict)

    def jobs(
        self,
        ledger: Ledger,
        now: float,
        suite_key: str | None,
        job_of: Callable[[Waiting], Job],
    ) -> Sequence[Job]:
        """Return the jobs of the runs that may start now, in the order of their submission."""
        there = ledger.in_queue(now, suite_key)
        changed = {mark.run_id: mark for mark in there if not self._knows(mark)}
        fresh = {
            run_id: _Read(changed[run_id], run, job_of(run))
            for run_id, run in ledger.waiting(list(changed)).items()
        }
        known = self._read | fresh
        self._read = {mark.run_id: known[mark.run_id] for mark in there if mark.run_id in known}
        return [read.job for read in self._read.values()]

    def forget(self, run_id: str) -> None:
        """Drop a run that no longer waits; if it is queued again, it is read again."""
        self._read.pop(run_id, None)

    def labels(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Return the labels of those of these runs that wait, by run id."""
        return {each: self._read[each].run.label for each in run_ids if each in self._read}

    def _knows(self, mark: InQueue) -> bool:
        return mark.run_id in self._read and self._read[mark.run_id].mark == mark
