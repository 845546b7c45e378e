"""What a person calls a run or a suite, found among those that were submitted."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ntlbg_service.domain.errors import UserError

AGAINST = 0.4
"""How alike two names must be for one to be offered instead of the other."""
SEEDED = re.compile(r"(.+)(?::| seed )([0-9]{1,10})", re.DOTALL)
"""A spelling of a run's name: all of it before the seed, and the seed."""
LISTED = 6
"""Names that an error lists."""


@dataclass(frozen=True, kw_only=True)
class RunName:
    """All that a run is called by."""

    run_id: str
    suite: str
    group: str
    variant: str
    seed: int
    submission: int
    """Rises with each submission of the suite: of runs with one label the newest is meant."""

    @property
    def label(self) -> str:
        """`group/variant:seed`: what a command takes."""
        return f"{self.group}/{self.variant}:{self.seed}"

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every way to write it but the id."""
        short = f"{self.variant}:{self.seed}"
        spaced = f"{self.group}/{self.variant} seed {self.seed}"
        return (
            self.label,
            short,
            spaced,
            *(f"{self.suite}/{each}" for each in (self.label, short)),
        )


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """What a word says of a run, if it spells a run's name."""

    seed: int
    variants: tuple[str, ...]
    """What the variant may be called: names may hold the `/` that stands between them."""


def spelled(word: str) -> Spelling | None:
    """The parts of one of `RunName.spellings`; None for a word that is none."""
    found = SEEDED.fullmatch(word)
    if found is None or not _encodable(word):
        return None
    parts = found[1].split("/")
    rests = ("/".join(parts[start:]) for start in range(len(parts)))
    return Spelling(seed=int(found[2]), variants=tuple(rests))


def _encodable(word: str) -> bool:
    """Whether a database can be asked for it: a command line may hold bytes that are no text."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in word


def newest(names: Iterable[RunName]) -> tuple[RunName, ...]:
    """The last submitted run of every suite, group, variant and seed."""
    found: dict[tuple[str, str], RunName] = {}
    for name in names:
        key = (name.suite, name.label)
        if key not in found or name.submission >= found[key].submission:
            found[key] = name
    return tuple(found.values())


def find_run(word: str, names: Sequence[RunName]) -> RunName:
    """The run of an id, a prefix of it, or GROUP/VARIANT:SEED. Raises UserError in one line."""
    found = _matching(word, names)
    if len(found) == 1:
        return found[0]
    if found:
        which = ", ".join(f"{name.run_id} ({name.suite} {name.label})" for name in found[:LISTED])
        raise UserError(f"'{word}' is {len(found)} runs: {which}")
    raise UserError(f"unknown run '{word}'; {_hint(word, _labels(names), _ids(names))}")


def find_runs(
    word: str, names: Sequence[RunName], suites: Sequence[str]
) -> tuple[str | None, tuple[RunName, ...]]:
    """A suite's key with its newest runs, or None with one run. Raises UserError in one line."""
    if word in suites:
        return word, tuple(name for name in newest(names) if name.suite == word)
    if _matching(word, names):
        return None, (find_run(word, names),)
    hint = _hint(word, [*suites, *_labels(names)], _ids(names))
    raise UserError(f"unknown suite or run '{word}'; {hint}")


def find_suite(word: str, suites: Sequence[str]) -> str:
    """A suite's key. Raises UserError in one line."""
    if word in suites:
        return word
    raise UserError(f"unknown suite '{word}'; {_hint(word, suites)}")


def _matching(word: str, names: Sequence[RunName]) -> list[RunName]:
    whole = [name for name in names if name.run_id == word]
    return (
        whole
        or [name for name in newest(names) if word in name.spellings]
        or [name for name in names if word and name.run_id.startswith(word)]
    )


def _labels(names: Sequence[RunName]) -> list[str]:
    return [name.label for name in newest(names)]


def _ids(names: Sequence[RunName]) -> list[str]:
    return [name.run_id for name in names]


def _hint(word: str, choices: Sequence[str], more: Sequence[str] = ()) -> str:
    """The nearest of all, else the first of `choices`."""
    near = difflib.get_close_matches(word, [*choices, *more], n=1, cutoff=AGAINST)
    if near:
        return f"did you mean '{near[0]}'?"
    if not choices:
        return "nothing was submitted here yet"
    rest = f" and {len(choices) - LISTED} more" if len(choices) > LISTED else ""
    return f"known: {', '.join(choices[:LISTED])}{rest}"
