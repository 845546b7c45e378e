"""Launch specs: the input of an attempt's runner."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from ntlbg_model.config import Config
from ntlbg_model.names import flaw_of_file_name
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import LaunchSpec, Trial
from ntlbg_service.domain.resolve import parse
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.confined import LeavesStorageError, confined
from ntlbg_service.storage.layout import code
from ntlbg_service.submission.fingerprints import data_root_of


def launch_spec(
    run: Run,
    attempt: Attempt,
    workspace: Workspace,
    ray_ids: Mapping[str, str] = MappingProxyType({}),
) -> LaunchSpec:
    """Return the spec of an attempt of a run. `ray_ids` are Ray's ids of nodes by their names."""
    source = f"ledger run {run.run_id}"
    trials = tuple(parse(Trial, trial, source) for trial in run.details.get("trials", ()))
    storage = here(workspace)
    return LaunchSpec(
        launch_id=attempt.launch_id,
        run_id=run.run_id,
        attempt=attempt.number,
        work=run.work,
        config=parse(Config, run.config, source),
        seed=run.seed,
        fit=attempt.fit,
        storage=storage,
        data_root=data_root(run, workspace),
        cache=_whole(workspace.cache),
        nodes=tuple(ray_ids[name] for name in attempt.nodes if name in ray_ids),
        code=_code(run, workspace),
        stage=workspace.stage,
        resume_from=_checkpoint(attempt, storage) if attempt.resume_from else None,
        trials=trials,
        metric=run.details.get("metric", "accuracy"),
        concurrency=run.details.get("concurrency", 1),
    )


def data_root(run: Run, workspace: Workspace) -> str:
    """Return the present root of a run's data sets."""
    return str(
        data_root_of(
            str(run.details["data_root"]),
            str(run.identity["data"]),
            parse(Config, run.config, f"ledger run {run.run_id}"),
            home=Path(_whole(workspace.home)),
            now=Path(_whole(workspace.data_root)),
        )
    )


def _checkpoint(attempt: Attempt, storage: str) -> str:
    """Return the present path of the checkpoint that the attempt resumes from."""
    try:
        return str(confined(Path(storage), attempt.resume_from or ""))
    except LeavesStorageError as error:
        raise UserError(f"ledger run {attempt.run_id}: resume_from: {error}") from None


def _code(run: Run, workspace: Workspace) -> str | None:
    """Return the folder of the code that the run was submitted with; None for the installed one."""
    version = run.details.get("code")
    if not version:
        return None
    flaw = flaw_of_file_name(str(version))
    if flaw is not None:
        raise UserError(f"ledger run {run.run_id}: details.code: {flaw}")
    return str(confined(Path(here(workspace)), code(version)))


def here(workspace: Workspace) -> str:
    """Return the storage root as specs name it."""
    return _whole(workspace.storage)


@lru_cache(maxsize=256)
def _whole(path: Path) -> str:
    """Return an absolute path, valid on every node; cached, since the paths do not change."""
    return str(path.resolve())
