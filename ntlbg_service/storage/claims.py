"""Which process carries an attempt: written once by the runner, read by the local executor.

A process is named by its id and by when it started, counted from the machine's boot: what psutil
calls its creation time is that plus the time of the boot by the wall clock, which moves whenever
the clock is set or slewed (a second in three minutes was seen), so that a process that lives would
be taken for a namesake of one that is gone.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

UNIX = 1e9
"""Claims of earlier versions have Unix time: beyond this no machine counts from its boot."""
SAME = 0.05
"""Seconds within which two starts are one; the kernel counts in hundredths."""
SAME_BY_THE_CLOCK = 600.0
"""The same where a wall clock is all there is."""


def claim_of_this_process() -> dict[str, Any]:
    """What a runner writes to claim its attempt."""
    return {"pid": os.getpid(), "started": started(os.getpid()), "boot": boot()}


def started(pid: int) -> float:
    """When a process started: seconds since the boot on Linux, elsewhere Unix time. Raises
    psutil.NoSuchProcess."""
    try:
        # The second field is the program's name in brackets, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return psutil.Process(pid).create_time()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def boot() -> str:
    """Name of this boot of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def claimant(claim: Mapping[str, Any]) -> psutil.Process | None:
    """The living process of a claim: same id and same start, not a later namesake."""
    try:
        if claim.get("boot", boot()) != boot():
            return None
        process = psutil.Process(int(claim["pid"]))
        same = _is_same(float(claim["started"]), process)
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, LookupError, TypeError, ValueError, OverflowError):
        return None


def _is_same(claimed: float, process: psutil.Process) -> bool:
    if claimed > UNIX:
        return abs(process.create_time() - claimed) < SAME_BY_THE_CLOCK
    return abs(started(process.pid) - claimed) < SAME
