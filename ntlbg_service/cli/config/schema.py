"""`ntlbg config schema`: every option with its documentation."""

import json

import click


@click.command()
@click.option(
    "--kind",
    type=click.Choice(["config", "suite", "sweep", "scale", "inventory", "profile", "caps"]),
    default="config",
    show_default=True,
)
def command(kind: str) -> None:
    """Print the JSON schema, with the documentation of every option."""
    from ntlbg_model.config import Config
    from ntlbg_service.domain.hardware.inventory import Inventory
    from ntlbg_service.domain.hardware.profile import Profile
    from ntlbg_service.domain.resolve import json_schema
    from ntlbg_service.domain.scheduling.caps import Caps
    from ntlbg_service.domain.suite import ScaleSpec, SuiteSpec
    from ntlbg_service.domain.sweep import SweepSpec

    kinds: dict[str, type] = {
        "config": Config,
        "suite": SuiteSpec,
        "sweep": SweepSpec,
        "scale": ScaleSpec,
        "inventory": Inventory,
        "profile": Profile,
        "caps": Caps,
    }
    click.echo(json.dumps(json_schema(kinds[kind]), indent=1))
