"""Which process carries an attempt: written once by the runner, read by the executors."""

import os
from collections.abc import Mapping
from typing import Any

import psutil

from ntlbg_service.storage.errors import DamagedError
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage


def claim_of_this_process() -> dict[str, float]:
    """What a runner writes to claim its attempt."""
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def read_claim(storage: Storage, keys: AttemptKeys) -> Mapping[str, Any] | None:
    """The claim of an attempt, None without one. A damaged one is of a process that nobody knows:
    the attempt was started, and no other process may carry it."""
    try:
        return storage.get(keys.process)
    except DamagedError:
        return {}


def claimant(claim: Mapping[str, Any]) -> psutil.Process | None:
    """The living process of a claim: same id and same start time, not a later namesake."""
    try:
        process = psutil.Process(int(claim["pid"]))
        same = abs(process.create_time() - claim["started"]) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, LookupError, TypeError, ValueError, OverflowError):
        return None


def driver_of(storage: Storage, keys: AttemptKeys) -> psutil.Process | None:
    """The living driver of an attempt on this machine, by its claim.

    What claims an attempt must have been started for it: a claim that names another process is
    damaged, and so is one that cannot be read. The driver is then looked for by its command.
    """
    claim = read_claim(storage, keys)
    if claim is None:
        return None
    process = claimant(claim)
    if process is None and _is_claim(claim):
        return None
    if process is not None and _carries(process, keys):
        return process
    return next((each for each in psutil.process_iter() if _carries(each, keys)), None)


def _is_claim(claim: Mapping[str, Any]) -> bool:
    return set(claim) == {"pid", "started"} and all(
        isinstance(claim[name], int | float) and not isinstance(claim[name], bool) for name in claim
    )


def _carries(process: psutil.Process, keys: AttemptKeys) -> bool:
    """Whether a process is the runner of an attempt: its last word names the attempt's spec,
    wherever the home was when it started."""
    try:
        words = process.cmdline()
        return bool(words) and words[-1].endswith(f"/{keys.spec}") and "-m" in words
    except psutil.Error:
        return False
