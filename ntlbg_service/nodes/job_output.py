"""The answer of one of our jobs on a cluster: a marked line of JSON within Ray's output."""

import json
from typing import Any

LONGEST = 200
"""Maximum of characters taken from the last line of a job without an answer."""


def answer_in(output: str, mark: str) -> Any:
    """Return the parsed JSON after the last mark; None without one."""
    marked = [line for line in output.splitlines() if line.startswith(mark)]
    return json.loads(marked[-1].removeprefix(mark)) if marked else None


def last_words(output: str) -> str:
    """Return the last line of a job's output; empty where it printed nothing."""
    spoken = [line.strip() for line in output.splitlines() if line.strip()]
    return spoken[-1][:LONGEST] if spoken else ""
