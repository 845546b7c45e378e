"""`--stage-to`: where nodes keep copies of what runs read."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ntlbg_service.process.workspace import Workspace


def stage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--stage-to`, `--stage-limit` and `--stage-all`, handed on within the workspace. Goes below
    `workspace_options`."""

    @click.option(
        "--stage-to",
        metavar="DIR",
        envvar="NTLBG_STAGE",
        help="Bring weights and videos that lie on the network to this folder of each node before "
        "a run begins, and keep them. May begin with a variable of the node: '$SCRATCH/ntlbg'.",
    )
    @click.option(
        "--stage-limit",
        metavar="GIB",
        type=click.FloatRange(min=0, min_open=True),
        envvar="NTLBG_STAGE_LIMIT",
        help="What the copies may take of a node's disk; those unused for longest go first. "
        "[default: all but a tenth of the disk]",
    )
    @click.option(
        "--stage-all",
        is_flag=True,
        envvar="NTLBG_STAGE_ALL",
        help="Copy also what lies on the node's own disks: from a slow one to a fast one.",
    )
    @wraps(command)
    def with_stage(
        *args: Any,
        workspace: Workspace,
        stage_to: str | None,
        stage_limit: float | None,
        stage_all: bool,
        **kwargs: Any,
    ) -> Any:
        staged = _staged(workspace, stage_to, stage_limit, stage_all)
        return command(*args, workspace=staged, **kwargs)

    return with_stage


def _staged(
    workspace: Workspace, folder: str | None, most_gib: float | None, everything: bool
) -> Workspace:
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.launch import Stage

    if folder is None:
        if most_gib is not None or everything:
            raise UserError("--stage-limit and --stage-all say how; --stage-to DIR says where")
        return workspace
    if not Path(folder).is_absolute() and not folder.startswith(("$", "~/")):
        raise UserError(
            f"--stage-to {folder}: must be the same on every node: an absolute path, or one that "
            "begins with a variable of the node or '~/'"
        )
    return replace(workspace, stage=Stage(folder=folder, most_gib=most_gib, everything=everything))
