"""Options that several commands share, and what they open."""

import os
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ntlbg_service.cli.completing import complete_group, complete_scale, complete_variant
from ntlbg_service.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.controller.climbing import Ground
    from ntlbg_service.domain.fitting.estimates import Estimates
    from ntlbg_service.domain.hardware.inventory import Inventory
    from ntlbg_service.domain.hardware.profile import Profile
    from ntlbg_service.domain.scheduling.caps import Caps
    from ntlbg_service.domain.states import RunState
    from ntlbg_service.domain.suite import SuiteFiles
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.webhook import Webhook

Command = TypeVar("Command", bound=Callable[..., Any])

NOTIFY = "NTLBG_NOTIFY"
"""Environment variable of `--notify`."""
NOTIFY_ON = "NTLBG_NOTIFY_ON"
"""The same of `--notify-on`, its states apart by blanks."""
LONGEST_NAME = 255
"""Bytes of a file's name."""


class FilePath(click.ParamType[Path]):
    """A path that a file system could take."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Fails for a name with control characters, or too long for any."""
        path = Path(value)
        if "\0" in str(path) or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            self.fail(f"{str(path)[:60]!r}: no file can be called so", param, ctx)
        return path


FILE = FilePath()
PRIORITY = click.IntRange(-1_000_000, 1_000_000)


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
        workspace = Workspace(
            home=home, data_root=data_root or home / "data", ledger=ledger, mlflow=mlflow
        )
        return command(*args, workspace=workspace, **kwargs)

    return with_workspace


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
    from ntlbg_service.domain.expansion import expand, pick
    from ntlbg_service.loading import load_suite

    files = load_suite(suite, scale, known_kinds() if kinds is None else kinds)
    if experiment is not None:
        more_groups, more_variants = pick(files, experiment)
        groups, variants = groups + more_groups, variants + more_variants
    return files, expand(files, groups, variants)


def open_ledger(workspace: Workspace) -> "Ledger":
    """The workspace's ledger, its schema up to date."""
    from ntlbg_service.ledger.database import open_database
    from ntlbg_service.ledger.ledger import Ledger

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
    from ntlbg_service.domain.scheduling.caps import Caps
    from ntlbg_service.loading import load_caps

    return load_caps(file) if file else Caps()


def _hide_unusable(kinds: "Sequence[Profile]") -> None:
    """Let runs of this machine, each with a Ray of its own, see only GPUs that can be used."""
    from ntlbg_service.nodes.inventory import read_node

    left = read_node().left_for_runs(kinds)
    if left is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = left


def autoscaler_option(command: Command) -> Command:
    """`--autoscaler`, a file."""
    return click.option(
        "--autoscaler",
        type=FILE,
        envvar="NTLBG_AUTOSCALER",
        help="Count on the nodes that an autoscaler may add: Ray's cluster YAML, or a RayCluster, "
        "RayJob or RayService of KubeRay.",
    )(command)


def grown(inventory: "Inventory", autoscaler: Path | None) -> "Inventory":
    """An inventory with what an autoscaler's file lets it add."""
    from ntlbg_service.domain.hardware.growth import with_node_types
    from ntlbg_service.nodes.node_types import load_node_types

    if autoscaler is None:
        return inventory
    return with_node_types(inventory, load_node_types(autoscaler, inventory.kinds))


def notify_options(command: Command) -> Command:
    """`--notify` and `--notify-on`."""
    where = click.option(
        "--notify",
        metavar="URL|@FILE",
        envvar=NOTIFY,
        help="Post what becomes of runs and suites to this address as JSON, for example a Slack "
        "webhook; or to the address in FILE.",
    )
    when = click.option(
        "--notify-on",
        metavar="STATE",
        envvar=NOTIFY_ON,
        multiple=True,
        help="Only of runs and suites in this state: queued (again), running, finished, failed, "
        "cancelled, lost. Repeatable.",
    )
    return where(when(command))


def read_webhook(value: str | None, source: str) -> "Webhook | None":
    """The receiver at an address, or at that in a file. Errors never have the address in them."""
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.webhook import Webhook

    if not value:
        return None
    if not value.startswith("@"):
        return Webhook(value.strip(), source)
    file = Path(value[1:])
    try:
        return Webhook(file.read_text(encoding="utf-8").strip(), f"{source}: {file}")
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or "is no text"
        raise UserError(f"{source}: {file}: {words}") from None


def read_states(words: "Sequence[str]", source: str) -> "frozenset[RunState]":
    """States by name, all of them where none is named. Raises UserError."""
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.domain.states import RunState

    known = [state.value for state in RunState]
    for word in words:
        if word not in known:
            raise UserError(f"{source}: unknown state '{word}'; {nearest(word, known)}")
    return frozenset(map(RunState, words)) or frozenset(RunState)


def known_kinds() -> "tuple[Profile, ...]":
    """GPU kinds beside those built in: the files that NTLBG_PROFILES names."""
    from ntlbg_service.loading import load_kinds

    return load_kinds(os.environ)


def choose_inventory(
    file: Path | None, slots: int | None, *, hopeful: bool = False, thorough: bool = True
) -> "Inventory":
    """An inventory file, else what is there now; NTLBG_PROFILES names further GPU kinds.

    `hopeful`: kinds of which no GPU can be used now are there too, for much later. Not `thorough`:
    names of nodes will do, and a cluster's GPUs are as Ray's dashboard knows them.
    """
    ground = choose_ground(file, slots, hopeful=hopeful, thorough=thorough, holds=False)
    return ground.inventory


def choose_ground(
    file: Path | None,
    slots: int | None,
    estimates: "Estimates | None" = None,
    executor: str | None = None,
    *,
    hopeful: bool = False,
    thorough: bool = True,
    holds: bool = True,
) -> "Ground":
    """The nodes of an inventory file, else those there now for an executor: read anew, where they
    are a cluster's. `holds`: GPUs that cannot be used are kept from runs. The other options are
    those of `choose_inventory`."""
    from ntlbg_service.controller.climbing import Ground
    from ntlbg_service.domain.fitting.estimates import CLOSED_FORM
    from ntlbg_service.executors.choice import chosen
    from ntlbg_service.executors.job_client import JobClient
    from ntlbg_service.loading import load_inventory
    from ntlbg_service.nodes.inventory import inventory_of, ray_ids_of, read_nodes
    from ntlbg_service.nodes.readings import NodeReadings
    from ntlbg_service.nodes.survey import Seen, Survey

    kinds = known_kinds()
    estimates = estimates or CLOSED_FORM
    if file:
        return Ground(inventory=load_inventory(file, kinds), estimates=estimates)
    on_cluster = chosen(os.environ, executor) != "local"
    environment = os.environ if on_cluster else {}
    client = JobClient(os.environ.get("RAY_ADDRESS", "")) if on_cluster else None
    readings = NodeReadings(client, os.environ, holds=holds) if client and thorough else None

    def read() -> Seen:
        nodes = read_nodes(environment, client, readings)
        if readings is not None:
            readings.keep_off({str(node.ray_id): node.kept_off(kinds) for node in nodes})
        return Seen(inventory_of(nodes, slots, kinds, hopeful), ray_ids_of(nodes, kinds))

    first = read()
    if holds and not on_cluster:
        _hide_unusable(kinds)
    if readings is not None and readings.unheld:
        readings.read()
    survey = Survey(read, time.monotonic) if on_cluster else None
    return Ground(
        inventory=first.inventory, estimates=estimates, ray_ids=first.ray_ids, survey=survey
    )
