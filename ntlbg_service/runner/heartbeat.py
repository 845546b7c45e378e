"""Heartbeat in storage every few seconds, from a background thread of the training."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import psutil

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import Heartbeat, to_json
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

BEAT_SECONDS = 2.0


@contextlib.contextmanager
def beating(
    storage: Storage,
    keys: AttemptKeys,
    step: Callable[[], int],
    answers: Callable[[], int] = lambda: 0,
    staging: Callable[[], str] = lambda: "",
    awaited: Callable[[], int] = lambda: 0,
    every: float = BEAT_SECONDS,
    measured: bool = True,
) -> Iterator[None]:
    """Overwrite the attempt's heartbeat at each interval until the block is left.

    Without `measured`, this process's memory says nothing of the device that it stands for.
    """
    # The first call imports what a heartbeat needs: two threads that import transformers at once
    # may each see half of it.
    heartbeat(keys.attempt, step(), measured)
    ended = threading.Event()

    def beat() -> None:
        while True:
            # Storage that is full or unavailable must not end a training; the next heartbeat tries
            # again.
            with contextlib.suppress(OSError, InfrastructureError):
                beat = heartbeat(keys.attempt, step(), answers(), measured, staging(), awaited())
                storage.touch(keys.heartbeat, to_json(beat))
            if ended.wait(every):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=every)


def heartbeat(
    attempt: int,
    step: int,
    answers: int = 0,
    measured: bool = True,
    staging: str = "",
    awaited: int = 0,
) -> Heartbeat:
    """Return the heartbeat of this process now."""
    return Heartbeat(
        attempt=attempt,
        time=time.time(),
        step=step,
        answers=answers,
        staging=staging,
        awaited=awaited,
        pid=os.getpid(),
        host=socket.gethostname(),
        memory_mib=memory_mib() if measured else None,
        peak_memory_mib=peak_mib(measured),
    )


def peak_mib(measured: bool = True) -> float | None:
    """Return this process's peak memory in MiB; None where that says nothing of its device."""
    if not measured:
        return None
    from ntlbg_model.evaluation import peak_memory_mib

    return peak_memory_mib()


def memory_mib() -> float:
    """Return this process's memory in MiB: allocated on the GPU, else the resident set."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / 1024**2
    return float(psutil.Process().memory_info().rss) / 1024**2
