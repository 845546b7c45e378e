"""Commands that a text names for a person to paste into a shell."""

import re
import shlex
from collections.abc import Callable, Sequence

QUOTED = re.compile(r"'(?P<plain>ntlbg [^'`\n]+)'|`(?P<quoting>ntlbg [^`\n]+)`")


def command(*words: str) -> str:
    """Quote a command in a text: by ', or by ` where a word of it needs the shell's own '."""
    line = shlex.join(("ntlbg", *words))
    return f"`{line}`" if "'" in line else f"'{line}'"


def completed(text: str, options: Callable[[Sequence[str]], Sequence[str]]) -> str:
    """Return a text whose commands have all options that they need.

    `options`: the words that a command lacks, by its own words behind `ntlbg`.
    """

    def complete(found: re.Match[str]) -> str:
        line: str = found["plain"] or found["quoting"]
        try:
            words = shlex.split(line)[1:]
        except ValueError:
            return found[0]
        more = options(words)
        if not more:
            return found[0]
        whole = f"{line} {shlex.join(more)}"
        return f"`{whole}`" if "'" in whole else f"'{whole}'"

    return QUOTED.sub(complete, text)
