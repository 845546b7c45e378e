"""Results of attempts read from storage, the source of comparison and tracking."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ntlbg_model.backbone.exported import ORIGIN, OriginError, origin_of
from ntlbg_model.config import Config
from ntlbg_model.records import Prediction
from ntlbg_service.domain.errors import UserError, in_one_line
from ntlbg_service.domain.launch import (
    CheckpointMarker,
    ExitRecord,
    Heartbeat,
    LaunchSpec,
    MetricLine,
    Work,
)
from ntlbg_service.domain.measures import MEASURES
from ntlbg_service.domain.recovery import UNLIMITED, FailureClass, Hours
from ntlbg_service.domain.resolve import parse, with_current_names
from ntlbg_service.domain.retention import Checkpoint
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.storage.files import read_whole
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import CorruptRecordError, Storage
from ntlbg_service.storage.typed_records import (
    damaged_lines,
    read_intact,
    read_record,
    read_records,
)


@dataclass(frozen=True)
class Results:
    """Results of the newest attempt, and the history over all attempts."""

    exit: ExitRecord | None = None
    predictions: dict[str, tuple[Prediction, ...]] = field(default_factory=dict)
    history: tuple[MetricLine, ...] = ()


def config_of_checkpoint(folder: Path) -> Config | None:
    """Return the config that a checkpoint was trained with. Raises UserError.

    It comes from the attempt whose folder has the checkpoint, or from the exported folder; None
    for any other folder.
    """
    try:
        exported = origin_of(folder)
    except OriginError as error:
        raise UserError(str(error)) from None
    if exported is not None:
        return parse(Config, _renamed(exported)["config"], f"{folder / ORIGIN}: config")
    for parent in folder.resolve().parents:
        spec = parent / Path(AttemptKeys("", 0).spec).name
        if parent.name.startswith("attempt-") and spec.is_file():
            try:
                found = json.loads(read_whole(spec))
            except (CorruptRecordError, ValueError, RecursionError) as error:
                raise UserError(f"{spec}: cannot be read: {str(error)[:200]}") from None
            if not isinstance(found, dict):
                raise UserError(f"{spec}: is no launch spec")
            return parse(LaunchSpec, _renamed(found), str(spec)).config
    return None


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    """Return what holds a config, the options in it under today's names."""
    config = found.get("config")
    return found | {"config": with_current_names(config)} if isinstance(config, dict) else found


def read_exit(storage: Storage, keys: AttemptKeys) -> ExitRecord | None:
    """Return the exit record of an attempt, or None.

    If it is corrupt or another attempt's, return one with an infrastructure failure.
    """
    try:
        record = read_record(storage, ExitRecord, keys.exit)
        if record is None:
            return None
        if (record.run_id, record.attempt) != (keys.run_id, keys.attempt):
            raise CorruptRecordError(f"storage: {keys.exit}: is of another attempt")
        return replace(record, message=in_one_line(record.message))
    except CorruptRecordError as error:
        return ExitRecord(
            run_id=keys.run_id,
            attempt=keys.attempt,
            finished=False,
            failure=FailureClass.INFRASTRUCTURE,
            message=in_one_line(str(error))[:500],
            ended_at=0.0,
        )


def read_results(storage: Storage, attempts: Sequence[Attempt], datasets: Sequence[str]) -> Results:
    """Return a run's results from its attempts, oldest first; only the newest one's count."""
    if not attempts:
        return Results()
    keys = AttemptKeys(attempts[-1].run_id, attempts[-1].number)
    predictions = {
        name: _read_predictions(storage, keys.predictions(name), name) for name in datasets
    }
    return Results(
        exit=read_exit(storage, keys),
        predictions={name: rows for name, rows in predictions.items() if rows},
        history=read_history(storage, attempts),
    )


def _read_predictions(storage: Storage, key: str, dataset: str) -> tuple[Prediction, ...]:
    """Return the predictions of a data set, the first one of each question."""
    found: dict[str, Prediction] = {}
    for row in read_records(storage, Prediction, key):
        if row.dataset == dataset:
            found.setdefault(row.question_id, row)
    return tuple(found.values())


