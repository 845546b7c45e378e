"""How one variant runs on one kind of GPU: pure, and never a change of what is learned."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from ntlbg_model.config import STRICT, Config
from ntlbg_model.footprint import (
    Attention,
    Footprint,
    Offload,
    Precision,
    Step,
    training_flops,
    training_footprint,
)
from ntlbg_service.domain.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.profiles import NodeShape, Profile

SAFETY = 0.97
"""Share of the card that a prediction may fill (memory: limit = 0.97 x device)."""
EFFICIENCY = 0.35
"""Share of the peak rate assumed for the time estimate; not measured."""
LARGEST_MICRO_BATCH = 16
CPU_PROCESS_GIB = 0.6
"""Resident set of a CPU worker with its libraries loaded, before the model (measured with torch
2.13 and Ray 2.60 on x86-64 Linux)."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Settings of a run on a profile, with the memory they are predicted to take."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    profile: str
    precision: Precision
    attention: Attention
    """Kernel; sdpa_repeated keeps cards without FlashAttention off the S x S path."""
    micro_batch: int
    accumulation: int
    workers: int
    """World size: one worker a GPU, or one on a CPU."""
    gradient_checkpointing: bool
    predicted_gib: float
    limit_gib: float
    hours: float
    """Wall time predicted from FLOPs at an assumed efficiency."""
    memory: dict[str, float]
    """Predicted GiB by item."""
    reasons: tuple[str, ...]
    """What each choice bought, in words."""
    nodes: int = 1
    """Nodes that the workers are spread over, evenly."""
    vision_chunk: int = 8
    """Frame pairs that go through a frozen vision tower together."""
    zero_stage: Literal[0, 1, 2, 3] = 0
    """What DeepSpeed shards over the workers; 0 without DeepSpeed."""
    offload: Offload = "none"
    """What DeepSpeed keeps in host memory."""
    host_gib: float = 0.0
    """Predicted host memory of one worker, GiB."""
    traced: bool = False
    """The prediction is a trace of the whole step, not the closed form."""
    calibration: float = 1.0
    """Factor learned from measured peaks on this profile, already in `predicted_gib`."""

    @property
    def numerics(self) -> str:
        """The numerics class: what must agree within a comparison group."""
        return f"{self.precision} {self.attention}"

    @property
    def step(self) -> Step:
        """The settings as memory and time are predicted from them."""
        return Step(
            precision=self.precision,
            attention=self.attention,
            micro_batch=self.micro_batch,
            accumulation=self.accumulation,
            workers=self.workers,
            checkpointing=self.gradient_checkpointing,
            vision_chunk=self.vision_chunk,
            zero_stage=self.zero_stage,
            offload=self.offload,
            cpu=self.profile == "cpu",
        )

    @property
    def gpu_hours(self) -> float:
        """Wall time x workers."""
        return self.hours * self.workers


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """Why a variant cannot run on a profile, with the numbers."""

    profile: str
    reason: str


def fit(
    config: Config,
    profile: Profile,
    node: NodeShape,
    *,
    nodes: int = 1,
    estimates: Estimates = CLOSED_FORM,
) -> Fit | Misfit:
    """The first of the candidate settings that keeps the prediction within the limit."""
    wanted = config.hardware.profile
    if wanted is not None and wanted != profile.name and wanted not in profile.aliases:
        return Misfit(profile=profile.name, reason=f"hardware.profile asks for {wanted}")
    if config.training.precision == "bf16" and not (profile.bf16 or profile.is_cpu):
        return Misfit(profile=profile.name, reason="training.precision is bf16, which it lacks")
    if config.training.precision == "fp16" and profile.is_cpu:
        return Misfit(profile=profile.name, reason="training.precision is fp16; a CPU has none")
    workers = config.hardware.num_gpus or 1
    if config.training.global_batch % workers:
        return Misfit(
            profile=profile.name,
            reason=f"training.global_batch {config.training.global_batch} is not a multiple of "
            f"hardware.num_gpus {workers}",
        )
    limit = min(profile.usable_gib, node.host_memory_gib) if profile.is_cpu else profile.usable_gib
    limit *= SAFETY
    needed = 0.0
    for micro_batch, checkpointing in _candidates(config, workers):
        footprint = predict(config, profile, micro_batch, checkpointing)
        needed = footprint.total + _process(profile)
        if needed <= limit:
            return _fit(config, profile, workers, micro_batch, checkpointing, footprint, limit)
    return Misfit(
        profile=profile.name,
        reason=f"needs {needed:.1f} GiB at micro-batch 1, the limit is {limit:.1f} GiB"
        + _suggestion(config),
    )


