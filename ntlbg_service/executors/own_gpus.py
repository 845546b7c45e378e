"""GPUs of this machine for drivers that each have a Ray of their own: no two are given the same.

Each such Ray would hand out the first GPU again. So a driver is told by CUDA_VISIBLE_DEVICES which
are its own, and holds the kernel's locks on them. They are free when it ends, however it or the
controller that started it ends, and nobody has to remember what was given to whom.
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
    """Drivers that live have all GPUs: it is tried again."""


class Given(NamedTuple):
    """GPUs for one driver."""

    visible: str | None
    """Its CUDA_VISIBLE_DEVICES; None where it may stay as it is."""
    locks: tuple[int, ...] = ()
    """Descriptors that it has to inherit; they are closed here afterwards."""


@contextmanager
def own_gpus(fit: Fit, environment: Mapping[str, str], folder: Path) -> Iterator[Given]:
    """GPUs for the workers of a fit, of those that the environment shows, with locks in `folder`.

    Raises NoGpuLeftError. A machine without GPUs is left as it is: what a driver misses it says.
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
    """The GPUs that a process with this environment sees, as CUDA_VISIBLE_DEVICES names them."""
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
    return [str(index) for index in range(number_of_gpus())]


def _take(folder: Path, name: str, parts: int) -> list[int]:
    """Locks on so many parts of a GPU; none where it has not so many left."""
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
