"""The errors a person may see: one base, four families, an exit code each."""

import difflib
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str], *, cutoff: float = 0.4) -> str:
    """What to try in place of an unknown name: the nearest of the valid ones, else all of them."""
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(names) or 'none'}"


LONGEST_LINE = 1500
"""Characters of an error. What is wrong and where stands at its ends."""


def in_one_line(text: str) -> str:
    """An error as it is shown: one line, of a length that people read, that steers no terminal."""
    plain = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.splitlines())
    )
    if len(plain) <= LONGEST_LINE:
        return plain
    half = LONGEST_LINE // 2
    return f"{plain[:half]} ... {plain[-half:]}"


class NtlbgError(Exception):
    """Base of every error that is shown as one line instead of a traceback."""

    exit_code = 1


class UserError(NtlbgError):
    """The input is wrong; nothing was started. The message names file, path and a valid choice."""

    exit_code = 2


class CapacityError(NtlbgError):
    """What was asked for can never fit on the inventory."""

    exit_code = 3


class InfrastructureError(NtlbgError):
    """Something below the service (Ray, the database, MLflow, the disk) did not answer."""

    exit_code = 4


class RunsFailedError(NtlbgError):
    """The command did its work, and some runs did not finish."""

    exit_code = 5
