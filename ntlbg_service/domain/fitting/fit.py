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
    training_hours,
)
from ntlbg_model.support import zero3_incompatible
from ntlbg_service.domain.fitting.answering import with_questions
from ntlbg_service.domain.fitting.candidates import least_step, narrower, ways
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.excluded import excluded
from ntlbg_service.domain.fitting.fit_words import reasons, sharding_words, words_of
from ntlbg_service.domain.fitting.suggestions import suggestion
from ntlbg_service.domain.hardware.profiles import DeviceOffer, NodeShape, Profile

SAFETY = 0.97
"""Share of the card that a prediction may fill (memory: limit = 0.97 x device)."""
BAND = 0.15
"""Closer to the limit than this share, the closed form does not decide alone."""
HOST_SHARE = 0.9
"""Share of a node's memory that offloaded states may fill."""
LEAST_HOURS = 1e-6
"""Of a run without training steps: evaluation is not predicted."""
CPU_PROCESS_GIB = 0.88
"""Resident set of a CPU worker beside its model: libraries, and what the C allocator keeps. Of the
demo's workers 899 to 1058 MiB in all were measured (torch 2.13, Ray 2.60, x86-64 Linux), of one
machine on different days; this covers the highest."""


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
    cores: int = 1
    """CPU cores of one worker, which it decodes with."""
    questions: int = 8
    """Questions answered at once in the evaluation."""
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
    unsupported: str | None = None
    """What of these settings the runner cannot run yet; None where it can."""
    share: float = 1.0
    """Part of its GPU that a run of one worker takes; below 1 others run beside it."""

    @property
    def numerics(self) -> str:
        """The numerics class: what must agree within a comparison group."""
        return f"{self.precision} {self.attention}"

    @property
    def resources(self) -> dict[str, float]:
        """What Ray reserves for one worker."""
        cores: dict[str, float] = {"CPU": self.cores}
        return cores if self.profile == "cpu" else cores | {"GPU": self.share}

    @property
    def step(self) -> Step:
        """The settings as memory and time are predicted from them."""
        return Step(
            precision=self.precision,
            attention=self.attention,
            micro_batch=self.micro_batch,
            accumulation=self.accumulation,
            workers=self.workers,
            nodes=self.nodes,
            checkpointing=self.gradient_checkpointing,
            vision_chunk=self.vision_chunk,
            questions=self.questions,
            zero_stage=self.zero_stage,
            offload=self.offload,
            cpu=self.profile == "cpu",
        )

    @property
    def gpu_hours(self) -> float:
        """Wall time x workers, of a shared GPU its part."""
        return self.hours * self.workers * self.share


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
    the states, on one node before several of the `nodes` like it. A frozen vision tower sees fewer
    pairs at once where that alone makes settings fit. Within 15 % of the limit, on either side, a
    trace decides.
    """
    place = DeviceOffer(profile, node, nodes)
    wrong = excluded(config, place)
    if wrong is not None:
        return Misfit(profile=profile.name, reason=wrong)
    least: tuple[float, Step] | None = None
    away: tuple[float, Step] | None = None
    for steps in ways(config, place):
        for step in steps:
            host = host_of(config, step, estimates)
            if host > HOST_SHARE * node.host_memory_gib:
                away = min(away or (host, step), (host, step), key=lambda pair: pair[0])
                continue
            limit = limit_of(place, step)
            settled, footprint = _settled(config, step, limit, profile, estimates)
            needed = footprint.total + process_gib(profile, estimates)
            if needed <= limit:
                settled = with_questions(config, settled)
                return fit_of(config, place, settled, footprint, limit, estimates)
            if least is None or needed < least[0]:
                least = needed, settled
    assert least is not None
    limit = limit_of(place, least[1])
    return Misfit(
        profile=profile.name,
        reason=f"needs {least[0]:.1f} GiB {words_of(least[1])}, the limit is {limit:.1f} GiB"
        + _lacking_host(away, node)
        + suggestion(config, limit, lambda other: _least(other, place, estimates)),
    )


def limit_of(place: DeviceOffer, step: Step) -> float:
    """What a worker may fill, GiB; on a CPU it shares the node's memory with those beside it."""
    usable = place.profile.usable_gib
    if place.profile.is_cpu:
        usable = min(usable, place.node.host_memory_gib * step.nodes / step.workers)
    return SAFETY * usable


