"""Which process carries an attempt: written once by the runner, read by the executors.

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

from ntlbg_service.storage.errors import CorruptRecordError
from ntlbg_service.storage.homes import is_elsewhere
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

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
    except (psutil.Error, LookupError, TypeError, ValueError, OverflowError):
        return None


def _is_same(claimed: float, process: psutil.Process) -> bool:
    if claimed > UNIX:
        return abs(process.create_time() - claimed) < SAME_BY_THE_CLOCK
    return abs(started(process.pid) - claimed) < SAME


def lives(claim: Mapping[str, Any]) -> bool:
    """Whether the process of a claim lives, or may: one of another account can be hidden."""
    return claimant(claim) is not None or hidden(claim)


def hidden(claim: Mapping[str, Any]) -> bool:
    """Whether only that it exists can be seen of a process: `/proc` may be mounted with hidepid."""
    try:
        pid = int(claim["pid"])
        if pid <= 0 or claim.get("boot", boot()) != boot():
            return False
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


def read_claim(storage: Storage, keys: AttemptKeys) -> Mapping[str, Any] | None:
    """Return the claim of an attempt, None without one. A damaged one is of a process that nobody
    knows: the attempt was started, and no other process may carry it."""
    try:
        return storage.get(keys.process)
    except CorruptRecordError:
        return {}


def driver_of(storage: Storage, keys: AttemptKeys) -> psutil.Process | None:
    """Return the living driver of an attempt on this machine, by its claim.

    What claims an attempt must have been started for it: a claim that names another process is
    damaged, and so is one that cannot be read. The driver is then looked for by its command. In a
    copied home the claim is there too, and the driver works for the original: it is left alone.
    """
    claim = read_claim(storage, keys)
    if claim is None:
        return None
    process = claimant(claim)
    if process is None and _is_claim(claim):
        return None
    if process is not None and _carries(process, storage, keys):
        return process
    return next((each for each in psutil.process_iter() if _carries(each, storage, keys)), None)


def _is_claim(claim: Mapping[str, Any]) -> bool:
    return {"pid", "started"} <= set(claim) <= {"pid", "started", "boot"} and all(
        isinstance(claim[name], int | float) and not isinstance(claim[name], bool)
        for name in ("pid", "started")
    )


def _carries(process: psutil.Process, storage: Storage, keys: AttemptKeys) -> bool:
    """Whether a process is the runner of an attempt: its last word names the attempt's spec,
    wherever this storage was when it started, and that of no other storage."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    if not words or "-m" not in words or not words[-1].endswith(f"/{keys.spec}"):
        return False
    return not is_elsewhere(words[-1].removesuffix(f"/{keys.spec}"), storage)
