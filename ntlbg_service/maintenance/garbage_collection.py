"""Garbage collection: objects in a home's storage that can be deleted, with the reasons."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ntlbg_service.domain.retention import KEPT, superfluous
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import in_pieces
from ntlbg_service.ledger.records import Attempt, RunSummary
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.attempts import (
    attempts_of_trial,
    checkpoints_by_value,
    read_exit,
)
from ntlbg_service.storage.at_rest import holds_only_kept
from ntlbg_service.storage.layout import RUNS, AttemptKeys, trials
from ntlbg_service.storage.local import DOOMED, CorruptRecordError, Storage

DAY = 86400.0
UNUSED_DAYS = 30.0
"""Default number of days without a read after which a cached file can be deleted."""
UNCLEAR = "unclear"
"""Kind of a checkpoint that is kept since its state cannot be determined."""


@dataclass(frozen=True, kw_only=True)
class Reclaimable:
    """File or folder that can be deleted, or that is kept since its state is unclear."""

    kind: str
    path: Path
    size: int
    """Size in bytes."""
    why: str
    run: str = ""
    """Label of the run, with its suite; empty if it belongs to none."""


@dataclass(frozen=True)
class GarbageReport:
    """Result of a search for garbage in a home."""

    litter: tuple[Reclaimable, ...]
    """Files and folders that can be deleted."""
    unclear: tuple[Reclaimable, ...]
    """Checkpoints that are kept since their markers are missing or unreadable."""


def find_reclaimable(
    ledger: Ledger,
    storage: Storage,
    workspace: Workspace,
    *,
    keep: int = KEPT,
    days: float = UNUSED_DAYS,
    clock: Callable[[], float] = time.time,
    note: Callable[[str], None] = lambda _: None,
) -> GarbageReport:
    """Find checkpoints beyond the policy, partial ones, and cache files not read for `days`.

    The frame cache is skipped while any attempt is active. Metric lines, predictions, exit
    records and logs are always kept, as is a checkpoint whose marker exists but cannot be parsed.
    A run whose objects cannot be read is skipped and reported to `note`.
    """
    before = clock() - days * DAY
    runs = str(storage.path(RUNS))
    doubtful = [each for each in ledger.run_ids() if not holds_only_kept(f"{runs}/{each}", keep)]
    found: list[Reclaimable] = []
    for some in in_pieces(doubtful):
        attempts = ledger.attempts_by_run(some)
        for run in ledger.summaries(some):
            try:
                found += list(_of_run(storage, run, attempts[run.run_id], keep))
            except (CorruptRecordError, OSError) as error:
                note(f"run {run.run_id} is left alone: {error}")
    found += _unread("traces", workspace.home / "traces", before, days)
    if not ledger.active_attempts():
        found += _unread("frame cache", workspace.cache, before, days)
    return GarbageReport(
        litter=tuple(each for each in found if each.kind != UNCLEAR),
        unclear=tuple(each for each in found if each.kind == UNCLEAR),
    )


def _of_run(
    storage: Storage, run: RunSummary, attempts: Sequence[Attempt], keep: int
) -> Iterator[Reclaimable]:
    """Yield the garbage of a run and of each trial of a sweep, with labels for users."""
    label = f"{run.suite_key}: {run.label}"
    yield from _of_attempts(storage, attempts, label, keep)
    for key in storage.keys(trials(run.run_id)):
        name = key.rpartition("/")[2]
        trial = attempts_of_trial(attempts, name)
        yield from _of_attempts(storage, trial, f"{label}, {name}", keep)


def _of_attempts(
    storage: Storage, attempts: Sequence[Attempt], run: str, keep: int
) -> Iterator[Reclaimable]:
    active = {each.number for each in attempts if each.state is AttemptState.LAUNCHED}
    by_checkpoint = checkpoints_by_value(storage, attempts)
    for unneeded in superfluous(list(by_checkpoint), active=active, keep=keep):
        path = storage.path(by_checkpoint[unneeded].path)
        why = f"older than the newest {keep}, and not the one with the least loss"
        yield _litter("checkpoints", path, why, run, unneeded.attempt)
    committed = {marker.path for marker in by_checkpoint.values()}
    for attempt in attempts:
        if attempt.number not in active:
            yield from _uncommitted(storage, attempt, committed, run)


def _uncommitted(
    storage: Storage, attempt: Attempt, committed: set[str], run: str
) -> Iterator[Reclaimable]:
    """Yield checkpoint folders of an ended attempt that have no valid marker."""
    keys = AttemptKeys(attempt.run_id, attempt.number)
    markers = storage.keys(keys.markers)
    known = any(key.startswith(f"{keys.work}/") for key in committed)
    for path in sorted(storage.path(keys.work).glob("*step-*")):
        if not path.is_dir() or f"{keys.work}/{path.name}" in committed:
            continue
        if f"{keys.markers}/{path.name}.json" in markers:
            yield _litter(UNCLEAR, path, "its marker cannot be understood", run, attempt.number)
        elif path.name.startswith(DOOMED):
            yield _litter("cut short", path, "its delete was cut short", run, attempt.number)
        elif _may_be_the_model(storage, attempt, path.name, known):
            yield _litter(
                UNCLEAR, path, "its run has finished, without a marker of it", run, attempt.number
            )
        else:
            yield _litter(
                "cut short", path, "its attempt ended before it was whole", run, attempt.number
            )


def _may_be_the_model(storage: Storage, attempt: Attempt, name: str, known: bool) -> bool:
    """Return True if a folder may have the final model of a finished attempt.

    That is the folder of its last step, or any if no checkpoint is `known` to be complete.
    """
    keys = AttemptKeys(attempt.run_id, attempt.number)
    record = read_exit(storage, keys)
    if record is None or not record.finished:
        return attempt.state is AttemptState.FINISHED and not known
    return not known or keys.checkpoint(record.steps) == f"{keys.work}/{name}"


def _litter(kind: str, path: Path, why: str, run: str, attempt: int) -> Reclaimable:
    return Reclaimable(
        kind=kind, path=path, size=size_of(path), why=why, run=f"{run}, attempt {attempt}"
    )


def _unread(kind: str, folder: Path, before: float, days: float) -> Iterator[Reclaimable]:
    for path in _files(folder):
        stat = path.stat()
        if max(stat.st_atime, stat.st_mtime) < before:
            why = f"not read for {days:g} days"
            yield Reclaimable(kind=kind, path=path, size=stat.st_size, why=why)


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size_of(path: Path) -> int:
    """Return the bytes of a file, of all files below a folder, or of a link itself."""
    if path.is_symlink():
        return path.lstat().st_size
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in _files(path))