def _suggestion(config: Config) -> str:
    if config.model.tuning == "full":
        return "; model.tuning 'lora' would need less (ZeRO and offload are not built yet)"
    return "; fewer representatives or a smaller frame_resolution would need less"


def _candidates(config: Config, workers: int) -> Iterator[tuple[int, bool]]:
    """Micro-batches that divide the global batch, largest first; checkpointing when needed."""
    share = config.training.global_batch // workers
    sizes = [size for size in range(min(share, LARGEST_MICRO_BATCH), 0, -1) if share % size == 0]
    for size in sizes:
        yield size, False
    if config.model.gradient_checkpointing:
        for size in sizes:
            yield size, True


def _process(profile: Profile) -> float:
    return CPU_PROCESS_GIB if profile.is_cpu else 0.0


def predict(config: Config, profile: Profile, micro_batch: int, checkpointing: bool) -> Footprint:
    """Predicted peak of one worker on a profile."""
    workers = config.hardware.num_gpus or 1
    step = Step(
        precision=choose_precision(config, profile),
        attention=_attention(config, profile),
        micro_batch=micro_batch,
        accumulation=max(1, config.training.global_batch // (workers * micro_batch)),
        workers=workers,
        checkpointing=checkpointing,
        cpu=profile.is_cpu,
    )
    return training_footprint(config, step)


def _attention(config: Config, profile: Profile) -> Attention:
    if profile.flash_attention and config.model.flash_attention:
        return "flash_attention_2"
    return "sdpa" if profile.is_cpu or profile.bf16 else "sdpa_repeated"


def choose_precision(config: Config, profile: Profile) -> Precision:
    """An explicit precision wins; auto is the best the card computes in natively."""
    if config.training.precision != "auto":
        return config.training.precision
    if profile.is_cpu:
        return "fp32"
    return "bf16" if profile.bf16 else "fp16"


def _fit(
    config: Config,
    profile: Profile,
    workers: int,
    micro_batch: int,
    checkpointing: bool,
    footprint: Footprint,
    limit: float,
) -> Fit:
    precision = choose_precision(config, profile)
    accumulation = config.training.global_batch // (workers * micro_batch)
    process = _process(profile)
    seconds = training_flops(config) / (profile.peak_tflops * 1e12 * EFFICIENCY * workers)
    return Fit(
        profile=profile.name,
        precision=precision,
        attention=_attention(config, profile),
        micro_batch=micro_batch,
        accumulation=accumulation,
        workers=workers,
        gradient_checkpointing=checkpointing,
        predicted_gib=round(footprint.total + process, 3),
        limit_gib=round(limit, 3),
        hours=seconds / 3600,
        memory={
            name: round(gib + (process if name == "context" else 0.0), 3)
            for name, gib in footprint.items().items()
        },
        host_gib=round(footprint.host, 3),
        traced=footprint.traced,
        reasons=_reasons(config, profile, precision, micro_batch, accumulation, checkpointing),
    )


def _reasons(
    config: Config,
    profile: Profile,
    precision: str,
    micro_batch: int,
    accumulation: int,
    checkpointing: bool,
) -> tuple[str, ...]:
    chosen = "as asked for" if config.training.precision != "auto" else f"native to {profile.name}"
    words = [
        f"precision {precision}: {chosen}",
        f"micro-batch {micro_batch} x accumulation {accumulation}: the largest that fits, "
        f"global batch {config.training.global_batch} kept",
    ]
    if checkpointing:
        words.append("gradient checkpointing: does not fit without")
    if not profile.is_cpu and not profile.flash_attention:
        words.append("SDPA with repeated KV: no FlashAttention, and grouped KV takes the math path")
    return tuple(words)