def damage(storage: Storage, keys: AttemptKeys, datasets: Sequence[str]) -> tuple[str, ...]:
    """Describe the damaged objects of an attempt, each in a few words."""
    counts = {keys.metrics: damaged_lines(storage, MetricLine, keys.metrics)}
    for key in map(keys.predictions, datasets):
        counts[key] = damaged_lines(storage, Prediction, key)
    lines = [
        f"{_short(key)} has {count} damaged line{'s' * (count > 1)}"
        for key, count in counts.items()
        if count
    ]
    return (*damaged_objects(storage, keys), *lines)


def damaged_objects(storage: Storage, keys: AttemptKeys) -> tuple[str, ...]:
    """Describe the damaged objects, except for metric lines and predictions."""
    found = [key for key in storage.keys(keys.markers) if _marker(storage, keys, key) is None]
    one: type[ExitRecord | Heartbeat]
    for key, one in ((keys.exit, ExitRecord), (keys.heartbeat, Heartbeat)):
        try:
            read_record(storage, one, key)
        except CorruptRecordError:
            found.append(key)
    return tuple(f"{_short(key)} is damaged" for key in found)


def _short(key: str) -> str:
    """Return a key without its run and attempt."""
    return key.partition("/attempt-")[2].partition("/")[2]


def read_history(storage: Storage, attempts: Sequence[Attempt]) -> tuple[MetricLine, ...]:
    """Return the metric lines of all attempts, without those that a resumed attempt repeats."""
    seen: set[tuple[int, frozenset[str]]] = set()
    history: list[MetricLine] = []
    for attempt in attempts:
        keys = AttemptKeys(attempt.run_id, attempt.number)
        for line in read_records(storage, MetricLine, keys.metrics):
            mark = (line.step, frozenset(line.values))
            if mark not in seen:
                seen.add(mark)
                history.append(line)
    return tuple(history)


def newest_checkpoint(storage: Storage, attempts: Sequence[Attempt]) -> CheckpointMarker | None:
    """Return the committed checkpoint on disk with the most steps, or None."""
    found = committed_checkpoints(storage, attempts)
    return max(found, key=lambda marker: (marker.step, marker.attempt), default=None)


def committed_checkpoints(
    storage: Storage, attempts: Sequence[Attempt]
) -> tuple[CheckpointMarker, ...]:
    """Return the committed checkpoints still on disk, by attempt, each with its key as path.

    A marker that names a folder outside its attempt, or another step, is skipped.
    """
    found = []
    for attempt in attempts:
        keys = AttemptKeys(attempt.run_id, attempt.number)
        for key in storage.keys(keys.markers):
            marker = _marker(storage, keys, key)
            if marker is not None and storage.path(marker.path).is_dir():
                found.append(marker)
    return tuple(found)


def _marker(storage: Storage, keys: AttemptKeys, key: str) -> CheckpointMarker | None:
    """Return a checkpoint's marker, with the key of its folder as its path.

    Return None if it is damaged: its attempt, step or folder does not match its key.
    """
    marker = read_intact(storage, CheckpointMarker, key)
    if marker is None or marker.attempt != keys.attempt or key != keys.marker(marker.step):
        return None
    folder = keys.below(marker.path)
    named = re.fullmatch(r"step-(\d{1,12})", Path(folder).name) if folder else None
    if folder is None or named is None or int(named[1]) != marker.step:
        return None
    try:
        work, place = storage.path(keys.work), storage.path(folder)
    except CorruptRecordError:
        return None
    # Older homes have further folders below Ray's own. A link of the attempt's leads elsewhere.
    own = work.as_posix().endswith(f"/{keys.work}") and place.is_relative_to(work)
    return replace(marker, path=folder) if own else None


