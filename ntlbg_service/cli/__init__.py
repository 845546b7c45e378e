"""The command line: one file a noun, nothing heavy until a command runs."""

import importlib
import io
import os
import sys
import traceback
from contextlib import redirect_stderr, suppress

import click

from ntlbg_model import __version__
from ntlbg_service.cli.crash import Invocation
from ntlbg_service.cli.place import forget, pasteable
from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.domain.errors import InfrastructureError, NtlbgError, UserError, in_one_line
from ntlbg_service.process.permissions import explained
from ntlbg_service.process.redaction import printed, redacted, redacted_output
from ntlbg_service.process.terminal import neutral_output

COMMANDS = {
    "run": "run",
    "submit": "submit",
    "controller": "controller",
    "status": "status",
    "watch": "watch",
    "explain": "explain",
    "logs": "logs",
    "cancel": "cancel",
    "pause": "pause",
    "priority": "priority",
    "resume": "resume",
    "retry": "retry",
    "debug": "debug",
    "compare": "compare",
    "plan": "plan",
    "sweep": "sweep",
    "export": "export",
    "ask": "ask",
    "config": "config",
    "data": "data",
    "cluster": "cluster",
    "users": "users",
    "usage": "usage",
    "db": "db",
    "doctor": "doctor",
    "gc": "gc",
    "mlflow": "mlflow",
    "ui": "ui",
    "completion": "completion",
}
"""Command to the module of its name below `ntlbg_service.cli`."""


class LazyGroup(click.Group):
    """Imports the module of a command when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ntlbg_service.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="ntlbg")
def cli() -> None:
    """Train, compare and sweep a long-video language model, on a cluster or a laptop.

    \b
    ntlbg run configs/quickstart.json      run a suite, compare its variants
    ntlbg submit SUITE                     queue it and return; a controller runs it
    ntlbg controller                       run what is queued, until it is stopped
    ntlbg plan SUITE --inventory FILE      what would run where, before anything starts

    Exit codes: 0 done, 2 wrong input, 3 fits no device, 4 infrastructure, 5 runs failed,
    130 interrupted (the same command goes on).
    """
    forget()


COMPLETE = "_NTLBG_COMPLETE"
"""Set where a shell asks for words, in place of a person."""


def _complete() -> None:
    """Say how a line may go on, and else nothing: whoever asks is in the middle of it."""
    with redirect_stderr(io.StringIO()), suppress(Exception):
        cli.main(standalone_mode=False, prog_name="ntlbg", complete_var=COMPLETE)
    sys.exit(1)


def main() -> None:
    """Entry point: every error a person can cause is one line, with its exit code; nothing that is
    printed has a secret in it, or steers a terminal."""
    if COMPLETE in os.environ:
        _complete()
    with redacted_output(stdout=printed), neutral_output():
        _main()


def _main() -> None:
    invocation = Invocation()
    try:
        cli.main(standalone_mode=False, obj=invocation)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Error: {in_one_line(error.format_message())}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("ntlbg: interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    except NtlbgError as error:
        click.echo(f"ntlbg: {in_one_line(pasteable(str(error)))}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"ntlbg: {in_one_line(f'{where}{explained(error)}')}", err=True)
        forbidden = isinstance(error, PermissionError)
        sys.exit((UserError if forbidden else InfrastructureError).exit_code)
    # The edge of the program: a fault of ours is kept whole in a file and shown as one line.
    except Exception as error:
        kept = invocation.keep(neutral(redacted(traceback.format_exc())))
        said = in_one_line(f"{type(error).__name__}: {error}")
        click.echo(f"ntlbg: internal error: {said} ({in_one_line(kept)})", err=True)
        sys.exit(1)
