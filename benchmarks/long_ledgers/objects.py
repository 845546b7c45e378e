"""What ended runs have left in storage: the objects of each attempt, made by the thousand.

Objects whose content is the same for all are links to one file, so that a home of 50,000 runs is
made in a minute and takes little disk; a reader finds the same files as after real runs.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ntlbg_service.domain.launch import (
    CheckpointMarker,
    ExitRecord,
    Heartbeat,
    MetricLine,
    to_json,
)
from ntlbg_service.storage.layout import AttemptKeys

from .rows import EndedRun

LINES, STEPS = 20, (25, 50, 75, 100)
"""Metric lines of an attempt, and the steps of its checkpoints, whose markers stay."""
KEPT = (75, 100)
"""Steps whose checkpoints the controller has kept, in the last attempt of a run."""
BEST_EVERY = 10
"""Of one run in so many the best checkpoint is another one, and kept too."""
WEIGHTS = 4096
"""Bytes of each file of a checkpoint."""
MOST_LINKS = 30_000
"""To one file; ext4 allows 65,000."""


def write_objects(home: Path, given: Iterable[EndedRun]) -> None:
    """Exit record, spec, claim, heartbeat, metrics, log, predictions, markers, checkpoints."""
    storage = home / "storage"
    same = _Same(home / "originals")
    for run in given:
        for number in range(1, run.attempts + 1):
            _attempt(storage, run, number, same)


class _Same:
    """Files whose content many objects share."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._links: dict[str, int] = {}

    def link(self, target: Path, name: str, content: bytes) -> None:
        """Let `target` be the file of that name; a new one where a file has too many links."""
        number = self._links.get(name, 0)
        self._links[name] = number + 1
        original = self._folder / f"{name}-{number // MOST_LINKS}"
        if number % MOST_LINKS == 0:
            original.write_bytes(content)
        os.link(original, target)


def _loss(step: int) -> float:
    """Least at step 50."""
    return 1.0 + abs(step - 50) / 100


def _metrics(attempt: int) -> bytes:
    lines = [
        MetricLine(
            attempt=attempt, step=step * 5, time=step * 7.5, values={"train/loss": _loss(step * 5)}
        )
        for step in range(1, LINES + 1)
    ]
    rows = [json.dumps(to_json(line), sort_keys=True) + "\n" for line in lines]
    return "".join(rows).encode()


def _attempt(storage: Path, run: EndedRun, number: int, same: _Same) -> None:
    keys = AttemptKeys(run.run_id, number)
    folder = storage / keys.folder
    for below in ("checkpoints", "predictions", "train"):
        (folder / below).mkdir(parents=True)
    same.link(storage / keys.metrics, f"metrics-{number}", _metrics(number))
    same.link(storage / keys.log, "log", bytes(WEIGHTS))
    same.link(storage / keys.predictions("bench"), "predictions", bytes(WEIGHTS))
    fit, peak = run.new.fits[0], run.new.fits[0].predicted_gib * 900
    _write(storage / keys.process, {"pid": 1, "started": run.ended - 7200})
    beat = Heartbeat(
        attempt=number,
        time=run.ended,
        step=STEPS[-1],
        pid=1,
        host="node-1",
        memory_mib=peak,
        peak_memory_mib=peak,
    )
    _write(storage / keys.heartbeat, to_json(beat))
    record = ExitRecord(
        run_id=run.run_id,
        attempt=number,
        finished=run.state == "finished" and number == run.attempts,
        ended_at=run.ended,
        steps=STEPS[-1],
        train_seconds=150.0,
        peak_memory_mib=peak,
        results={"bench/accuracy": 0.5},
        versions={"torch": "2.0"},
    )
    _write(storage / keys.exit, to_json(record))
    _write(storage / keys.spec, _spec(run, number) | {"fit": to_json(fit)})
    best = () if int(run.run_id, 16) % BEST_EVERY else (50,)
    kept = (*KEPT, *best) if number == run.attempts else ()
    for step in STEPS:
        place = storage / keys.checkpoint(step)
        marker = CheckpointMarker(attempt=number, step=step, path=str(place))
        _write(storage / keys.marker(step), to_json(marker))
        if step not in kept:
            continue
        place.mkdir()
        same.link(place / "adapter_model.safetensors", "weights", bytes(WEIGHTS))


def _spec(run: EndedRun, number: int) -> dict[str, object]:
    """A launch spec as far as those who look at an ended run read it."""
    return {"run_id": run.run_id, "attempt": number, "config": dict(run.new.config)}


def _write(path: Path, value: object) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - half a million of them
        file.write(json.dumps(value, sort_keys=True))
