"""`ntlbg config generate`: files of one's own to begin with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.completers import complete_gpu
from ntlbg_service.cli.config.shipped import MAIN, shipped_main
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.cli.param_types import FILE

if TYPE_CHECKING:
    from ntlbg_model.config import Config
    from ntlbg_service.cli.config.named import Name
    from ntlbg_service.domain.fitting.fit import Fit


@click.command()
@click.option("--category", help="A category of video length: moderate_long, long, very_long.")
@click.option(
    "--gpu", shell_complete=complete_gpu, help="GPU kind, for example V100_32GB or A100-40GB."
)
@click.option("--experiment", help="A shipped suite, for example ablation_studies.")
@click.option(
    "--config",
    "base",
    type=FILE,
    help=f"The main config it is made from. [default: {MAIN}, or the suite's own]",
)
@click.option("--output", type=FILE, help="Where to write it. [default: print it]")
@click.option("--force", is_flag=True, help="Replace the output file where there is one.")
def command(
    category: str | None,
    gpu: str | None,
    experiment: str | None,
    base: Path | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write a main config of a --category, or a shipped suite (--experiment) as a file of your own.

    A main config has every option, and with --gpu the execution settings that the fit chooses
    there; exit code 3 where nothing fits. A suite names its other files as seen from the output,
    and is called as the output; --gpu and --category then say what it runs on and which videos.
    """
    from ntlbg_service.cli.config.writing import check_output, to_text, write_config
    from ntlbg_service.domain.errors import UserError

    if output is not None:
        check_output(output, force=force)
    if experiment is not None:
        values = _suite(experiment, category, gpu, base, output)
    elif category is not None:
        values = _main(category, gpu, base or Path(shipped_main()), output)
    else:
        raise UserError("generate: needs --category NAME or --experiment NAME")
    if output is None:
        click.echo(to_text(values))
    else:
        write_config(values, output)
        click.echo(f"written: {output}")


def _main(category: str, gpu: str | None, base: Path, output: Path | None) -> dict[str, Any]:
    from ntlbg_service.cli.config.main_file import main_file
    from ntlbg_service.cli.config.named import Name, open_named

    source = Name(file=base, part=category)
    config = open_named(source).config
    found = _fitted(source, config, gpu) if gpu else None
    name = f"{category}_{found.profile}" if found else category
    return main_file(source, config, found, output.stem if output else name)


def _fitted(source: "Name", config: "Config", gpu: str) -> "Fit":
    from ntlbg_service.domain.errors import CapacityError
    from ntlbg_service.domain.fitting.analysis import NODE
    from ntlbg_service.domain.fitting.fit import Misfit
    from ntlbg_service.domain.fitting.optimisation import optimise
    from ntlbg_service.domain.hardware.profiles import profile_named

    found = optimise(config, profile_named(gpu, "--gpu", known_kinds()), NODE).found
    if isinstance(found, Misfit):
        raise CapacityError(f"{source}: fits no {found.profile}: {found.reason}")
    return found


def _suite(
    experiment: str,
    category: str | None,
    gpu: str | None,
    base: Path | None,
    output: Path | None,
) -> dict[str, Any]:
    from ntlbg_service.cli.config.shipped import shipped_suite
    from ntlbg_service.cli.config.suite_file import suite_file
    from ntlbg_service.domain.hardware.profiles import profile_named

    return suite_file(
        shipped_suite(experiment),
        folder=output.parent if output else Path(),
        base=base,
        name=output.stem if output else None,
        category=category,
        profile=profile_named(gpu, "--gpu", known_kinds()).name if gpu else None,
    )
