"""Who acts from the command line, and on whose runs."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ntlbg_service.domain.users import NotAllowedError, check_owner
from ntlbg_service.process.user import acting_user

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import RunSummary

mine_option = click.option(
    "--mine", is_flag=True, help="Of a suite's runs, leave those of other users alone."
)
"""`--mine`."""


def actor() -> str:
    """The user who acts. Raises UserError."""
    return acting_user(os.environ)


def allowed(
    ledger: "Ledger", runs: Sequence["RunSummary"], who: str, doing: str, mine: bool
) -> list["RunSummary"]:
    """The runs, before anything is done to the first of them: all, or with `mine` those of `who`.

    Raises NotAllowedError where `who` may not do that to one of them. What decides is the ledger,
    which is asked for each again.
    """
    own = [run for run in runs if run.submitter == who]
    if mine:
        return own
    operators = tuple(ledger.operators())
    try:
        for run in runs:
            check_owner(who, run.submitter, f"{run.label} ({run.run_id})", doing, operators)
    except NotAllowedError as error:
        hint = "; --mine leaves the runs of others alone" if own else ""
        raise NotAllowedError(f"{error}{hint}") from None
    return list(runs)