def unclear_checkpoints(storage: Storage, attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """Return the keys of checkpoint folders whose markers cannot be parsed."""
    known = {marker.path for marker in committed_checkpoints(storage, attempts)}
    marked = [
        f"{keys.work}/{Path(key).stem}"
        for keys in (AttemptKeys(attempt.run_id, attempt.number) for attempt in attempts)
        for key in storage.keys(keys.markers)
    ]
    return tuple(key for key in marked if key not in known and storage.path(key).is_dir())


def checkpoints_by_value(
    storage: Storage, attempts: Sequence[Attempt]
) -> dict[Checkpoint, CheckpointMarker]:
    """Return the committed checkpoints on disk, each with the last loss logged before it."""
    markers = committed_checkpoints(storage, attempts)
    losses = {
        attempt.number: [
            (line.step, line.values["train/loss"])
            for line in read_history(storage, [attempt])
            if "train/loss" in line.values
        ]
        for attempt in attempts
    }
    found = {}
    for marker in markers:
        before = [loss for step, loss in losses[marker.attempt] if step <= marker.step]
        measured = [loss for loss in before[-1:] if math.isfinite(loss)]
        value = Checkpoint(
            attempt=marker.attempt, step=marker.step, loss=measured[0] if measured else None
        )
        found[value] = marker
    return found


class Sign(NamedTuple):
    """Changing part of a heartbeat."""

    time: float
    """Unix time by the worker's clock."""
    done: int
    """Steps and answers of the run so far."""


def signs_of_life(storage: Storage, run: Run, attempt: Attempt) -> tuple[Sign, ...]:
    """Return the newest heartbeats of an attempt, or of a sweep's trials; empty at first."""
    trials = [trial["name"] for trial in run.details.get("trials", ())]
    keys = AttemptKeys(attempt.run_id, attempt.number)
    every = [keys.trial(name) for name in trials] if run.work is Work.SWEEP else [keys]
    beats = [read_intact(storage, Heartbeat, each.heartbeat) for each in every]
    return tuple(Sign(beat.time, beat.step + beat.answers) for beat in beats if beat is not None)


def hours_of(storage: Storage, run: Run, attempts: Sequence[Attempt]) -> Hours:
    """Return the hours that a run's attempts took, each from launch to the last sign of life.

    Reads nothing for a run without a limit.
    """
    if run.max_hours is None:
        return UNLIMITED
    seconds = sum(_seconds_on_devices(storage, run, attempt) for attempt in attempts)
    return Hours(used=seconds / 3600, most=run.max_hours)


def _seconds_on_devices(storage: Storage, run: Run, attempt: Attempt) -> float:
    seen = [sign.time for sign in signs_of_life(storage, run, attempt)]
    record = read_exit(storage, AttemptKeys(attempt.run_id, attempt.number))
    if record is not None:
        seen.append(record.ended_at)
    return max(0.0, max(seen, default=0.0) - attempt.launched_at)


@dataclass(frozen=True)
class TrialResult:
    """Result of one trial of a sweep, ended or not."""

    name: str
    point: dict[str, Any]
    config: dict[str, Any]
    exit: ExitRecord | None
    score: float | None
    """Value of the sweep's metric; None if not finished or not measured."""
    history: tuple[MetricLine, ...]


def read_trials(storage: Storage, run: Run, attempts: Sequence[Attempt]) -> tuple[TrialResult, ...]:
    """Return the trials of a sweep's newest attempt."""
    if not attempts:
        return ()
    keys = AttemptKeys(run.run_id, attempts[-1].number)
    return tuple(_trial(storage, keys, run, trial) for trial in run.details["trials"])


def best_trial(run: Run, trials: Sequence[TrialResult]) -> TrialResult | None:
    """Return the measured trial that is best in the sweep's metric, the first of equals."""
    scores = {trial.name: trial.score for trial in trials if trial.score is not None}
    if not scores:
        return None
    best = MEASURES[run.details["metric"]].best(scores)
    return next(trial for trial in trials if trial.name == best)


def attempts_of_trial(attempts: Sequence[Attempt], name: str) -> tuple[Attempt, ...]:
    """Return a sweep's attempts at one of its trials, in the form of a run's attempts."""
    return tuple(
        replace(attempt, run_id=AttemptKeys(attempt.run_id, attempt.number).trial(name).run_id)
        for attempt in attempts
    )


def _trial(storage: Storage, keys: AttemptKeys, run: Run, trial: dict[str, Any]) -> TrialResult:
    below = keys.trial(trial["name"])
    record = read_exit(storage, below)
    sets = trial["config"]["data"]["evaluation"]
    weights = {each["name"]: each["weight"] for each in sets}
    measure = MEASURES[run.details["metric"]]
    return TrialResult(
        name=trial["name"],
        point=trial["point"],
        config=trial["config"],
        exit=record,
        score=measure.score(record, weights) if record else None,
        history=tuple(read_records(storage, MetricLine, below.metrics)),
    )
