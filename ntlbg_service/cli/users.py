"""`ntlbg users`: who acts, whose runs there are, and who may act on everybody's."""

import json
import time

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.process.workspace import Workspace


@click.group(short_help="Who acts, and who may act for others.")
def command() -> None:
    """Users of a ledger, and its operators.

    Who acts is NTLBG_USER, else the user of the operating system. Users change their own runs;
    operators those of everybody, and nodes. Without operators nodes are anybody's.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def list_users(as_json: bool, workspace: Workspace) -> None:
    """Say who acts here, who has submitted runs, and who is an operator."""
    from ntlbg_service.cli.acting import actor
    from ntlbg_service.cli.targets import existing_ledger

    who = actor()
    ledger = existing_ledger(workspace)
    operators, submitters = ledger.operators(), ledger.submitters()
    names = sorted({who, *operators, *submitters})
    if as_json:
        rows = [
            {
                "user": name,
                "acts": name == who,
                "runs": submitters.get(name, 0),
                "operator_since": operators[name].since if name in operators else None,
                "operator_by": operators[name].who if name in operators else None,
            }
            for name in names
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    width = max(map(len, names))
    for name in names:
        words = f"{name:<{width}}  {submitters.get(name, 0)} runs"
        if name in operators:
            since = time.strftime("%Y-%m-%d", time.localtime(operators[name].since))
            words += f"  operator since {since}, by {operators[name].who}"
        click.echo(words + ("  acts here" if name == who else ""))


@command.command("add-operator")
@click.argument("name")
@workspace_options
def add_operator(name: str, workspace: Workspace) -> None:
    """Let the user NAME act on everybody's runs and on nodes.

    The first is named by anyone, most simply by the one who sets the service up; from then on
    operators name operators.
    """
    from ntlbg_service.cli.acting import actor
    from ntlbg_service.cli.options import open_ledger
    from ntlbg_service.process.user import name_to_keep

    name = name_to_keep(name, "users add-operator")
    fresh = open_ledger(workspace).add_operator(name, actor())
    click.echo(f"{name}: {'is' if fresh else 'was'} an operator{'' if fresh else ' already'}")


@command.command("remove-operator")
@click.argument("name")
@workspace_options
def remove_operator(name: str, workspace: Workspace) -> None:
    """Let NAME act on own runs alone."""
    from ntlbg_service.cli.acting import actor
    from ntlbg_service.cli.targets import existing_ledger
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.domain.users import user_name

    name = user_name(name, "users remove-operator")
    ledger = existing_ledger(workspace)
    if not ledger.remove_operator(name, actor()):
        known = list(ledger.operators())
        hint = nearest(name, known) if known else "there is none"
        raise UserError(f"users remove-operator: '{name}' is no operator; {hint}")
    click.echo(f"{name}: is no operator any more")
