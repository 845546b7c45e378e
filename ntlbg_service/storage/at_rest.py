"""Detection, by file names alone, of ended runs with no checkpoint to delete.

A home keeps every run that ever ended, and nearly all of them have nothing to delete. Reading the
markers and metrics of each takes minutes; listing three folders of each takes seconds.
"""

import os
from pathlib import PurePosixPath

from ntlbg_service.storage.layout import AttemptKeys

STEP = "step-"
"""Substring of the name of each checkpoint folder, finished or not."""
KEYS = AttemptKeys("", 0)
WORK, MARKERS = PurePosixPath(KEYS.work).name, PurePosixPath(KEYS.markers).name
ATTEMPT = "attempt-"


def holds_only_kept(run: str, keep: int) -> bool:
    """Return True if a run's folder certainly has nothing to clean up; False if that is unknown.

    That is: at most `keep` checkpoints, each with its marker, and no trials. Markers outlive their
    checkpoints, so folders are counted.
    """
    checkpoints = 0
    try:
        for name in _names(run):
            if not name.startswith(ATTEMPT):
                return False
            markers = {PurePosixPath(each).stem for each in _names(f"{run}/{name}/{MARKERS}")}
            steps = {each for each in _names(f"{run}/{name}/{WORK}") if STEP in each}
            checkpoints += len(steps)
            if checkpoints > keep or not steps <= markers:
                return False
    except OSError:
        return False
    return True


def _names(folder: str) -> list[str]:
    """Return the names in a folder; an empty list if it does not exist."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - a hundred thousand of them
    except FileNotFoundError:
        return []
