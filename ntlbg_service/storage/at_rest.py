"""Runs at rest: those whose checkpoints need no closer look, told by names of files alone.

A home keeps every run that ever ended, and of nearly all of them nothing is to be deleted. To read
markers and metric lines of each takes minutes; to list three folders of each takes seconds.
"""

import os
from pathlib import PurePosixPath

from ntlbg_service.storage.layout import AttemptKeys

STEP = "step-"
"""What the name of each checkpoint's folder holds, finished or not."""
KEYS = AttemptKeys("", 0)
WORK, MARKERS = PurePosixPath(KEYS.work).name, PurePosixPath(KEYS.markers).name
ATTEMPT = "attempt-"


def holds_only_kept(run: str, keep: int) -> bool:
    """Whether a run's folder surely has nothing that a clean-up would look at: no more than `keep`
    checkpoints, each with its marker, and no trials. False where that cannot be told.

    Markers stay when their checkpoints go, so it is folders that count.
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
    """Names in a folder; none where it is not there."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - a hundred thousand of them
    except FileNotFoundError:
        return []
