"""What each setting of a fit bought, in words with numbers."""

from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Footprint, Step
from ntlbg_service.domain.estimates import Estimates
from ntlbg_service.domain.profiles import Profile


def reasons(
    config: Config, profile: Profile, step: Step, footprint: Footprint, estimates: Estimates
) -> tuple[str, ...]:
    """One line a choice."""
    asked = config.training.precision != "auto"
    words = [
        f"precision {step.precision}: {'as asked for' if asked else f'native to {profile.name}'}",
        f"micro-batch {step.micro_batch} x accumulation {step.accumulation} x {step.workers} "
        f"device{'s' if step.workers > 1 else ''}: the largest that fits, "
        f"global batch {config.training.global_batch} kept",
    ]

    def without(**changes: object) -> str:
        other = estimates.footprint(config, replace(step, **changes), CONTEXT_GIB)  # type: ignore[arg-type]
        return f"{footprint.total:.1f} instead of {other.total:.1f} GiB"

    if step.checkpointing:
        words.append(f"gradient checkpointing: {without(checkpointing=False)}")
    if step.deepspeed:
        words.append(f"{sharding_words(step)}: {without(zero_stage=0, offload='none')}")
    if footprint.host:
        words.append(f"host memory: {footprint.host * step.workers:.0f} GiB for all workers")
    if step.attention == "sdpa_repeated":
        words.append("SDPA with repeated KV: grouped heads would take the math path here")
    calibration = estimates.calibration(profile.name)
    if calibration.runs:
        words.append(
            f"what moves x {calibration.factor:.2f}, learned from {calibration.runs} runs on "
            f"{profile.name}"
        )
    words.append("memory traced" if footprint.traced else "memory by the closed form, not traced")
    return tuple(words)


def sharding_words(step: Step) -> str:
    """'ZeRO-2 with offload of the optimizer'."""
    moved = {"none": "", "optimizer": " with offload of the optimizer", "all": " with offload"}
    return f"ZeRO-{step.zero_stage}{moved[step.offload]}"


def words_of(step: Step) -> str:
    """'at micro-batch 1 with ZeRO-3 on 8 devices'."""
    sharded = f" with {sharding_words(step)}" if step.deepspeed else ""
    spread = f" on {step.workers} devices" if step.workers > 1 else ""
    return f"at micro-batch {step.micro_batch}{sharded}{spread}"
