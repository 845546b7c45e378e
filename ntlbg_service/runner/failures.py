"""Which class an exception of a worker, or the end of one, belongs to."""

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
"""What torch says, as a plain RuntimeError, of a worker that the others wait for."""
DISK_FULL = re.compile(
    r"No space left on device|file write failed|PytorchStreamWriter failed"
    r"|inline_container\.cc:\d+\] \. unexpected pos"
)
"""What the writers of weights make of a full disk. torch says of the last that what it wrote is
not there."""
KILLED_FOR_MEMORY = re.compile(
    r"killed due to the node running low on memory|ray\.exceptions\.OutOfMemoryError"
)
"""How Ray tells that it ended a worker because its node had no memory left. Of any dead worker it
says that an OOM killer may have been the cause."""


def classify(error: BaseException) -> tuple[FailureClass, str]:
    """Failure class and one line, of an exception that a worker raised."""
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
    """Failure class and one line, of workers that ended without a word.

    `killed_here` is how many processes of this machine the kernel ended for memory meanwhile.
    """
    said = str(error)
    if killed_here > 0 or KILLED_FOR_MEMORY.search(said):
        message = "a worker was killed: its node ran out of memory"
        return FailureClass.HOST_MEMORY, f"{message} ({first_line(error)})"[:500]
    message = f"the workers ended without a word: {first_line(error)}"[:500]
    return FailureClass.INFRASTRUCTURE, message


def first_line(error: BaseException) -> str:
    """The first line that says anything, without secrets."""
    return redacted(next((line.strip() for line in str(error).splitlines() if line.strip()), ""))


def kernel_kills(counters: Path = Path("/proc/vmstat")) -> int:
    """Processes of this machine that the kernel has ended for memory since it started."""
    try:
        lines = counters.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
