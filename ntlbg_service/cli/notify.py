"""Who is told what becomes of runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ntlbg_service.domain.states import RunState
    from ntlbg_service.notifications.webhook import Webhook

Command = TypeVar("Command", bound=Callable[..., Any])

NOTIFY = "NTLBG_NOTIFY"
"""Environment variable of `--notify`."""
NOTIFY_ON = "NTLBG_NOTIFY_ON"
"""The same of `--notify-on`, its states apart by blanks."""


def notify_options(command: Command) -> Command:
    """`--notify` and `--notify-on`."""
    where = click.option(
        "--notify",
        metavar="URL|@FILE",
        envvar=NOTIFY,
        help="Post what becomes of runs and suites to this address as JSON, for example a Slack "
        "webhook; or to the address in FILE.",
    )
    when = click.option(
        "--notify-on",
        metavar="STATE",
        envvar=NOTIFY_ON,
        multiple=True,
        help="Only of runs and suites in this state: queued (again), running, finished, failed, "
        "cancelled, lost. Repeatable.",
    )
    return where(when(command))


def read_webhook(value: str | None, source: str) -> "Webhook | None":
    """The receiver at an address, or at that in a file. Errors never have the address in them."""
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.notifications.webhook import Webhook

    if not value:
        return None
    if not value.startswith("@"):
        return Webhook(value.strip(), source)
    file = Path(value[1:])
    try:
        return Webhook(file.read_text(encoding="utf-8").strip(), f"{source}: {file}")
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or "is no text"
        raise UserError(f"{source}: {file}: {words}") from None


def read_states(words: "Sequence[str]", source: str) -> "frozenset[RunState]":
    """States by name, all of them where none is named. Raises UserError."""
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.domain.states import RunState

    known = [state.value for state in RunState]
    for word in words:
        if word not in known:
            raise UserError(f"{source}: unknown state '{word}'; {nearest(word, known)}")
    return frozenset(map(RunState, words)) or frozenset(RunState)
