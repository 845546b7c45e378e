"""How one variant runs on one kind of GPU: pure, and never a change of what is learned."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from ntlbg_model.config import STRICT, Config
from ntlbg_model.footprint import (
    CONTEXT_GIB,
    Attention,
    Footprint,
    Offload,
    Precision,
    Step,
    training_footprint,
    training_hours,
)
from ntlbg_service.domain.candidates import plain_steps, sharded_steps
from ntlbg_service.domain.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fit_words import reasons, sharding_words, words_of
from ntlbg_service.domain.profiles import NodeShape, Profile

SAFETY = 0.97
"""Share of the card that a prediction may fill (memory: limit = 0.97 x device)."""
BAND = 0.15
"""Closer to the limit than this share, the closed form does not decide alone."""
HOST_SHARE = 0.9
"""Share of a node's memory that offloaded states may fill."""
LEAST_HOURS = 1e-6
"""Of a run without training steps: evaluation is not predicted."""
CPU_PROCESS_GIB = 0.76
"""Resident set of a CPU worker beside its model: libraries, and what the C allocator keeps
(900 to 1058 MiB in all were measured with torch 2.13 and Ray 2.60 on x86-64 Linux)."""


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
    def unbuilt(self) -> str | None:
        """What of these settings the runner cannot run yet; None where it can."""
        if self.zero_stage or self.offload != "none":
            return f"{sharding_words(self.step)} on {self.workers} x {self.profile}"
        return None

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
    """The cheapest settings in predicted device-hours whose memory stays within the limit.

    Plain settings come first: the least recomputation, then the largest micro-batch, on one device
    or as many as the config asks for. Only where none of them fits does DeepSpeed spread or move
    the states. Those within 15 % of the limit are traced, and the trace decides.
    """
    wrong = _impossible(config, profile, node, nodes)
    if wrong is not None:
        return Misfit(profile=profile.name, reason=wrong)
    limit = min(profile.usable_gib, node.host_memory_gib) if profile.is_cpu else profile.usable_gib
    limit *= SAFETY
    ways = [plain_steps(config, profile)]
    if not profile.is_cpu and config.training.max_steps > 0:
        steps = sharded_steps(config, profile, node)
        ways.append(iter(sorted(steps, key=lambda step: _device_hours(config, step, profile))))
    least: tuple[float, Step] | None = None
    away: tuple[float, Step] | None = None
    for steps in ways:
        for step in steps:
            host = _host_of(config, step, node, estimates)
            if host > HOST_SHARE * node.host_memory_gib:
                if away is None or host < away[0]:
                    away = host, step
                continue
            footprint = _judged(config, step, limit, profile, estimates)
            needed = footprint.total + _process(profile, estimates)
            if needed <= limit:
                return fit_of(config, profile, step, footprint, limit, estimates)
            if least is None or needed < least[0]:
                least = needed, step
    assert least is not None
    return Misfit(
        profile=profile.name,
        reason=f"needs {least[0]:.1f} GiB {words_of(least[1])}, the limit is {limit:.1f} GiB"
        + _lacking_host(away, node)
        + _suggestion(config, least[1], limit),
    )


def _host_of(config: Config, step: Step, node: NodeShape, estimates: Estimates) -> float:
    """GiB of a node's memory that the states of its workers would fill."""
    if step.offload == "none":
        return 0.0
    footprint = estimates.footprint(config, step, CONTEXT_GIB)
    return footprint.host * min(step.workers, node.gpus)


def _lacking_host(away: tuple[float, Step] | None, node: NodeShape) -> str:
    """What the node's memory kept from being tried."""
    if away is None:
        return ""
    return (
        f"; {sharding_words(away[1])} would take {away[0]:.0f} GiB of host memory, of which a "
        f"node gives {HOST_SHARE * node.host_memory_gib:.0f}"
    )


def _impossible(config: Config, profile: Profile, node: NodeShape, nodes: int) -> str | None:
    """What excludes a profile whatever the settings."""
    wanted, workers = config.hardware.profile, config.hardware.num_gpus or 1
    if wanted is not None and wanted != profile.name and wanted not in profile.aliases:
        return f"hardware.profile asks for {wanted}"
    if config.training.precision == "bf16" and not (profile.bf16 or profile.is_cpu):
        return "training.precision is bf16, which it lacks"
    if config.training.precision == "fp16" and profile.is_cpu:
        return "training.precision is fp16; a CPU has none"
    if config.training.global_batch % workers:
        return (
            f"training.global_batch {config.training.global_batch} is not a multiple of "
            f"hardware.num_gpus {workers}"
        )
    return None


def _judged(
    config: Config, step: Step, limit: float, profile: Profile, estimates: Estimates
) -> Footprint:
    """The prediction that decides: a trace near the limit where there is a tracer, with what
    measured peaks on the profile have taught."""
    factor = estimates.calibration(profile.name).factor
    found = estimates.footprint(config, step, CONTEXT_GIB).scaled(factor)
    near = (1 - BAND) * limit < found.total + _process(profile, estimates) <= limit
    traced = estimates.trace(config, step, CONTEXT_GIB) if near else None
    return traced.scaled(factor) if traced is not None else found


def _device_hours(config: Config, step: Step, profile: Profile) -> tuple[float, int, int]:
    hours = training_hours(config, step, profile.rates) * step.workers
    return round(hours, 6), step.workers, -step.micro_batch


def _suggestion(config: Config, step: Step, limit: float) -> str:
    """What the variant could change, which no fit does."""
    if config.model.tuning == "full":
        lora = replace(config, model=replace(config.model, tuning="lora", vision="frozen"))
        plain = replace(step, zero_stage=0, offload="none", micro_batch=1, checkpointing=True)
        needed = training_footprint(lora, plain).total
        if needed <= limit:
            return f"; model.tuning 'lora' would need {needed:.1f} GiB"
    return "; fewer representatives or a smaller frame_resolution would need less"


def _process(profile: Profile, estimates: Estimates) -> float:
    """What a CPU worker takes beside its model, as measured peaks have it."""
    return CPU_PROCESS_GIB * estimates.calibration(profile.name).factor if profile.is_cpu else 0.0


def fit_of(
    config: Config,
    profile: Profile,
    step: Step,
    footprint: Footprint,
    limit: float,
    estimates: Estimates,
) -> Fit:
    """A step with its prediction, as a fit."""
    process = _process(profile, estimates)
    return Fit(
        profile=profile.name,
        precision=step.precision,
        attention=step.attention,
        micro_batch=step.micro_batch,
        accumulation=step.accumulation,
        workers=step.workers,
        gradient_checkpointing=step.checkpointing,
        vision_chunk=step.vision_chunk,
        zero_stage=step.zero_stage,
        offload=step.offload,
        predicted_gib=round(footprint.total + process, 3),
        limit_gib=round(limit, 3),
        hours=max(training_hours(config, step, profile.rates), LEAST_HOURS),
        memory={
            name: round(gib + (process if name == "context" else 0.0), 3)
            for name, gib in footprint.items().items()
        },
        host_gib=round(footprint.host, 3),
        traced=footprint.traced,
        calibration=estimates.calibration(profile.name).factor,
        reasons=reasons(config, profile, step, footprint, estimates),
    )
