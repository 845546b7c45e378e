"""What a job of ours says on a cluster: a line of JSON after a mark, among whatever Ray prints."""

import json
from typing import Any

LONGEST = 200
"""Characters of the last words of a job that said nothing."""


def answer_in(output: str, mark: str) -> Any:
    """What stands after the last mark; None without one."""
    marked = [line for line in output.splitlines() if line.startswith(mark)]
    return json.loads(marked[-1].removeprefix(mark)) if marked else None


def last_words(output: str) -> str:
    """The last line of a job's output; empty where it printed nothing."""
    spoken = [line.strip() for line in output.splitlines() if line.strip()]
    return spoken[-1][:LONGEST] if spoken else ""
