"""What to try after an out-of-memory: the next fit of the same variant. Pure policy.

A rung changes how a run runs, never what it learns: the global batch stays, and nothing of the
config is touched. Each rung is predicted to take less of a device than the last, or is on a larger
one, so the ladder ends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Step
from ntlbg_service.domain.fitting.answering import with_questions
from ntlbg_service.domain.fitting.candidates import SHARDINGS, gangs, micro_batches, narrower
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import (
    HOST_SHARE,
    Fit,
    fit,
    fit_of,
    host_of,
    limit_of,
    process_gib,
)
from ntlbg_service.domain.fitting.fit_words import sharding_words
from ntlbg_service.domain.hardware.profiles import DeviceOffer, NodeShape, Profile


@dataclass(frozen=True, kw_only=True)
class OomFallback:
    """The next thing to try, and why."""

    fit: Fit
    reason: str


def next_fit(
    config: Config,
    failed: Fit,
    profile: Profile,
    node: NodeShape,
    *,
    nodes: int = 1,
    larger: Sequence[DeviceOffer | tuple[Profile, NodeShape]] = (),
    estimates: Estimates = CLOSED_FORM,
) -> OomFallback | None:
    """The rung after `failed` ran out of memory on `profile`; None where the ladder ends.

    `nodes` are the nodes like `node` that there are; `larger` are other kinds of device. One that
    computes in another numerics class comes last, and the reason says so: the run then no longer
    compares with its group.
    """
    place = DeviceOffer(profile, node, max(nodes, failed.nodes))
    factor = estimates.calibration(profile.name).factor
    before = estimates.footprint(config, failed.step, CONTEXT_GIB).scaled(factor)
    process = process_gib(profile, estimates)
    for lower, words in _lower(config, failed.step, place):
        step = with_questions(config, lower)
        footprint = estimates.footprint(config, step, CONTEXT_GIB).scaled(factor)
        holds = host_of(config, step, estimates) <= HOST_SHARE * node.host_memory_gib
        if footprint.total < before.total and holds:
            return OomFallback(
                fit=fit_of(config, place, step, footprint, limit_of(place, step), estimates),
                reason=f"out of memory at a predicted {before.total + process:.2f} GiB: {words}, "
                f"predicted {footprint.total + process:.2f} GiB",
            )
    kinds = [DeviceOffer(*kind) for kind in larger]
    return _larger(config, failed, profile, kinds, estimates)


def _larger(
    config: Config,
    failed: Fit,
    profile: Profile,
    kinds: Sequence[DeviceOffer],
    estimates: Estimates,
) -> OomFallback | None:
    """On a kind with more memory: of those that compute alike the smallest, then of the others."""
    found = [
        (other, settled)
        for other, node, nodes in kinds
        if other.usable_gib > profile.usable_gib
        and isinstance(settled := fit(config, other, node, nodes=nodes, estimates=estimates), Fit)
    ]
    if not found:
        return None
    kind, chosen = min(
        found, key=lambda pair: (pair[1].numerics != failed.numerics, pair[0].usable_gib)
    )
    words = f"out of memory on {profile.name} whatever the settings: {kind.name} has "
    words += f"{kind.usable_gib:.1f} GiB"
    if chosen.numerics != failed.numerics:
        words += f"; numerics change from {failed.numerics} to {chosen.numerics}"
    return OomFallback(fit=chosen, reason=words)


def _lower(config: Config, step: Step, place: DeviceOffer) -> Iterator[tuple[Step, str]]:
    """Steps that may take less, the cheapest change first."""
    for chunk in narrower(config, step):
        yield replace(step, vision_chunk=chunk), f"vision tower in chunks of {chunk} pairs"
    if config.model.gradient_checkpointing and not step.checkpointing:
        yield replace(step, checkpointing=True), "gradient checkpointing on"
    for size in micro_batches(config, step.workers):
        if size < step.micro_batch:
            fewer = _split(config, step, size)
            yield (
                fewer,
                f"micro-batch {step.micro_batch} -> {size}, accumulation {step.accumulation} -> "
                f"{fewer.accumulation}",
            )
    if step.questions > 1 and config.training.max_steps == 0:
        number = step.questions // 2
        yield replace(step, questions=number), f"questions at once {step.questions} -> {number}"
    if not step.cpu and config.training.max_steps > 0:
        yield from _sharded(config, step, place)


def _sharded(config: Config, step: Step, place: DeviceOffer) -> Iterator[tuple[Step, str]]:
    wider = [gang for gang in gangs(config, place.node, place.nodes) if gang[0] >= step.workers]
    for several in (False, True):
        for stage, offload in SHARDINGS:
            for workers, nodes in wider:
                if (nodes > 1) is not several or (workers == 1 and offload == "none"):
                    continue
                size = max(n for n in micro_batches(config, workers) if n <= step.micro_batch)
                spread = replace(
                    step,
                    workers=workers,
                    nodes=nodes,
                    zero_stage=stage,  # type: ignore[arg-type]
                    offload=offload,
                )
                changed = _split(config, spread, size)
                yield changed, _words(changed)


def _words(step: Step) -> str:
    spread = f" of {step.nodes} nodes" if step.nodes > 1 else ""
    return f"{sharding_words(step)} on {step.workers} device{'s'[: step.workers > 1]}{spread}"


def _split(config: Config, step: Step, micro_batch: int) -> Step:
    accumulation = config.training.global_batch // (step.workers * micro_batch)
    return replace(step, micro_batch=micro_batch, accumulation=accumulation)
