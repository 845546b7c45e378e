"""What each setting of a fit bought, in words with numbers."""

from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Footprint, Step, answering_footprint
from ntlbg_service.domain.fitting.candidates import CHUNK
from ntlbg_service.domain.fitting.estimates import Estimates
from ntlbg_service.domain.hardware.profiles import DeviceOffer


def reasons(
    config: Config, place: DeviceOffer, step: Step, footprint: Footprint, estimates: Estimates
) -> tuple[str, ...]:
    """One line a choice."""
    profile = place.profile
    asked = config.training.precision != "auto"
    batch = (
        "evaluation alone"
        if config.training.max_steps == 0
        else f"micro-batch {step.micro_batch} x accumulation {step.accumulation} x {step.workers} "
        f"device{'s' if step.workers > 1 else ''}: the largest that fits, "
        f"global batch {config.training.global_batch} kept"
    )
    words = [
        f"precision {step.precision}: {'as asked for' if asked else f'native to {profile.name}'}",
        batch,
    ]

    def without(**changes: object) -> str:
        other = estimates.footprint(config, replace(step, **changes), CONTEXT_GIB)  # type: ignore[arg-type]
        return f"{footprint.total:.1f} instead of {other.total:.1f} GiB"

    if step.nodes > 1:
        words.append(_network(place, step))
    if step.checkpointing:
        words.append(f"gradient checkpointing: {without(checkpointing=False)}")
    if step.deepspeed:
        words.append(f"{sharding_words(step)}: {without(zero_stage=0, offload='none')}")
    if footprint.host:
        words.append(f"host memory: {footprint.host * step.workers:.0f} GiB for all workers")
    if step.questions < config.evaluation.batch_size:
        words.append(
            f"{step.questions} of {config.evaluation.batch_size} questions answered at once: all "
            f"would take {_all_at_once(config, step):.1f} GiB"
        )
    if step.vision_chunk < CHUNK:
        words.append(
            f"vision tower in chunks of {step.vision_chunk} pairs: {without(vision_chunk=CHUNK)}"
        )
    if step.attention == "sdpa_repeated":
        words.append("SDPA with repeated KV: grouped heads would take the math path here")
    if not profile.is_cpu:
        words.append(_decoding(place))
    calibration = estimates.calibration(profile.name)
    if calibration.runs:
        words.append(
            f"what moves x {calibration.factor:.2f}, learned from {calibration.runs} runs on "
            f"{profile.name}"
        )
    words.append("memory traced" if footprint.traced else "memory by the closed form, not traced")
    return tuple(words)


def _all_at_once(config: Config, step: Step) -> float:
    asked = replace(step, questions=config.evaluation.batch_size)
    return answering_footprint(config, asked).total


def _network(place: DeviceOffer, step: Step) -> str:
    known = "" if place.node.network_gbits is not None else ", assumed"
    return (
        f"{step.nodes} nodes of {step.workers // step.nodes}: gradients cross a network of "
        f"{8 * place.rates.network_gbs:.0f} Gbit/s{known}"
    )


def _decoding(place: DeviceOffer) -> str:
    node = place.node
    if node.cores < node.gpus:
        return (
            f"decoding: 1 core; the {node.cores} cores of a node cannot serve its {node.gpus} GPUs "
            "all at once"
        )
    return f"decoding: {place.cores} of {node.cores} cores for each of {node.gpus} GPUs"


def sharding_words(step: Step) -> str:
    """'ZeRO-2 with offload of the optimizer'."""
    moved = {"none": "", "optimizer": " with offload of the optimizer", "all": " with offload"}
    return f"ZeRO-{step.zero_stage}{moved[step.offload]}"


def words_of(step: Step) -> str:
    """'at micro-batch 1 with ZeRO-3 on 8 devices'."""
    sharded = f" with {sharding_words(step)}" if step.deepspeed else ""
    spread = f" on {step.workers} devices" if step.workers > 1 else ""
    spread += f" of {step.nodes} nodes" if step.nodes > 1 else ""
    return f"at micro-batch {step.micro_batch}{sharded}{spread}"
