"""What a run left in storage, read back: the truth that comparison and tracking show."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ntlbg_model.data.records import Prediction
from ntlbg_service.domain.launch import CheckpointMarker, ExitRecord, MetricLine
from ntlbg_service.domain.resolve import parse
from ntlbg_service.ledger.records import Attempt
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage


@dataclass(frozen=True)
class Results:
    """Results of the newest attempt, and the history over all attempts."""

    exit: ExitRecord | None = None
    predictions: dict[str, tuple[Prediction, ...]] = field(default_factory=dict)
    history: tuple[MetricLine, ...] = ()


def read_exit(storage: Storage, keys: AttemptKeys) -> ExitRecord | None:
    """The exit record of an attempt."""
    found = storage.get(keys.exit)
    return parse(ExitRecord, found, keys.exit) if found is not None else None


def read_results(storage: Storage, attempts: Sequence[Attempt], datasets: Sequence[str]) -> Results:
    """Results of a run from its attempts, oldest first. Only the newest one's count."""
    if not attempts:
        return Results()
    keys = AttemptKeys(attempts[-1].run_id, attempts[-1].number)
    predictions = {
        name: tuple(map(Prediction.from_json, storage.lines(keys.predictions(name))))
        for name in datasets
    }
    return Results(
        exit=read_exit(storage, keys),
        predictions={name: rows for name, rows in predictions.items() if rows},
        history=read_history(storage, attempts),
    )


def read_history(storage: Storage, attempts: Sequence[Attempt]) -> tuple[MetricLine, ...]:
    """Metric lines over all attempts, each step once: a resumed attempt repeats a few."""
    seen: set[tuple[int, frozenset[str]]] = set()
    history: list[MetricLine] = []
    for attempt in attempts:
        keys = AttemptKeys(attempt.run_id, attempt.number)
        for row in storage.lines(keys.metrics):
            line = parse(MetricLine, row, keys.metrics)
            mark = (line.step, frozenset(line.values))
            if mark not in seen:
                seen.add(mark)
                history.append(line)
    return tuple(history)


def newest_checkpoint(storage: Storage, attempts: Sequence[Attempt]) -> CheckpointMarker | None:
    """The committed checkpoint with the most steps that is still on disk."""
    markers = [
        parse(CheckpointMarker, found, key)
        for attempt in attempts
        for key in storage.keys(AttemptKeys(attempt.run_id, attempt.number).markers)
        if (found := storage.get(key)) is not None
    ]
    whole = [marker for marker in markers if storage.path(marker.path).is_dir()]
    return max(whole, key=lambda marker: (marker.step, marker.attempt), default=None)
