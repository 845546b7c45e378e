"""Commands that the command line names, so that they work where the person stands.

`ntlbg --home X submit` says 'ntlbg watch SUITE': pasted, that looks into another home. So what was
given on the command line and is not in the environment is added to each command that takes it.
"""

from collections.abc import Sequence
from contextvars import ContextVar

import click
from click.core import ParameterSource

from ntlbg_service.domain.commands import completed

OPTIONS = {"home": "--home", "data_root": "--data-root", "ledger": "--ledger", "mlflow": "--mlflow"}
"""Of `workspace_options`, by parameter."""
_given: ContextVar[dict[str, str]] = ContextVar("given", default={})  # noqa: B039 # never changed


def forget() -> None:
    """Begin a command: nothing was given yet."""
    _given.set({})


def remember(context: click.Context) -> None:
    """Note what was given on the command line of where everything lies."""
    _given.set(
        {
            name: str(context.params[name])
            for name in OPTIONS
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
    )


def pasteable(text: str) -> str:
    """Return a text of ours in which each command names the place that it is about."""
    return completed(text, _lacking) if _given.get() else text


def _lacking(words: Sequence[str]) -> list[str]:
    """Options of the place that a command takes and does not have."""
    takes = _parameters(words)
    given = {name: value for name, value in _given.get().items() if name in takes}
    lacking = {OPTIONS[name]: value for name, value in given.items() if OPTIONS[name] not in words}
    return [word for option in lacking.items() for word in option]


def _parameters(words: Sequence[str]) -> set[str | None]:
    """Names of the parameters of the command that the words call."""
    from ntlbg_service.cli import cli

    found: click.Command | None = cli
    context = click.Context(cli)
    for word in words:
        if not isinstance(found, click.Group):
            break
        found = found.get_command(context, word)
    return {parameter.name for parameter in found.params} if found is not None else set()
