"""What one check says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    level: Level
    what: str
    """One line."""
    do: str = ""
    """What mends it, one line; empty where nothing needs to be done."""


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level=Level.OK, what=what)


def warning(check: str, what: str, do: str) -> Finding:
    """It works, and may not for long or for everyone."""
    return Finding(check=check, level=Level.WARNING, what=what, do=do)


def problem(check: str, what: str, do: str) -> Finding:
    """Something does not work."""
    return Finding(check=check, level=Level.PROBLEM, what=what, do=do)


def failed(check: str, error: Exception, do: str) -> Finding:
    """What did not answer."""
    return problem(check, str(error) or type(error).__name__, do)


def not_checked(check: str, what: str) -> Finding:
    """What could not be looked at, and is no fault."""
    return Finding(check=check, level=Level.NOT_CHECKED, what=what)


def count(number: int, what: str) -> str:
    """'1 node', '3 nodes'."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def names(names: Sequence[str]) -> str:
    """The first three, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def by_value(of: Mapping[str, str]) -> str:
    """'2.60.0 on a, b; 2.59.0 on c'."""
    values = dict.fromkeys(of.values())
    return "; ".join(
        f"{value} on {names([name for name, own in of.items() if own == value])}"
        for value in values
    )
