"""Exclusive GPUs of this machine for drivers that each have a Ray of their own.

Each such Ray would hand out the first GPU again. So CUDA_VISIBLE_DEVICES gives a driver its GPUs,
and the driver holds kernel locks on them. The locks are released when the driver ends, however it
or the controller that started it ends, so no record of assignments is needed.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.scheduling.sharing import PARTS, parts_of
from ntlbg_service.executors.nvml import number_of_gpus
from ntlbg_service.process.permissions import FILE

VISIBLE = "CUDA_VISIBLE_DEVICES"


class NoGpuLeftError(InfrastructureError):
    """All GPUs are held by live drivers; the launch is retried."""


class Given(NamedTuple):
    """GPUs for one driver."""

    visible: str | None
    """The driver's CUDA_VISIBLE_DEVICES; None leaves it unchanged."""
    locks: tuple[int, ...] = ()
    """Descriptors that the driver must inherit; they are closed here afterwards."""


@contextmanager
def own_gpus(fit: Fit, environment: Mapping[str, str], folder: Path) -> Iterator[Given]:
    """Lock GPUs for the workers of a fit, out of those that the environment shows.

    The lock files are in `folder`. Raises NoGpuLeftError. On a machine without GPUs nothing is
    locked; the driver reports what it lacks.
    """
    names = () if fit.profile == "cpu" else gpus_in(environment)
    if not names:
        yield Given(None)
        return
    with ExitStack() as closing:
        chosen: list[str] = []
        held: list[int] = []
        for name in names:
            if len(chosen) == fit.workers:
                break
            locks = _take(folder, name, parts_of(fit))
            for lock in locks:
                closing.callback(os.close, lock)
            if locks:
                chosen.append(name)
                held += locks
        if len(chosen) < fit.workers:
            raise NoGpuLeftError(
                f"{fit.workers} of the GPUs {', '.join(names)} of this machine are wanted, and "
                f"{len(chosen)} free: other drivers have them"
            )
        yield Given(",".join(chosen), tuple(held))


def gpus_in(environment: Mapping[str, str]) -> Sequence[str]:
    """Return the GPUs visible to a process with this environment, as CUDA_VISIBLE_DEVICES names."""
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
    return [str(index) for index in range(number_of_gpus())]


def _take(folder: Path, name: str, parts: int) -> list[int]:
    """Lock this many parts of a GPU and return the descriptors; empty where too few are free."""
    folder.mkdir(parents=True, exist_ok=True)
    held: list[int] = []
    for part in range(PARTS):
        lock = os.open(folder / f"{name}-{part}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        held.append(lock)
        if len(held) == parts:
            return held
    for lock in held:
        os.close(lock)
    return []
