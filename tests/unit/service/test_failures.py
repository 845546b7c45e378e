"""What ended a worker, told apart: its own fault, its device's, its node's, or another's."""

import tempfile
from pathlib import Path

import pytest
import torch

from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.runner.failures import classify, classify_end, kernel_kills
from ntlbg_service.runner.staging.copying import CopyError

GLOO = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"


def full_disk() -> RuntimeError:
    """What torch makes of one."""
    with pytest.raises(RuntimeError) as raised:
        torch.save({"state": torch.zeros(100_000)}, "/dev/full")
    return raised.value


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), FailureClass.OUT_OF_MEMORY),
        (MemoryError(), FailureClass.HOST_MEMORY),
        (RuntimeError(GLOO), FailureClass.INFRASTRUCTURE),
        (RuntimeError("NCCL error: unhandled system error"), FailureClass.INFRASTRUCTURE),
        (RuntimeError("PytorchStreamWriter failed writing file"), FailureClass.INFRASTRUCTURE),
        (full_disk(), FailureClass.INFRASTRUCTURE),
        (OSError(28, "No space left on device"), FailureClass.INFRASTRUCTURE),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), FailureClass.BUG),
        (CopyError("the copy of /w has other bytes"), FailureClass.INFRASTRUCTURE),
        (KeyError("frames"), FailureClass.BUG),
    ],
)
def test_an_exception_has_a_class(error: Exception, failure: FailureClass) -> None:
    found, message = classify(error)
    assert found is failure
    assert "\n" not in message


def test_a_full_disk_is_named() -> None:
    assert classify(full_disk())[1].startswith(f"no space left in {tempfile.gettempdir()} of ")


@pytest.mark.parametrize(
    ("said", "killed", "failure"),
    [
        ("The actor died unexpectedly before finishing this task.", 0, "infrastructure"),
        ("(1) The process is killed by SIGKILL by OOM killer due to high", 0, "infrastructure"),
        ("The actor died unexpectedly before finishing this task.", 1, "host_memory"),
        ("Task was killed due to the node running low on memory.", 0, "host_memory"),
        ("ray.exceptions.OutOfMemoryError: Memory on the node was low", 0, "host_memory"),
    ],
)
def test_workers_that_say_nothing(said: str, killed: int, failure: str) -> None:
    found, message = classify_end(RuntimeError(f"Worker failed:\n{said}"), killed)
    assert found == failure
    assert "Worker failed:" in message


def test_the_kernel_counts_what_it_ends(tmp_path: Path) -> None:
    counters = tmp_path / "vmstat"
    assert kernel_kills(counters) == 0
    counters.write_text("nr_free_pages 12\noom_kill 3\noom_kill_other 9\n")
    assert kernel_kills(counters) == 3
