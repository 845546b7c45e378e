"""`ntlbg config`: a command a file."""

import click

from ntlbg_service.cli.config import (
    analyze,
    diff,
    generate,
    optimize,
    published,
    schema,
    show,
    validate,
)


@click.group()
def command() -> None:
    """Look at configurations, compare them, check them, and write new ones.

    A config is named FILE, FILE:CATEGORY (a main config), or FILE:VARIANT, FILE:GROUP/VARIANT (a
    suite, also with @SCALE at the end).
    """


command.add_command(show.command, "show")
command.add_command(diff.command, "diff")
command.add_command(optimize.command, "optimize")
command.add_command(generate.command, "generate")
command.add_command(validate.command, "validate")
command.add_command(analyze.command, "analyze")
command.add_command(published.command, "import")
command.add_command(schema.command, "schema")
