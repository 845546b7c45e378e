"""Options that several commands share, and what they open."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ntlbg_service.cli.completers import complete_group, complete_scale, complete_variant
from ntlbg_service.cli.crash import Invocation
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.place import remember
from ntlbg_service.process.permissions import following, refused
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.domain.hardware.profile import Profile
    from ntlbg_service.domain.scheduling.caps import Caps
    from ntlbg_service.domain.suite import SuiteFiles
    from ntlbg_service.ledger.ledger import Ledger

Command = TypeVar("Command", bound=Callable[..., Any])
USERS_UMASK = "ntlbg.umask"
"""Of a click context: the umask that the person came with."""


def workspace_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--home`, `--data-root`, `--ledger` and `--mlflow`, handed on as one Workspace."""

    @click.option(
        "--home",
        type=FILE,
        envvar="NTLBG_HOME",
        default=Path(".ntlbg"),
        show_default=True,
        help="Folder of ledger, storage, cache and MLflow.",
    )
    @click.option(
        "--data-root",
        type=FILE,
        envvar="NTLBG_DATA_ROOT",
        default=None,
        help="Where relative data set paths start. [default: HOME/data]",
    )
    @click.option(
        "--ledger",
        metavar="URL",
        envvar="NTLBG_LEDGER",
        default=None,
        help="Database of the ledger, for example postgresql+psycopg://USER@HOST/DATABASE. "
        "[default: SQLite in HOME/ledger.db]",
    )
    @click.option(
        "--mlflow",
        metavar="URL",
        envvar="NTLBG_MLFLOW",
        default=None,
        help="MLflow server that is told of runs, for example http://HOST:5000. "
        "[default: SQLite in HOME/mlflow.db]",
    )
    @wraps(command)
    def with_workspace(
        *args: Any,
        home: Path,
        data_root: Path | None,
        ledger: str | None,
        mlflow: str | None,
        **kwargs: Any,
    ) -> Any:
        remember(click.get_current_context())
        workspace = Workspace(
            home=home, data_root=data_root or home / "data", ledger=ledger, mlflow=mlflow
        )
        with _at_home(home):
            return command(*args, workspace=workspace, **kwargs)

    return with_workspace


@contextmanager
def _at_home(home: Path) -> Iterator[None]:
    """Make everything as the home grants it, and keep a crash there. Raises UserError for a home
    that may not be read."""
    from ntlbg_service.domain.errors import UserError

    context = click.get_current_context()
    if isinstance(context.obj, Invocation):
        context.obj.home = home
    why = refused(home, write=False)
    if why is not None:
        raise UserError(f"--home {home} cannot be read: {why}")
    with following(home) as before:
        context.meta[USERS_UMASK] = before
        yield


@contextmanager
def outside_home() -> Iterator[None]:
    """Make files as the person's umask says: for what is written where the person asked for it."""
    before = os.umask(click.get_current_context().meta[USERS_UMASK])
    try:
        yield
    finally:
        os.umask(before)


def require_writable(workspace: Workspace) -> None:
    """Raise UserError where nothing can be written into the home."""
    from ntlbg_service.domain.errors import UserError

    why = refused(workspace.home, write=True)
    if why is not None:
        raise UserError(f"--home {workspace.home} can only be read: {why}")


def max_hours_option(default: str) -> Callable[[Command], Command]:
    """`--max-hours`. `default`: what holds where it is not given."""
    return click.option(
        "--max-hours",
        type=click.FloatRange(min=0, min_open=True),
        help="End each run that was on devices for so long, over all its attempts; its checkpoint "
        f"is kept. [default: {default}]",
    )


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`SUITE`, `--scale`, `--group`, `--variant`, `--experiment`."""
    decorators = [
        click.argument("suite", type=FILE),
        click.option(
            "--scale",
            shell_complete=complete_scale,
            help="A scale that the suite names, for example 'laptop'.",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            shell_complete=complete_group,
            help="Only this group. Repeatable.",
        ),
        click.option(
            "--variant",
            "variants",
            multiple=True,
            shell_complete=complete_variant,
            help="Only this variant (and its group's baseline). Repeatable.",
        ),
        click.option(
            "--experiment",
            help="A group or variant as the published commands name it, "
            "for example 'ablation_ntlbg_constraint'.",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def load_selection(
    suite: Path,
    scale: str | None,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    experiment: str | None,
    kinds: "Sequence[Profile] | None" = None,
) -> "tuple[SuiteFiles, tuple[Any, ...]]":
    """The suite's files and the variants that the options choose. `kinds`: GPU kinds beside those
    built in; by default those of NTLBG_PROFILES."""
    from ntlbg_service.config_files.loader import load_kinds, load_suite
    from ntlbg_service.domain.expansion import expand, pick

    files = load_suite(suite, scale, load_kinds(os.environ) if kinds is None else kinds)
    if experiment is not None:
        more_groups, more_variants = pick(files, experiment)
        groups, variants = groups + more_groups, variants + more_variants
    return files, expand(files, groups, variants)


def open_ledger(workspace: Workspace, *, to_read: bool = False) -> "Ledger":
    """Open the workspace's ledger, its schema up to date. Raises UserError where the home cannot be
    written, unless it is only to be read."""
    from ntlbg_service.ledger.database import open_database
    from ntlbg_service.ledger.ledger import Ledger

    if not to_read:
        require_writable(workspace)
        workspace.home.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(open_database(workspace.ledger_url), time.time)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(ledger.close)
    return ledger


def caps_option(command: Command) -> Command:
    """`--caps`, a file."""
    return click.option(
        "--caps",
        type=FILE,
        envvar="NTLBG_CAPS",
        help="How many GPUs each user and each suite may hold at once: a JSON file.",
    )(command)


def read_caps(file: Path | None) -> "Caps":
    """A caps file, else no caps."""
    from ntlbg_service.config_files.loader import load_caps
    from ntlbg_service.domain.scheduling.caps import Caps

    return load_caps(file) if file else Caps()
