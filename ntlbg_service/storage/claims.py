"""Which process carries an attempt: written once by the runner, read by the local executor."""

import os
from collections.abc import Mapping

import psutil


def claim_of_this_process() -> dict[str, float]:
    """What a runner writes to claim its attempt."""
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def claimant(claim: Mapping[str, float]) -> psutil.Process | None:
    """The living process of a claim: same id and same start time, not a later namesake."""
    try:
        process = psutil.Process(int(claim["pid"]))
        same = abs(process.create_time() - claim["started"]) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, LookupError, TypeError, ValueError, OverflowError):
        return None
