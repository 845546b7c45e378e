"""The ways a variant could run on a kind of device, in the order in which they are tried."""

from collections.abc import Iterator

from ntlbg_model.config import Config
from ntlbg_model.footprint import Attention, Offload, Precision, Step
from ntlbg_service.domain.profiles import NodeShape, Profile

LARGEST_MICRO_BATCH = 16
SHARDINGS: tuple[tuple[int, Offload], ...] = (
    (2, "none"),
    (3, "none"),
    (2, "optimizer"),
    (3, "optimizer"),
    (3, "all"),
)
"""DeepSpeed's stages and offloads, what costs least time first."""


def plain_steps(config: Config, profile: Profile) -> Iterator[Step]:
    """Without DeepSpeed: the largest micro-batch first, recomputation when needed."""
    workers = config.hardware.num_gpus or 1
    for checkpointing in (False, True) if config.model.gradient_checkpointing else (False,):
        for size in micro_batches(config, workers):
            yield _step(config, profile, workers, size, checkpointing)


def sharded_steps(config: Config, profile: Profile, node: NodeShape) -> Iterator[Step]:
    """With DeepSpeed, on as many devices of one node as are asked for, or on 1, 2, 4 and 8."""
    wanted = config.hardware.num_gpus
    numbers = [wanted] if wanted else [n for n in (1, 2, 4, 8) if n <= node.gpus]
    checkpointing = config.model.gradient_checkpointing
    for workers in numbers:
        if config.training.global_batch % workers:
            continue
        for stage, offload in SHARDINGS:
            if workers == 1 and offload == "none":
                continue
            for size in micro_batches(config, workers):
                yield _step(config, profile, workers, size, checkpointing, stage, offload)


def micro_batches(config: Config, workers: int) -> list[int]:
    """Sizes whose multiples make up a worker's share of the global batch, largest first."""
    share = config.training.global_batch // workers
    return [size for size in range(min(share, LARGEST_MICRO_BATCH), 0, -1) if share % size == 0]


def _step(
    config: Config,
    profile: Profile,
    workers: int,
    micro_batch: int,
    checkpointing: bool,
    stage: int = 0,
    offload: Offload = "none",
) -> Step:
    return Step(
        precision=choose_precision(config, profile),
        attention=choose_attention(config, profile),
        micro_batch=micro_batch,
        accumulation=max(1, config.training.global_batch // (workers * micro_batch)),
        workers=workers,
        checkpointing=checkpointing,
        zero_stage=stage,  # type: ignore[arg-type]
        offload=offload,
        cpu=profile.is_cpu,
    )


def choose_precision(config: Config, profile: Profile) -> Precision:
    """An explicit precision wins; auto is the best the card computes in natively."""
    if config.training.precision != "auto":
        return config.training.precision
    if profile.is_cpu:
        return "fp32"
    return "bf16" if profile.bf16 else "fp16"


def choose_attention(config: Config, profile: Profile) -> Attention:
    """Flash kernels are for 16 bit on cards that have them; without, heads are repeated to keep
    off the path with S x S scores."""
    if profile.is_cpu:
        return "sdpa"
    if not profile.flash_attention or choose_precision(config, profile) == "fp32":
        return "sdpa_repeated"
    return "flash_attention_2" if config.model.flash_attention else "sdpa"
