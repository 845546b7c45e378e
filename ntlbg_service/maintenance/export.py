"""Export of a run's model to a self-contained folder."""

import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ntlbg_model.backbone.exported import ORIGIN
from ntlbg_model.config import Config
from ntlbg_model.safe_loading import check_checkpoint
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import CheckpointMarker, Work
from ntlbg_service.domain.resolve import parse
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.results.attempts import (
    attempts_of_trial,
    best_trial,
    committed_checkpoints,
    read_exit,
    read_trials,
    unclear_checkpoints,
)
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

RESUMING = (
    "optimizer*",
    "scheduler*",
    "scaler*",
    "rng_state*",
    "trainer_state*",
    "training_args*",
    "global_step*",
    "latest",
    "zero_to_*",
    ".*",
)
"""Patterns of checkpoint files that are needed only to resume training."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Result of an export."""

    label: str
    """Label of the run, for users."""
    folder: Path
    step: int
    size: int
    """Size in bytes."""


def export(
    ledger: Ledger, storage: Storage, run: Run, folder: Path, step: int | None = None
) -> Export:
    """Write the model of a run's checkpoint to a new folder atomically.

    Takes the newest committed checkpoint, or the one of `step`; for a sweep, its best trial's. The
    folder has the trained weights, the base's tokenizer if they are a whole model,
    `ntlbg_run.json` with the run's config, identity and results, and a README. Raises UserError.
    """
    attempts = ledger.attempts_of(run.run_id)
    if run.work is Work.SWEEP:
        run, attempts = _best(storage, run, attempts)
    marker = _chosen(storage, run, attempts, step)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}")
    half.mkdir()
    try:
        _fill(half, storage, run, marker)
        half.replace(folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Export(label=run.label, folder=folder, step=marker.step, size=size)


def _best(
    storage: Storage, run: Run, attempts: Sequence[Attempt]
) -> tuple[Run, tuple[Attempt, ...]]:
    """Return the best trial of a sweep's newest attempt, in the form of a run."""
    best = best_trial(run, read_trials(storage, run, attempts))
    if best is None:
        raise UserError(f"{run.label}: no trial has finished: {run.state}")
    tried = attempts_of_trial(attempts[-1:], best.name)
    name = f"{run.variant}/{best.name}"
    return replace(run, run_id=tried[0].run_id, variant=name, config=best.config), tried


def _chosen(
    storage: Storage, run: Run, attempts: Sequence[Attempt], step: int | None
) -> CheckpointMarker:
    config = parse(Config, run.config, f"ledger run {run.run_id}")
    if config.training.max_steps == 0:
        base = config.model.base_model
        raise UserError(f"{run.label} trains nothing: its model is its base, '{base}'")
    found = {marker.step: marker for marker in committed_checkpoints(storage, attempts)}
    unclear = unclear_checkpoints(storage, attempts)
    if unclear and step is None:
        others = f"; --step exports another: {', '.join(map(str, sorted(found)))}" if found else ""
        raise UserError(f"{run.label}: the marker of {unclear[-1]} cannot be understood{others}")
    if not found:
        raise UserError(f"{run.label} has no checkpoint yet: {run.state}")
    if step is None:
        return found[max(found)]
    if step not in found:
        nearest = min(found, key=lambda known: abs(known - step))
        raise UserError(f"--step: no checkpoint of step {step}; the nearest is {nearest}")
    return found[step]


def _fill(folder: Path, storage: Storage, run: Run, marker: CheckpointMarker) -> None:
    from ntlbg_model.modeling.checkpoint import add_words

    source = storage.path(marker.path)
    links = [path for path in source.rglob("*") if path.is_symlink()]
    if links:
        raise UserError(f"{links[0]}: is a link, and a checkpoint has none; it is not followed")
    try:
        check_checkpoint(source)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    _copy(source, folder)
    config = parse(Config, run.config, f"ledger run {run.run_id}")
    add_words(folder, config.model.base_model)
    origin = _origin(storage, run, config, marker)
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").write_text(_readme(run, marker, origin["results"]))


def _copy(source: Path, target: Path) -> None:
    """Copy the files that a model loads from, with the default modes of the target folder."""
    names = [path.name for path in source.iterdir()]
    left_out = shutil.ignore_patterns(*RESUMING)(str(source), names)
    for path in (source / name for name in names if name not in left_out):
        copy = target / path.name
        if path.is_dir():
            copy.mkdir()
            _copy(path, copy)
        else:
            shutil.copyfile(path, copy)


def _origin(storage: Storage, run: Run, config: Config, marker: CheckpointMarker) -> dict[str, Any]:
    record = read_exit(storage, AttemptKeys(run.run_id, marker.attempt))
    last = record is not None and record.finished and record.steps == marker.step
    return {
        "run_id": run.run_id,
        "suite": run.suite_key,
        "identity": dict(run.identity),
        "attempt": marker.attempt,
        "step": marker.step,
        "config": asdict(config),
        # Results are of the last step; another checkpoint was not evaluated.
        "results": dict(record.results) if record is not None and last else {},
        "versions": dict(record.versions) if record is not None else {},
    }


def _readme(run: Run, marker: CheckpointMarker, results: dict[str, float]) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(results.items())]
    table = (
        "\n".join(["| measured by the run | |", "|---|---|", *rows]) if rows else "Not measured."
    )
    base = run.config["model"]["base_model"]
    return f"""# {run.suite_key}: {run.group}/{run.variant}, seed {run.seed}

Step {marker.step} of run {run.run_id}, on the base model `{base}`.

    from ntlbg_model.streaming_qa.videoqa import NTLBGVideoQA
    NTLBGVideoQA.from_pretrained("FOLDER").answer("video.mp4", "a question?")

or `ntlbg ask video.mp4 "a question?" --model FOLDER`, which also takes the selection of the run's
config from `{ORIGIN}`.

{table}
"""