def host_of(config: Config, step: Step, estimates: Estimates) -> float:
    """GiB of a node's memory that the states of its workers would fill."""
    if step.offload == "none":
        return 0.0
    footprint = estimates.footprint(config, step, CONTEXT_GIB)
    return footprint.host * step.workers / step.nodes


def _lacking_host(away: tuple[float, Step] | None, node: NodeShape) -> str:
    """What the node's memory kept from being tried."""
    if away is None:
        return ""
    return (
        f"; {sharding_words(away[1])} would take {away[0]:.0f} GiB of host memory, of which a "
        f"node gives {HOST_SHARE * node.host_memory_gib:.0f}"
    )


def _settled(
    config: Config, step: Step, limit: float, profile: Profile, estimates: Estimates
) -> tuple[Step, Footprint]:
    """The step, with the largest chunk of a frozen tower that fits where its own does not."""
    found = _judged(config, step, limit, profile, estimates)
    room = limit - process_gib(profile, estimates)
    if found.total <= room:
        return step, found
    for chunk in _chunks_that_matter(config, step, estimates):
        narrow = replace(step, vision_chunk=chunk)
        smaller = _judged(config, narrow, limit, profile, estimates)
        if smaller.total <= room:
            return narrow, smaller
    return step, found


def _chunks_that_matter(config: Config, step: Step, estimates: Estimates) -> list[int]:
    """Smaller chunks, where the tower is what takes the most."""
    chunks = narrower(config, step)
    if not chunks:
        return []
    last = replace(step, vision_chunk=chunks[-1])
    whole, least = (estimates.footprint(config, each, CONTEXT_GIB).total for each in (step, last))
    return chunks if least < whole else []


def _judged(
    config: Config, step: Step, limit: float, profile: Profile, estimates: Estimates
) -> Footprint:
    """The prediction that decides: a trace near the limit where there is a tracer, with what
    measured peaks on the profile have taught."""
    factor = estimates.calibration(profile.name).factor
    found = estimates.footprint(config, step, CONTEXT_GIB).scaled(factor)
    off = found.total + process_gib(profile, estimates) - limit
    traced = estimates.trace(config, step, CONTEXT_GIB) if abs(off) < BAND * limit else None
    return found if traced is None else traced.scaled(factor)


def _least(config: Config, place: DeviceOffer, estimates: Estimates) -> float:
    """GiB that a config needs at least without DeepSpeed."""
    step = least_step(config, place)
    limit = limit_of(place, step)
    _, footprint = _settled(config, step, limit, place.profile, estimates)
    return footprint.total + process_gib(place.profile, estimates)


def process_gib(profile: Profile, estimates: Estimates) -> float:
    """What a CPU worker takes beside its model, as measured peaks have it."""
    return CPU_PROCESS_GIB * estimates.calibration(profile.name).factor if profile.is_cpu else 0.0


def fit_of(
    config: Config,
    place: DeviceOffer,
    step: Step,
    footprint: Footprint,
    limit: float,
    estimates: Estimates,
) -> Fit:
    """A step with its prediction, as a fit."""
    profile = place.profile
    process = process_gib(profile, estimates)
    return Fit(
        profile=profile.name,
        precision=step.precision,
        attention=step.attention,
        micro_batch=step.micro_batch,
        accumulation=step.accumulation,
        workers=step.workers,
        nodes=step.nodes,
        cores=place.cores,
        gradient_checkpointing=step.checkpointing,
        vision_chunk=step.vision_chunk,
        questions=step.questions,
        zero_stage=step.zero_stage,
        offload=step.offload,
        predicted_gib=round(footprint.total + process, 3),
        limit_gib=round(limit, 3),
        hours=max(training_hours(config, step, place.rates), LEAST_HOURS),
        memory={
            name: round(gib + (process if name == "context" else 0.0), 3)
            for name, gib in footprint.items().items()
        },
        host_gib=round(footprint.host, 3),
        traced=footprint.traced,
        calibration=estimates.calibration(profile.name).factor,
        reasons=reasons(config, place, step, footprint, estimates),
        unsupported=_unbuilt(config, step),
    )


def _unbuilt(config: Config, step: Step) -> str | None:
    beside = zero3_incompatible(config)
    if step.zero_stage < 3 or not beside:
        return None
    return f"{sharding_words(step)} together with {', '.join(beside)}"
