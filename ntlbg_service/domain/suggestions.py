"""What a variant that fits nowhere could change. No fit ever does: it would be another variant."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from ntlbg_model.built import unbuilt
from ntlbg_model.config import Config, ModelConfig

Needs = Callable[[Config], float]
"""GiB that a config needs at least on the device in question."""


def suggestion(config: Config, limit: float, needs: Needs) -> str:
    """What would bring a config within `limit` GiB, each change by itself, as the end of a
    sentence."""
    found = []
    for words, other in _changes(config):
        needed = needs(other)
        if needed <= limit:
            found.append(f"{words} would need {needed:.1f} GiB{_state(config, other)}")
    fewer = _representatives(config, limit, needs)
    found += [fewer] if fewer else []
    if not found:
        return "; fewer representatives or a smaller frame_resolution would need less"
    return "; " + "; ".join(found)


def _changes(config: Config) -> Iterator[tuple[str, Config]]:
    """Changes of how a model is held and tuned, the smallest first."""
    model = config.model
    if not model.gradient_checkpointing:
        yield "model.gradient_checkpointing true", _with(config, gradient_checkpointing=True)
    if config.training.optimizer == "adamw" and model.tuning != "none":
        eight = replace(config.training, optimizer="adamw_8bit")
        yield "training.optimizer 'adamw_8bit'", replace(config, training=eight)
    if model.tuning == "full":
        lora = replace(model, tuning="lora", vision="frozen")
        yield "model.tuning 'lora'", replace(config, model=lora)
        yield (
            "model.tuning 'lora' with model.quantisation 'nf4'",
            replace(config, model=replace(lora, quantisation="nf4")),
        )
    elif _can_be_quantised(model):
        yield "model.quantisation 'nf4'", _with(config, quantisation="nf4")


def _can_be_quantised(model: ModelConfig) -> bool:
    return model.architecture == "qwen2_vl" and model.quantisation == "none"


def _with(config: Config, **changes: object) -> Config:
    return replace(config, model=replace(config.model, **changes))  # type: ignore[arg-type]


def _state(config: Config, other: Config) -> str:
    return " (not built yet)" if set(unbuilt(other)) - set(unbuilt(config)) else ""


def _representatives(config: Config, limit: float, needs: Needs) -> str | None:
    """The most representatives that fit, found by halving; None where the fewest do not fit or
    all frames are kept."""
    video = config.video
    if config.selection.method == "all_frames":
        return None
    each = video.representative_alignment
    low, high = 0, video.representatives(video.max_frames) // each
    needed = 0.0
    while high - low > 1:
        middle = (low + high) // 2
        found = needs(replace(config, video=replace(video, num_representatives=middle * each)))
        if found <= limit:
            low, needed = middle, found
        else:
            high = middle
    if not low:
        return None
    return (
        f"video.num_representatives {low * each}, the most that fit without DeepSpeed, would need "
        f"{needed:.1f} GiB"
    )
