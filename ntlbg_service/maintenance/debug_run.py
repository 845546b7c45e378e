"""One attempt of a run again, alone, in a home of its own: the ledger knows nothing of it."""

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
    """What a runner is told of an attempt whose results go to `scratch`.

    With the settings of the run's newest attempt, else of the next one, from its first step; with
    the code that is here, whatever it was submitted with.
    `steps`: at most so many, where all are too many to wait for. Decoded frames are shared.
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
    """Put it where the executor looks for it."""
    keys = AttemptKeys(spec.run_id, spec.attempt)
    storage.put(keys.spec, to_json(spec))
    return keys
