"""What a run came to, to be held against an undisturbed one bit by bit; and what MLflow has."""

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.records import Attempt
from ntlbg_service.results.attempts import newest_checkpoint
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage

OF_THE_PLACE = ("training_args.bin",)
"""Files of a checkpoint that name folders of their attempt."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that a fault must leave as it is."""

    lines: dict[int, dict[str, float]]
    """What was measured at each step while it trained; of an attempt that was repeated, the last
    one's."""
    results: dict[str, float]
    answers: list[Any]
    checkpoint: dict[str, str]
    """Digest of each file of the last checkpoint: weights, optimizer, schedule, random states."""

    def differences(self, other: "Outcome") -> list[str]:
        """Names of what is not the same."""
        names = [field.name for field in fields(self)]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def outcome_of(storage: LocalStorage, attempts: Sequence[Attempt]) -> Outcome:
    """Of a run that has finished, from its attempts."""
    every = [AttemptKeys(attempt.run_id, attempt.number) for attempt in attempts]
    marker = newest_checkpoint(storage, attempts)
    assert marker is not None
    record = storage.get(every[-1].exit)
    assert record is not None
    return Outcome(
        lines={
            row["step"]: row["values"]
            for keys in every
            for row in storage.lines(keys.metrics)
            if "train/loss" in row["values"]
        },
        results={name: value for name, value in record["results"].items() if "seconds" not in name},
        answers=[
            (row["question_id"], row["answer"])
            for row in storage.lines(every[-1].predictions("glitch"))
        ],
        checkpoint=digests(storage.path(marker.path)),
    )


def digests(folder: Path) -> dict[str, str]:
    """Digest of what each file of a checkpoint holds, tensor by tensor."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(b"\0".join(_content(path))).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in OF_THE_PLACE
    }


def _content(path: Path) -> Iterable[bytes]:
    if path.suffix == ".safetensors":
        return _parts(load_file(path))
    if path.suffix in (".pt", ".pth", ".bin"):
        return _parts(torch.load(path, weights_only=False))
    return [path.read_bytes()]


def _parts(value: Any) -> Iterable[bytes]:
    """A nested value as bytes: order and types count, the way it was stored does not."""
    if isinstance(value, torch.Tensor):
        yield f"{value.dtype}{tuple(value.shape)}".encode()
        yield value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield value.tobytes()
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            yield str(name).encode()
            yield from _parts(value[name])
    elif isinstance(value, list | tuple):
        yield str(len(value)).encode()
        for each in value:
            yield from _parts(each)
    else:
        yield repr(value).encode()


def doubled(storage: LocalStorage, attempts: Sequence[Attempt], mlflow: Path) -> list[str]:
    """What of a run is there more than once: ends, times, answers, entries in MLflow."""
    found = []
    if sum(attempt.state is AttemptState.FINISHED for attempt in attempts) > 1:
        found.append("it finished more than once")
    spans = [_span(storage, AttemptKeys(each.run_id, each.number)) for each in attempts]
    known = [span for span in spans if span is not None]
    if any(later[0] < before[1] for before, later in itertools.pairwise(known)):
        found.append("two attempts ran at once")
    last = AttemptKeys(attempts[-1].run_id, attempts[-1].number)
    asked = [row["question_id"] for row in storage.lines(last.predictions("glitch"))]
    if len(asked) != len(set(asked)):
        found.append("a question was answered twice")
    return found + _doubled_in_mlflow(mlflow, last.run_id)


def _span(storage: LocalStorage, keys: AttemptKeys) -> tuple[float, float] | None:
    times = [float(row["time"]) for row in storage.lines(keys.metrics)]
    return (min(times), max(times)) if times else None


def _doubled_in_mlflow(database: Path, run_id: str) -> list[str]:
    with sqlite3.connect(database) as connection:
        tagged = "select run_uuid from tags where key = 'ntlbg.run_id' and value = ?"
        runs = [row[0] for row in connection.execute(tagged, (run_id,))]
        if len(runs) != 1:
            return [f"MLflow has {len(runs)} runs of it"]
        points = "select key, step, count(*) from metrics where run_uuid = ? group by key, step"
        twice = [row for row in connection.execute(points, runs) if row[2] > 1]
    return [f"MLflow has {key} of step {step} {count} times" for key, step, count in twice]


def points_in_mlflow(database: Path, run_id: str, metric: str) -> dict[int, float]:
    """One metric of a run by its step."""
    query = (
        "select step, value from metrics where key = ? and run_uuid in "
        "(select run_uuid from tags where key = 'ntlbg.run_id' and value = ?)"
    )
    with sqlite3.connect(database) as connection:
        return dict(connection.execute(query, (metric, run_id)).fetchall())


def in_json(value: Any) -> str:
    """For people, where an assertion fails."""
    return json.dumps(value, indent=1, default=str)
