"""`ntlbg config validate`: files checked before anything starts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completers import complete_gpu
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.cli.config.checked import Checked
    from ntlbg_service.domain.hardware.inventory import Inventory
    from ntlbg_service.domain.planning.reach import Reach

FEW = 3
"""So many names are told one by one."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--gpu",
    "kinds",
    multiple=True,
    shell_complete=complete_gpu,
    help="Judge memory on this GPU kind. Repeatable.",
)
@click.option("--inventory", type=FILE, help="Judge memory on the nodes of this inventory.")
@click.option("--strict", is_flag=True, help="A warning ends with exit code 2, no fit with 3.")
@workspace_options
def command(
    files: tuple[Path, ...],
    kinds: tuple[str, ...],
    inventory: Path | None,
    strict: bool,
    workspace: Workspace,
) -> None:
    """Check FILES: main configs, suites (at every scale), sweeps, scales and inventories.

    Says on which kinds of GPU they fit (in closed form, each kind in one node of 8, unless
    --inventory says otherwise), whether nodes have the GPUs that are asked for, and which data
    sets are not there. A suite is judged at its own scale.
    """
    from ntlbg_service.cli.config.checked import check_file
    from ntlbg_service.config_files.missing_data import check_checkpoints
    from ntlbg_service.domain.errors import CapacityError, UserError

    nodes = _nodes(kinds, inventory)
    warned, homeless = [], []
    for file in files:
        checked = check_file(file)
        click.echo(f"{file}: {checked.what}")
        for name, config in checked.configs.items():
            several = len(checked.configs) > 1
            check_checkpoints(config, f"{file}: {name}" if several else str(file))
        if not checked.configs:
            continue
        found, nowhere = _memory(checked, nodes)
        _say("memory", found)
        homeless += [f"{file}: {name}" for name in nowhere]
        for heading, lines in _warnings(checked, nowhere, nodes, workspace):
            _say(heading, lines)
            warned += [f"{file}: {line}" for line in lines]
    if strict and warned:
        raise UserError(f"{warned[0]}{_more(warned)}")
    if strict and homeless:
        raise CapacityError(f"{homeless[0]} fits no kind asked about{_more(homeless)}")


def _more(lines: Sequence[str]) -> str:
    return f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""


def _say(heading: str, lines: Sequence[str]) -> None:
    for index, line in enumerate(lines):
        click.echo(f"  {heading if index == 0 else '':<9} {line}")


def _nodes(kinds: Sequence[str], inventory: Path | None) -> "Inventory":
    from ntlbg_service.config_files.loader import load_inventory
    from ntlbg_service.domain.hardware.profiles import PROFILES, profile_named
    from ntlbg_service.domain.planning.reach import nodes_of

    if inventory is not None:
        return load_inventory(inventory, known_kinds())
    more = known_kinds()
    names = [profile_named(kind, "--gpu", more).name for kind in kinds]
    return nodes_of(names or [*PROFILES, *(kind.name for kind in more)], more)


def _warnings(
    checked: "Checked", nowhere: Sequence[str], nodes: "Inventory", workspace: Workspace
) -> Iterator[tuple[str, list[str]]]:
    from ntlbg_service.config_files.missing_data import missing_data
    from ntlbg_service.domain.planning.reach import too_many_gpus

    asked = {
        reason: name
        for name in nowhere
        if (reason := too_many_gpus(checked.configs[name], nodes)) is not None
    }
    yield "hardware", [f"{name}: {reason}" for reason, name in asked.items()]
    yield "data", list(missing_data(checked.configs.values(), workspace.data_root))


def _memory(checked: "Checked", nodes: "Inventory") -> tuple[list[str], list[str]]:
    """What to say of memory, and which configs fit on no kind."""
    from ntlbg_service.domain.planning.reach import reach

    found = reach(checked.configs, nodes)
    held = {name for kind in found for name in (*kind.fits, *kind.planned)}
    nowhere = [name for name in checked.configs if name not in held]
    alike: dict[str, list[str]] = {}
    for kind in found:
        alike.setdefault(_words(kind, checked.noun), []).append(kind.profile)
    lines = [f"{', '.join(kinds)}: {words}" for words, kinds in alike.items()]
    if len(alike) == 1 and len(found) > FEW:
        lines = [f"every kind: {words}" for words in alike]
    lines += [f"{name} fits none of them: {_reason(name, found)}" for name in nowhere[:FEW]]
    return lines, nowhere


def _reason(name: str, found: "Sequence[Reach]") -> str:
    """Of the last kind that it was tried on, which are the roomiest."""
    reasons = [f"{kind.profile} {kind.misfits[name]}" for kind in found if name in kind.misfits]
    return reasons[-1] if reasons else "the kind it names is not there"


def _words(kind: "Reach", noun: str) -> str:
    """'17 of 20 fit; 2 variants with DeepSpeed (not built yet); not rep_1024'."""
    every = len(kind.fits) + len(kind.planned) + len(kind.misfits)
    if len(kind.fits) == every:
        return "fits" if every == 1 else f"all {every} fit"
    if len(kind.misfits) == every:
        return "does not fit" if every == 1 else "none fits"
    told = [f"{len(kind.fits)} of {every} fit"] if kind.fits else []
    if kind.planned:
        some = "all" if len(kind.planned) == every else _names(kind.planned, noun)
        told.append(f"{some} with DeepSpeed (not built yet)")
    if kind.misfits:
        told.append(f"not {_names(tuple(kind.misfits), noun)}")
    return "; ".join(told)


def _names(names: Sequence[str], noun: str) -> str:
    return ", ".join(names) if len(names) <= FEW else f"{len(names)} {noun}"
