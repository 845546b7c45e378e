"""RUN and SUITE on the command line: what they name in a home's ledger."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ntlbg_service.cli.options import open_ledger
from ntlbg_service.domain.naming import RunName, find_run, find_runs, find_suite
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Run


HINTED = 500
"""Names, the newest, among which the nearest to an unknown word is looked for."""


@dataclass(frozen=True)
class Targets:
    """The runs that a word names."""

    suite: str | None
    """The suite's key where the word names a suite."""
    names: tuple[RunName, ...]

    @property
    def run_ids(self) -> list[str]:
        """Their ids."""
        return [name.run_id for name in self.names]


def existing_ledger(workspace: Workspace) -> "Ledger":
    """The home's ledger. Raises UserError where nothing was ever submitted; makes none."""
    from ntlbg_service.domain.errors import UserError

    if not workspace.ledger_exists:
        raise UserError(
            f"{workspace.home}: nothing was submitted here yet; 'ntlbg submit SUITE' comes first"
        )
    return open_ledger(workspace, to_read=True)


def run_of(ledger: "Ledger", word: str) -> "Run":
    """The run that a word names: its id, a prefix of it, or GROUP/VARIANT:SEED."""
    return ledger.run(find_run(word, _names(ledger, word)).run_id)


def targets_of(ledger: "Ledger", word: str) -> Targets:
    """The runs of a run's or a suite's name, or of a suite's file."""
    key, suites = _key_of(word), ledger.suite_keys()
    names = ledger.names(key) if key in suites else _names(ledger, key)
    return Targets(*find_runs(key, names, suites))


def suite_of(ledger: "Ledger", word: str) -> str:
    """The key of a suite, by its key or its file."""
    return find_suite(_key_of(word), ledger.suite_keys())


def suites_of(ledger: "Ledger", word: str | None) -> tuple[str, ...]:
    """One suite, or all of them where no word was given."""
    return ledger.suite_keys() if word is None else (suite_of(ledger, word),)


def _names(ledger: "Ledger", word: str) -> tuple[RunName, ...]:
    """What a word may mean; where that is nothing, what it may have been meant to be."""
    return ledger.named(word) or ledger.names(most=HINTED)


def _key_of(word: str) -> str:
    """A suite's file stands for its key at its own scale."""
    from ntlbg_service.cli.inventory_choice import known_kinds
    from ntlbg_service.config_files.loader import load_suite

    path = Path(word)
    if path.suffix != ".json" or not path.is_file():
        return word
    return load_suite(path, None, known_kinds()).key
