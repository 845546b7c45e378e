"""Memory estimates from traces cached on disk, calibrated with measured peaks."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import ntlbg_model
from ntlbg_model.config import Config, DataConfig, EvaluationConfig, HardwareConfig, TrainingConfig
from ntlbg_model.footprint import CONTEXT_GIB, Footprint, Step, run_footprint
from ntlbg_service.domain.fitting.estimates import Calibration, Estimates
from ntlbg_service.estimates.source_files import files_behind

TRACER = "ntlbg_model.tracing.trace"
PACKAGES = ("torch", "transformers", "peft")
"""Packages whose releases determine what a step allocates."""

Tracer = Callable[[Config, Step, float], Footprint | None]
"""A function that traces a step; it returns None if it cannot trace it."""


def open_estimates(
    home: Path,
    *,
    trace: bool = True,
    tracer: Tracer | None = None,
    learned: Mapping[str, Calibration] | None = None,
) -> Estimates:
    """Return the estimates of a home; `trace` allows traces, which import torch and take seconds.

    `learned` holds calibrations from measured peaks by profile (`measured.read_calibrations`).
    """
    return _Estimates(home / "traces", (tracer or _trace) if trace else None, learned or {})


def _trace(config: Config, step: Step, context: float) -> Footprint | None:
    """Trace a step, or return None to fall back to the closed form.

    None if an operation has no meta kernel, or a published model is not on this machine.
    """
    from ntlbg_model.backbone.model import BackboneError
    from ntlbg_model.tracing.trace import trace_run

    try:
        return trace_run(config, step, context)
    except (BackboneError, NotImplementedError):
        return None


class _Estimates:
    """Estimates by closed form, by traces computed once per key, and by learned calibrations."""

    def __init__(
        self, folder: Path, tracer: Tracer | None, learned: Mapping[str, Calibration]
    ) -> None:
        self._folder = folder
        self._tracer = tracer
        self._learned = learned

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        return run_footprint(config, step, context)

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        if self._tracer is None or step.cpu:
            return None
        path = self._folder / f"{memory_key(config, step, context)}.json"
        found = _read(path)
        if found is None:
            found = self._tracer(config, step, context)
            if found is not None:
                _write(path, found)
        return found

    def calibration(self, profile: str) -> Calibration:
        return self._learned.get(profile, Calibration())


def memory_key(config: Config, step: Step, context: float = CONTEXT_GIB) -> str:
    """Return a digest of the settings that determine memory.

    Learning rates, numbers of steps, data sets and nodes are excluded.
    """
    training, default = config.training, TrainingConfig()
    matters = replace(
        config,
        data=DataConfig(),
        evaluation=EvaluationConfig(),
        hardware=HardwareConfig(),
        model=replace(config.model, lora_alpha=1, lora_dropout=0.0),
        training=replace(
            default,
            max_steps=min(1, training.max_steps),
            warmup_steps=0,
            optimizer=training.optimizer,
            loss=training.loss,
        ),
    )
    one_node = replace(step, nodes=1)
    text = json.dumps([asdict(matters), asdict(one_node), context, trace_version()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def trace_version() -> str:
    """Return a digest of the tracer's source files and the releases of `PACKAGES`."""
    root = Path(ntlbg_model.__file__).parent
    sha = hashlib.sha256()
    for path in files_behind(root, TRACER):
        sha.update(path.relative_to(root).as_posix().encode())
        sha.update(path.read_bytes())
    for package in PACKAGES:
        sha.update(f"{package} {importlib.metadata.version(package)}".encode())
    return sha.hexdigest()


def _read(path: Path) -> Footprint | None:
    """Return a cached trace, or None if it cannot be read; it is then computed again."""
    try:
        return Footprint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, found: Footprint) -> None:
    """Cache a trace; if it cannot be written, it is computed again the next time."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(found)), encoding="utf-8")
        draft.replace(path)
