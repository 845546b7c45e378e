"""`ntlbg config show`: every option and where its value comes from."""

import json

import click


@click.command()
@click.argument("name", metavar="FILE[:PART]")
@click.option("--category", help="A category of the file (moderate_long, long, very_long).")
@click.option("--scale", help="A scale, where the file is a suite.")
@click.option("--variant", help="A variant, where the file is a suite.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=JSON", help="Override an option.")
@click.option("--json", "as_json", is_flag=True, help="Print the resolved config as JSON.")
def command(
    name: str,
    category: str | None,
    scale: str | None,
    variant: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Resolve FILE (a main config or a suite) and print every option with its source.

    Of a suite without a variant: what all its variants start from.
    """
    from ntlbg_service.cli.config.named import open_named, parse_name, parse_override, plain, refine
    from ntlbg_service.domain.resolve import leaves

    chosen = refine(parse_name(name), category=category, variant=variant, scale=scale)
    resolved = open_named(chosen, map(parse_override, overrides))
    if as_json:
        click.echo(json.dumps(plain(resolved.config), indent=1))
        return
    values = leaves(resolved.config)
    width = max(map(len, values))
    for path, value in values.items():
        source = resolved.provenance[path]
        click.echo(f"{path:<{width}}  {json.dumps(value):<30}  {source}")
