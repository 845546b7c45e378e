"""`ntlbg plan`: what would run where, before anything starts."""

import json
from pathlib import Path

import click

from ntlbg_service.cli.inventory_choice import autoscaler_option, choose_inventory, grown
from ntlbg_service.cli.options import load_selection, selection_options, workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace


@click.command()
@selection_options
@click.option("--inventory", type=FILE, help="Plan for this inventory instead of this machine's.")
@autoscaler_option
@click.option("--parallel", type=click.IntRange(min=1), help="Runs at once on a CPU.")
@click.option(
    "--explain",
    "explained",
    metavar="RUN",
    help="Say why, for one run: VARIANT, GROUP/VARIANT or GROUP/VARIANT/SEED.",
)
@click.option("--no-trace", is_flag=True, help="Predict memory in closed form alone.")
@click.option(
    "--one-numerics",
    "share",
    type=click.FloatRange(min=0),
    metavar="SHARE",
    help="How much longer the suite may take for each group to stay in one numerics class. "
    "[default: 0.5]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(
    suite: Path,
    scale: str | None,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    experiment: str | None,
    inventory: Path | None,
    autoscaler: Path | None,
    parallel: int | None,
    explained: str | None,
    no_trace: bool,
    share: float | None,
    as_json: bool,
    workspace: Workspace,
) -> None:
    """Plan SUITE on an inventory: fits, predicted memory, order and time.

    Needs no Ray and no GPU. Nothing is started and nothing is written but the tracer's cache.
    """
    from ntlbg_service.cli.explanation import print_explanation
    from ntlbg_service.cli.plan_table import print_plan
    from ntlbg_service.cli.tracing import telling
    from ntlbg_service.domain.planning.explain import find_runs
    from ntlbg_service.domain.planning.numerics import SHARE
    from ntlbg_service.domain.planning.plan import plan
    from ntlbg_service.domain.planning.plan_record import to_json

    nodes = grown(choose_inventory(inventory, parallel), autoscaler)
    files, chosen = load_selection(suite, scale, groups, variants, experiment, nodes.kinds)
    with telling(workspace, chosen, trace=not no_trace) as estimates:
        result = plan(
            chosen,
            files.seeds,
            nodes,
            estimates,
            share=SHARE if share is None else share,
            share_gpus=files.suite.share_gpus,
        )
    if explained:
        row, runs = find_runs(result, explained)
        print_explanation(result, row, runs)
    elif as_json:
        click.echo(json.dumps(to_json(result), indent=1))
    else:
        print_plan(result, estimates)
