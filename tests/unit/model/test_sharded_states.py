"""What stands on a worker, against torch's own sharding of a small model on two processes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing import spawn

from ntlbg_model.config import Config, ModelConfig
from ntlbg_model.footprint import GIB, Step, Weights, states_of

WORKERS, WIDTH, BLOCKS = 2, 64, 3
FULL = Config(model=ModelConfig(tuning="full"))
STEP = Step(precision="fp32", attention="sdpa", workers=WORKERS)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH))]
    blocks += [nn.Sequential(nn.Linear(WIDTH, WIDTH)) for _ in range(BLOCKS - 1)]
    return nn.Sequential(*blocks)


def local(tensor: torch.Tensor) -> int:
    return int(getattr(tensor, "_local_tensor", tensor).nbytes)


def stand(rank: int, folder: str, sharded: bool) -> None:
    """One AdamW step of a worker; its bytes of weights, gradients and moments go to a file."""
    os.environ.update(MASTER_ADDR="127.0.0.1")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORKERS
    )
    net = model()
    if sharded:
        for block in net:
            fully_shard(block)
        fully_shard(net)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(2, WIDTH)).sum().backward()
    optimizer.step()
    moments = [v for state in optimizer.state.values() for v in state.values() if v.ndim]
    weights = list(net.parameters())
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    sizes = [sum(map(local, tensors)) for tensors in (weights, gradients, moments)]
    Path(folder, f"worker-{rank}").write_text(" ".join(map(str, sizes)))
    dist.destroy_process_group()


@pytest.mark.parametrize("sharded", [True, pytest.param(False, marks=pytest.mark.long)])
def test_states_are_torchs_own(tmp_path: Path, sharded: bool) -> None:
    spawn(stand, (str(tmp_path), sharded), nprocs=WORKERS)
    number = sum(weight.numel() for weight in model().parameters())
    weights = Weights(trained_base=number, trained_added=0.0, frozen=0.0)
    found = states_of(FULL, replace(STEP, fsdp=sharded), weights)
    for rank in range(WORKERS):
        sizes = map(int, (tmp_path / f"worker-{rank}").read_text().split())
        predicted = (found.parameters, found.gradients, found.optimizer)
        for size, gib in zip(sizes, predicted, strict=True):
            assert size == pytest.approx(gib * GIB, rel=0.01)


def test_gathered_blocks_stand_beside_the_shards() -> None:
    """Two blocks and the two matrices at the ends in 16 bit, one block's gradients in 32."""
    weights = Weights(trained_base=1e9, trained_added=0.0, frozen=0.0, largest=1e8, block=1e7)
    step = replace(STEP, precision="bf16", fsdp=True)
    found = states_of(FULL, step, weights)
    assert found.communication * GIB == 2 * (2 * 1e7 + 2 * 1e8) + 4 * 1e7
    assert states_of(FULL, replace(step, workers=1), weights).communication == 0


def test_a_tower_beside_stands_whole_while_all_else_is_spread_or_moved() -> None:
    weights = Weights(trained_base=0.0, trained_added=1e6, frozen=9e9, beside=1e9)
    step = replace(STEP, precision="bf16", zero_stage=3, workers=8)
    spread = states_of(FULL, step, weights)
    assert spread.parameters * GIB == pytest.approx(2 * (1e9 + (8e9 + 1e6) / 8))
    moved = states_of(FULL, replace(step, offload="all"), weights)
    assert moved.parameters * GIB == pytest.approx(2 * 1e9)
    assert moved.host - spread.optimizer > 2 * 8e9 / 8 / GIB


def test_fsdp_and_zero_are_alternatives() -> None:
    with pytest.raises(ValueError, match="choose one"):
        replace(STEP, fsdp=True, zero_stage=3)
