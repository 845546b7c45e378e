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


def lives(claim: Mapping[str, float]) -> bool:
    """Whether the process of a claim lives, or may: one of another account can be hidden."""
    return claimant(claim) is not None or hidden(claim)


def hidden(claim: Mapping[str, float]) -> bool:
    """Whether only that it exists can be seen of a process: `/proc` may be mounted with hidepid."""
    try:
        pid = int(claim["pid"])
        os.kill(pid, 0)
    except PermissionError:
        return not _seen(pid)
    except (OSError, LookupError, TypeError, ValueError, OverflowError):
        return False
    return False


def _seen(pid: int) -> bool:
    try:
        psutil.Process(pid)
    except psutil.NoSuchProcess:
        return False
    return True
