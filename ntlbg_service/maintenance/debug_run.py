"""Repetition of one attempt of a run in a separate home, without a record in the ledger."""

from dataclasses import replace
from pathlib import Path

from ntlbg_service.controller.spec import data_root, launch_spec
from ntlbg_service.domain.launch import LaunchSpec, Work, to_json
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage


def debug_spec(
    ledger: Ledger, run: Run, workspace: Workspace, scratch: Path, steps: int | None
) -> LaunchSpec:
    """Return the launch spec of an attempt whose results go to `scratch`.

    It has the settings of the run's newest attempt, else of the next one, starts at the first
    step, and uses the local code, not the submitted code. `steps` limits the training steps.
    The cache of decoded frames is shared with the home.
    """
    attempts = ledger.attempts_of(run.run_id)
    fits = (run.next_fit,) if run.next_fit else run.fits
    fit = attempts[-1].fit if attempts else min(fits, key=lambda fit: fit.gpu_hours)
    attempt = Attempt(
        run_id=run.run_id,
        number=1,
        state=AttemptState.LAUNCHED,
        fit=fit,
        resume_from=None,
        failure=None,
        message="",
        launched_at=ledger.now(),
        ended_at=None,
    )
    spec = launch_spec(run, attempt, replace(workspace, home=scratch))
    cache, data = str(workspace.cache.resolve()), data_root(run, workspace)
    spec = replace(spec, cache=cache, data_root=data, code=None)
    return spec if steps is None else _shortened(spec, steps)


def _shortened(spec: LaunchSpec, steps: int) -> LaunchSpec:
    if spec.work is not Work.TRAIN:
        return spec
    training = spec.config.training
    most = min(steps, training.max_steps)
    short = replace(training, max_steps=most, warmup_steps=min(training.warmup_steps, most))
    return replace(spec, config=replace(spec.config, training=short))


def write_spec(storage: Storage, spec: LaunchSpec) -> AttemptKeys:
    """Write the spec to the key where the executor reads it, and return the attempt's keys."""
    keys = AttemptKeys(spec.run_id, spec.attempt)
    storage.put(keys.spec, to_json(spec))
    return keys
