"""Steps, checkpoints and measurements of an ended attempt, read from storage."""

from collections.abc import Sequence

from ntlbg_service.domain.launch import CheckpointMarker, ExitRecord, Heartbeat, LaunchSpec
from ntlbg_service.domain.recovery import Ended, FailureClass
from ntlbg_service.ledger.records import Attempt, Measured
from ntlbg_service.results.attempts import read_exit
from ntlbg_service.storage.layout import AttemptKeys, step_of
from ntlbg_service.storage.local import Storage
from ntlbg_service.storage.typed_records import read_intact


def keys_of(attempt: Attempt) -> AttemptKeys:
    """Return the names of an attempt's objects in storage."""
    return AttemptKeys(attempt.run_id, attempt.number)


def history(
    storage: Storage, attempts: Sequence[Attempt], newest: FailureClass
) -> tuple[Ended, ...]:
    """Return the failed attempts of a run, oldest first; `newest` is the last one's failure."""
    steps = 0
    found: list[Ended] = []
    for attempt in attempts:
        failure = newest if attempt is attempts[-1] else attempt.failure
        steps = max(steps, committed_steps(storage, keys_of(attempt)))
        if failure is not None:
            on_cpu = attempt.fit.profile == "cpu"
            found.append(
                Ended(
                    failure=failure,
                    nodes=attempt.nodes,
                    steps=steps,
                    on_cpu=on_cpu,
                    suspects=suspects(storage, attempt),
                )
            )
    return tuple(found)


def suspects(storage: Storage, attempt: Attempt) -> tuple[str, ...]:
    """Return the names of an attempt's nodes whose copy of the run's inputs failed its check."""
    record = read_exit(storage, keys_of(attempt))
    if record is None or not record.suspect:
        return ()
    if len(attempt.nodes) == 1:
        return attempt.nodes
    spec = read_intact(storage, LaunchSpec, keys_of(attempt).spec)
    placed = spec.nodes if spec else ()
    if len(placed) != len(attempt.nodes):
        return ()
    return tuple(
        name for name, ray_id in zip(attempt.nodes, placed, strict=True) if ray_id == record.suspect
    )


def committed_steps(storage: Storage, keys: AttemptKeys) -> int:
    """Return the step of an attempt's newest committed checkpoint, even if deleted; else 0."""
    for key in reversed(storage.keys(keys.markers)):
        marker = read_intact(storage, CheckpointMarker, key)
        if marker is not None and key == keys.marker(marker.step):
            return marker.step
    return 0


def measured_of(storage: Storage, attempt: Attempt, record: ExitRecord | None) -> Measured:
    """Return an attempt's measurements, from its exit record, else from its last heartbeat."""
    if record is None:
        last = read_intact(storage, Heartbeat, keys_of(attempt).heartbeat)
        if last is None:
            return Measured()
        return Measured(peak_mib=last.peak_memory_mib, finished_steps=last.step)
    done = record.steps - (step_of(attempt.resume_from) if attempt.resume_from else 0)
    seconds = record.train_seconds
    return Measured(
        peak_mib=record.peak_memory_mib,
        seconds_per_step=None if seconds is None or done <= 0 else seconds / done,
        finished_steps=record.steps,
    )
