"""What of a home's storage nobody needs any more, and taking it away."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ntlbg_service.domain.retention import KEPT, superfluous
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import in_pieces
from ntlbg_service.ledger.records import Attempt
from ntlbg_service.results import attempts_of_trial, checkpoints_by_value
from ntlbg_service.storage.at_rest import holds_only_kept
from ntlbg_service.storage.layout import RUNS, AttemptKeys, trials
from ntlbg_service.storage.local import Storage
from ntlbg_service.workspace import Workspace

DAY = 86400.0
UNUSED_DAYS = 30.0
"""How long a cached file must not have been read, where nobody says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Litter:
    """One thing that may go."""

    kind: str
    path: Path
    size: int
    """Bytes."""


def find_litter(
    ledger: Ledger,
    storage: Storage,
    workspace: Workspace,
    *,
    keep: int = KEPT,
    days: float = UNUSED_DAYS,
    clock: Callable[[], float] = time.time,
) -> tuple[Litter, ...]:
    """Checkpoints beyond the policy, those cut short by a kill, and caches not read for `days`.

    The frame cache is left alone while anything runs. Metric lines, predictions, exit records and
    logs always stay.
    """
    before = clock() - days * DAY
    runs = str(storage.path(RUNS))
    doubtful = [each for each in ledger.run_ids() if not holds_only_kept(f"{runs}/{each}", keep)]
    found = [
        litter
        for some in in_pieces(doubtful)
        for run_id, attempts in ledger.attempts_by_run(some).items()
        for litter in _of_run(storage, run_id, attempts, keep)
    ]
    found += _unread("traces", workspace.home / "traces", before)
    if not ledger.active_attempts():
        found += _unread("frame cache", workspace.cache, before)
    return tuple(found)


def _of_run(
    storage: Storage, run_id: str, attempts: tuple[Attempt, ...], keep: int
) -> Iterator[Litter]:
    """Of a run, and of each trial of a sweep."""
    yield from _of_attempts(storage, attempts, keep)
    for key in storage.keys(trials(run_id)):
        name = key.rpartition("/")[2]
        yield from _of_attempts(storage, attempts_of_trial(attempts, name), keep)


def _of_attempts(storage: Storage, attempts: Sequence[Attempt], keep: int) -> Iterator[Litter]:
    active = {each.number for each in attempts if each.state is AttemptState.LAUNCHED}
    by_checkpoint = checkpoints_by_value(storage, attempts)
    for unneeded in superfluous(list(by_checkpoint), active=active, keep=keep):
        path = storage.path(by_checkpoint[unneeded].path)
        yield Litter(kind="checkpoints", path=path, size=size_of(path))
    committed = {storage.path(marker.path) for marker in by_checkpoint.values()}
    for attempt in attempts:
        if attempt.number not in active:
            keys = AttemptKeys(attempt.run_id, attempt.number)
            yield from _cut_short(storage, keys, committed)


def _cut_short(storage: Storage, keys: AttemptKeys, committed: set[Path]) -> Iterator[Litter]:
    """Checkpoint folders without a marker, of an attempt that has ended."""
    for path in sorted(storage.path(keys.work).glob("*step-*")):
        if path.is_dir() and path.resolve() not in committed:
            yield Litter(kind="cut short", path=path, size=size_of(path))


def _unread(kind: str, folder: Path, before: float) -> Iterator[Litter]:
    for path in _files(folder):
        stat = path.stat()
        if max(stat.st_atime, stat.st_mtime) < before:
            yield Litter(kind=kind, path=path, size=stat.st_size)


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in _files(path))
