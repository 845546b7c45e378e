"""What the fit makes of a config on one kind of GPU: before, after and why, setting by setting."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Step
from ntlbg_model.support import unsupported
from ntlbg_service.domain.fitting.candidates import choose_attention, choose_precision
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import Fit, Misfit, fit
from ntlbg_service.domain.fitting.setting_reasons import Setting, settings_of
from ntlbg_service.domain.fitting.suggestions import changes
from ntlbg_service.domain.hardware.profiles import NodeShape, Profile

WORTH = 0.95
"""A change of the variant is worth telling where it takes this share or less of the GPU-hours or
of the memory."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A change of the variant, which no fit makes, and what it would bring."""

    options: dict[str, object]
    """Dotted path to the other value."""
    found: Fit
    unsupported: tuple[str, ...]
    """What of it is declared and not built yet."""


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """A config as it stands, and as it would run on a profile."""

    profile: Profile
    before_gib: float
    """Predicted peak as the config stands: see `as_it_stands`."""
    found: Fit | Misfit
    settings: tuple[Setting, ...]
    """What is chosen; empty where nothing fits."""
    suggestions: tuple[Suggestion, ...]


def optimise(
    config: Config, profile: Profile, node: NodeShape, estimates: Estimates = CLOSED_FORM
) -> Optimisation:
    """Fit a config to `profile`, whatever kind it names itself."""
    free = replace(config, hardware=replace(config.hardware, profile=None))
    before = as_it_stands(config, profile)
    found = fit(free, profile, node, estimates=estimates)
    return Optimisation(
        profile=profile,
        before_gib=estimates.footprint(config, before, CONTEXT_GIB).total,
        found=found,
        settings=settings_of(config, profile, before, found, estimates)
        if isinstance(found, Fit)
        else (),
        suggestions=_suggestions(free, profile, node, found, estimates),
    )


def as_it_stands(config: Config, profile: Profile) -> Step:
    """The step of a config that nothing was fitted to.

    The global batch in one piece on the GPUs it asks for, or on one; attention as torch takes it,
    which writes out all scores where there is no FlashAttention; no DeepSpeed.
    """
    workers = config.hardware.num_gpus or 1
    attention = choose_attention(config, profile)
    return Step(
        precision=choose_precision(config, profile),
        attention="eager" if attention == "sdpa_repeated" else attention,
        micro_batch=max(1, config.training.global_batch // workers),
        workers=workers,
        checkpointing=config.model.gradient_checkpointing,
        questions=config.evaluation.batch_size,
        cpu=profile.is_cpu,
    )


def applied(config: Config, found: Fit) -> Config:
    """The config with what it can say of a fit; the fit chooses the rest again, and alike.

    One GPU is not written down: a plan may then still give the run more.
    """
    workers = found.workers if found.workers > 1 else config.hardware.num_gpus
    return replace(
        config,
        training=replace(config.training, precision=found.precision),
        hardware=replace(config.hardware, profile=found.profile, num_gpus=workers),
    )


def _suggestions(
    config: Config,
    profile: Profile,
    node: NodeShape,
    now: Fit | Misfit,
    estimates: Estimates,
) -> tuple[Suggestion, ...]:
    known = unsupported(config)
    tried = (
        Suggestion(
            options=options,
            found=found,
            unsupported=tuple(name for name in unsupported(other) if name not in known),
        )
        for options, other in _alternatives(config)
        if isinstance(found := fit(other, profile, node, estimates=estimates), Fit)
    )
    return tuple(suggestion for suggestion in tried if _worth(suggestion.found, now))


def _worth(found: Fit, now: Fit | Misfit) -> bool:
    if isinstance(now, Misfit):
        return True
    if now.accumulation == 1 and not (now.gradient_checkpointing or now.zero_stage):
        # Memory costs this run nothing.
        return False
    if found.micro_batch > now.micro_batch:
        return True
    return (
        found.gpu_hours <= WORTH * now.gpu_hours or found.predicted_gib <= WORTH * now.predicted_gib
    )


def _alternatives(config: Config) -> Iterator[tuple[dict[str, object], Config]]:
    """Other variants that take less memory."""
    yield from changes(config)
    video = config.video
    kept = video.representatives(video.max_frames)
    if kept >= 2 * video.min_representatives and config.selection.method != "all_frames":
        fewer = replace(video, num_representatives=kept // 2)
        yield {"video.num_representatives": kept // 2}, replace(config, video=fewer)
    if config.training.precision != "auto":
        auto = replace(config.training, precision="auto")
        yield {"training.precision": "auto"}, replace(config, training=auto)
