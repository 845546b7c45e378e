"""`ntlbg config validate`: files checked before anything starts."""

from pathlib import Path

import click

from ntlbg_service.cli.options import FILE


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
def command(files: tuple[Path, ...]) -> None:
    """Check FILES: main configs, suites (at every scale), sweeps, scales and inventories."""
    for file in files:
        click.echo(f"{file}: {_validate(file)}")


def _validate(file: Path) -> str:
    from ntlbg_service.domain.resolve import Layer, parse, resolve
    from ntlbg_service.domain.suite import ScaleSpec, expand
    from ntlbg_service.loading import (
        load_inventory,
        load_main,
        load_suite,
        load_sweep,
        read_json,
    )

    values = read_json(file)
    if "space" in values:
        sweep = load_sweep(file)
        expand(load_suite(file.parent / sweep.suite, sweep.scale), variants=[sweep.variant])
        return f"sweep of {len(list(sweep.points()))} trials"
    if "groups" in values and isinstance(values["groups"], list):
        return f"inventory of {sum(load_inventory(file).capacity().values())} devices"
    if "groups" in values:
        suite = load_suite(file)
        rows = expand(suite)
        for scale in suite.suite.scales:
            expand(load_suite(file, scale))
        scales = f", scales {', '.join(suite.suite.scales)}" if suite.suite.scales else ""
        return f"suite of {len(rows)} variants x {len(suite.seeds)} seeds{scales}"
    if "overrides" in values:
        scale_spec = parse(ScaleSpec, values, str(file))
        resolve([Layer(str(file), scale_spec.overrides)])
        return "scale"
    _, categories = load_main(file)
    return f"main config, categories {', '.join(categories) or 'none'}"
