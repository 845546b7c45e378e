"""Each setting of a fit beside what it was, with what it buys in numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ntlbg_model.config import PAIR, Config
from ntlbg_model.footprint import CONTEXT_GIB, Step, answering_footprint, load_of
from ntlbg_service.domain.fitting.candidates import micro_batches
from ntlbg_service.domain.fitting.estimates import Estimates
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.profiles import Profile

Value = str | int | bool | None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One choice of how a run runs."""

    name: str
    option: str | None
    """Dotted path, where a config can say it; the rest is the fit's alone."""
    before: Value
    after: Value
    reason: str


Peak = Callable[..., str]
"""GiB with other settings, in words: `peak(micro_batch=2)`."""


def settings_of(
    config: Config, profile: Profile, before: Step, found: Fit, estimates: Estimates
) -> tuple[Setting, ...]:
    """Every setting, in the order in which they are thought of."""
    step = found.step

    def peak(**changes: object) -> str:
        other = replace(step, **changes)  # type: ignore[arg-type]
        return f"{estimates.footprint(config, other, CONTEXT_GIB).total:.1f} GiB"

    hardware, asked = config.hardware, config.training.precision
    gpus = found.workers
    chosen = (
        _setting("hardware.profile", "GPU kind", hardware.profile, profile.name, "asked for"),
        _setting("hardware.num_gpus", "GPUs", hardware.num_gpus, gpus, _gpus(config, found)),
        _setting(
            "training.precision", "precision", asked, step.precision, _precision(config, profile)
        ),
    )
    reasons = {
        "attention": ("attention", _attention(profile, step, peak)),
        "micro-batch": ("micro_batch", _batch(config, step, peak)),
        "accumulation": ("accumulation", _accumulation(config, step)),
        "checkpointing": ("checkpointing", _checkpointing(step, peak)),
        "vision chunk": ("vision_chunk", _chunk(config, peak)),
        "questions at once": ("questions", _questions(config, step)),
        "ZeRO stage": ("zero_stage", _sharding(step, peak)),
        "offload": ("offload", _offload(found, peak)),
    }
    return chosen + tuple(
        _setting(None, name, getattr(before, attribute), getattr(step, attribute), why)
        for name, (attribute, why) in reasons.items()
    )


def _setting(option: str | None, name: str, before: Value, after: Value, reason: str) -> Setting:
    return Setting(name=name, option=option, before=before, after=after, reason=reason)


def _questions(config: Config, step: Step) -> str:
    """Of the evaluation, in the config's batches."""
    if step.questions == config.evaluation.batch_size:
        return "evaluation.batch_size, kept"
    all_at_once = replace(step, questions=config.evaluation.batch_size)
    needed = answering_footprint(config, all_at_once).total
    return f"more would take more than training; all of them {needed:.1f} GiB"


def _gpus(config: Config, found: Fit) -> str:
    if config.hardware.num_gpus is not None:
        return "as hardware.num_gpus asks"
    if found.workers == 1:
        return "fits on one; a plan may give it more"
    return f"the states are spread over them; {found.gpu_hours:.0f} GPU-hours in all"


def _precision(config: Config, profile: Profile) -> str:
    if config.training.precision != "auto":
        return "as training.precision asks"
    if profile.is_cpu:
        return "what a CPU computes in"
    return f"native to {profile.name}" if profile.bf16 else f"{profile.name} has no bf16"


def _attention(profile: Profile, step: Step, peak: Peak) -> str:
    if step.attention == "sdpa_repeated":
        lacking = "in fp32" if profile.flash_attention else "for it"
        return (
            f"no FlashAttention {lacking}; grouped heads would write all scores: "
            f"{peak(attention='eager')}"
        )
    if profile.flash_attention:
        return f"no scores in memory; with them: {peak(attention='eager')}"
    return "torch's own"


def _batch(config: Config, step: Step, peak: Peak) -> str:
    larger = [size for size in micro_batches(config, step.workers) if size > step.micro_batch]
    if not larger:
        return "the largest there is"
    share = config.training.global_batch // step.workers
    return f"at {larger[-1]}: {peak(micro_batch=larger[-1], accumulation=share // larger[-1])}"


def _accumulation(config: Config, step: Step) -> str:
    parts = f"{step.micro_batch} x {step.accumulation} x {step.workers}"
    return f"{parts} = global batch {config.training.global_batch}, as before"


def _checkpointing(step: Step, peak: Peak) -> str:
    if step.checkpointing:
        return f"without: {peak(checkpointing=False)}"
    return "nothing is computed twice; it fits"


def _chunk(config: Config, peak: Peak) -> str:
    if config.model.vision == "trained":
        return "a trained tower takes all pairs together"
    pairs = load_of(config).frames // PAIR
    return f"frame pairs through the frozen tower at once; all {pairs}: {peak(vision_chunk=pairs)}"


def _sharding(step: Step, peak: Peak) -> str:
    if not step.zero_stage:
        return "states need not be spread"
    return f"without: {peak(zero_stage=0, offload='none')}"


def _offload(found: Fit, peak: Peak) -> str:
    if found.offload == "none":
        return "states need not leave the GPU"
    return f"without: {peak(offload='none')}; takes {found.host_gib * found.workers:.0f} GiB of RAM"
