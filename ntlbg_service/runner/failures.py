"""Classification of workers' exceptions and deaths."""

import re
import socket
import tempfile
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.process.redaction import redacted

PEER_GONE = re.compile(
    r"gloo/|Connection (closed|reset) by peer|NCCL|ProcessGroup|Broken pipe|socket", re.IGNORECASE
)
"""Messages of torch, as plain RuntimeErrors, about a peer that died."""
DISK_FULL = re.compile(
    r"No space left on device|file write failed|PytorchStreamWriter failed"
    r"|inline_container\.cc:\d+\] \. unexpected pos"
)
"""Messages of weight writers on a full disk.

The last is torch's report that bytes it wrote are not there.
"""
KILLED_FOR_MEMORY = re.compile(
    r"killed due to the node running low on memory|ray\.exceptions\.OutOfMemoryError"
)
"""Messages of Ray about a worker that it killed because its node ran out of memory.

Ray says of any dead worker that an OOM killer may be the cause, so that is not matched.
"""


def classify(error: BaseException) -> tuple[FailureClass, str]:
    """Return the failure class and one line for an exception that a worker raised."""
    import torch

    from ntlbg_model.backbone.model import BackboneError
    from ntlbg_model.data.longvideobench import DatasetError
    from ntlbg_model.learning.finite import NonFiniteLossError
    from ntlbg_model.selection.image_text import EncoderError
    from ntlbg_model.sharding import ShardingError

    line = first_line(error)
    message = f"{type(error).__name__}: {line}"[:500]
    if isinstance(error, torch.OutOfMemoryError):
        return FailureClass.OUT_OF_MEMORY, message
    if isinstance(error, MemoryError):
        return FailureClass.HOST_MEMORY, message
    if isinstance(error, NonFiniteLossError):
        return FailureClass.NON_FINITE, message
    if isinstance(error, BackboneError | DatasetError | EncoderError | ShardingError | UserError):
        return FailureClass.USER, line
    if isinstance(error, OSError | InfrastructureError):
        return FailureClass.INFRASTRUCTURE, message
    if DISK_FULL.search(str(error)):
        where = tempfile.gettempdir()
        words = f"no space left in {where} of {socket.gethostname()}, or its disk fails ({message}"
        return FailureClass.INFRASTRUCTURE, f"{words[:499]})"
    if PEER_GONE.search(str(error)):
        return FailureClass.INFRASTRUCTURE, message
    return FailureClass.BUG, message


def classify_end(error: BaseException, killed_here: int) -> tuple[FailureClass, str]:
    """Return the failure class and one line for workers that died without an exit record.

    `killed_here` is the number of processes of this machine that the kernel's OOM killer ended
    meanwhile.
    """
    said = str(error)
    if killed_here > 0 or KILLED_FOR_MEMORY.search(said):
        message = "a worker was killed: its node ran out of memory"
        return FailureClass.HOST_MEMORY, f"{message} ({first_line(error)})"[:500]
    message = f"the workers ended without a word: {first_line(error)}"[:500]
    return FailureClass.INFRASTRUCTURE, message


def first_line(error: BaseException) -> str:
    """Return the first line that is not blank, with secrets redacted."""
    return redacted(next((line.strip() for line in str(error).splitlines() if line.strip()), ""))


def kernel_kills(counters: Path = Path("/proc/vmstat")) -> int:
    """Return the number of OOM kills by this machine's kernel since it booted."""
    try:
        lines = counters.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
