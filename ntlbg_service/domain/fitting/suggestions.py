"""What a variant that fits nowhere could change. No fit ever does: it would be another variant."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.support import unsupported

Needs = Callable[[Config], float]
"""GiB that a config needs at least on the device in question."""


def suggestion(config: Config, limit: float, needs: Needs) -> str:
    """What would bring a config within `limit` GiB, each change by itself, as the end of a
    sentence."""
    found = []
    for options, other in changes(config):
        needed = needs(other)
        if needed <= limit:
            words = " with ".join(map(_words, options.items()))
            found.append(f"{words} would need {needed:.1f} GiB{_state(config, other)}")
    fewer = _representatives(config, limit, needs)
    found += [fewer] if fewer else []
    if not found:
        return "; fewer representatives or a smaller frame_resolution would need less"
    return "; " + "; ".join(found)


def changes(config: Config) -> Iterator[tuple[dict[str, object], Config]]:
    """Dotted paths to other values, and the config with them, that take less memory: how a model
    is held and tuned, the smallest change first."""
    model = config.model
    if not model.gradient_checkpointing:
        yield _changed(config, {"model.gradient_checkpointing": True})
    if config.training.optimizer == "adamw" and model.tuning != "none":
        yield _changed(config, {"training.optimizer": "adamw_8bit"})
    quantised: dict[str, object] = {"model.quantisation": "nf4"}
    if model.tuning == "full":
        lora: dict[str, object] = {"model.tuning": "lora"}
        frozen = replace(config, model=replace(model, vision="frozen"))
        yield _changed(frozen, lora)
        yield _changed(frozen, lora | quantised)
    elif model.architecture == "qwen2_vl" and model.quantisation == "none":
        yield _changed(config, quantised)


def _changed(config: Config, options: dict[str, object]) -> tuple[dict[str, object], Config]:
    other = config
    for path, value in options.items():
        section, name = path.split(".")
        changed = replace(getattr(other, section), **{name: value})
        other = replace(other, **{section: changed})
    return options, other


def _words(option: tuple[str, object]) -> str:
    path, value = option
    return f"{path} true" if value is True else f"{path} {value!r}"


def _state(config: Config, other: Config) -> str:
    return " (not built yet)" if set(unsupported(other)) - set(unsupported(config)) else ""


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
