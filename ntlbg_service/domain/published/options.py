"""Published keys to options: by the tables, and those whose meaning has to be decided."""

from typing import Any

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.profiles import profile_named
from ntlbg_service.domain.published.keys import KEYS, STRATEGIES, VALUES
from ntlbg_service.domain.published.reading import Reading
from ntlbg_service.domain.resolve import choices, field_type, parse


def translate(
    reading: Reading, prefix: str = "", batch: tuple[int, int] = (1, 1)
) -> dict[str, Any]:
    """Every known key below a prefix as our dotted path and value.

    `batch` is the batch size and accumulation of the main config, where an override has only one.
    Raises UserError for a value of the wrong type, with its path in the published file.
    """
    found: dict[str, Any] = {}
    for published, ours in KEYS.items():
        path = prefix + published
        if path in reading.leaves and ours in found:
            reading.leave(path, f"another key has set {ours} to {found[ours]!r}")
        elif path in reading.leaves:
            found |= _one(reading, path, ours)
    for special in (_precision, _profile, _base_model, _strategy):
        found |= special(reading, prefix)
    return _bank(reading, prefix, found | _batch(reading, prefix, batch))


def _one(reading: Reading, path: str, ours: str) -> dict[str, Any]:
    value = reading.take(path)
    if isinstance(value, str):
        value = VALUES.get(ours, {}).get(value, value)
    valid = choices(ours)
    if valid and str(value) not in valid:
        reading.leave(path, f"{value!r} is no choice of {ours}; valid: {', '.join(valid)}")
        return {}
    parse(field_type(ours, reading.source), value, f"{reading.source}: {path}")
    return {ours: value}


def _batch(reading: Reading, prefix: str, batch: tuple[int, int]) -> dict[str, Any]:
    """Batch size times accumulation; a category has both beside its other keys."""
    paths = [
        f"{prefix}{section}{name}"
        for section in ("training_config.", "")
        for name in ("batch_size", "gradient_accumulation_steps")
    ]
    for pair in (paths[:2], paths[2:]):
        if any(path in reading.leaves for path in pair):
            size, steps = (reading.whole(*item) for item in zip(pair, batch, strict=True))
            reading.decide(
                pair[0],
                f"training.global_batch is {size} x {steps} = {size * steps} samples a step, "
                "on any number of GPUs",
            )
            return {"training.global_batch": size * steps}
    return {}


def _precision(reading: Reading, prefix: str) -> dict[str, Any]:
    """Two flags are one option. fp16 was all that a V100 has, so it leaves the card the choice."""
    path = f"{prefix}training_config.fp16"
    fp16, bf16 = (_flag(reading, f"{prefix}training_config.{name}") for name in ("fp16", "bf16"))
    if fp16 is None and bf16 is None:
        return {}
    if fp16:
        reading.decide(
            path,
            "training.precision is 'auto': fp16 was meant for a V100, an A100 has bf16; an "
            "explicit value wins",
        )
        if bf16 is not None:
            reading.decide(f"{prefix}training_config.bf16", "decides nothing beside fp16 true")
        return {"training.precision": "auto"}
    return {"training.precision": "bf16" if bf16 else "fp32"}


def _flag(reading: Reading, path: str) -> bool | None:
    """True or false at a path, None where there is no such key."""
    if path not in reading.leaves:
        return None
    value = reading.take(path)
    if not isinstance(value, bool):
        raise UserError(f"{reading.source}: {path}: must be true or false, got {value!r}")
    return value


def _profile(reading: Reading, prefix: str) -> dict[str, Any]:
    path = f"{prefix}hardware_config.gpu_type"
    if path not in reading.leaves:
        return {}
    profile = profile_named(reading.words(path), f"{reading.source}: {path}").name
    reading.decide(
        path,
        f"runs go to {profile} only, and to hardware.num_gpus of them; remove 'hardware' to let "
        "the plan choose",
    )
    return {"hardware.profile": profile}


def _base_model(reading: Reading, prefix: str) -> dict[str, Any]:
    for name in ("base_model", "base_model_name"):
        path = f"{prefix}model_config.{name}"
        if path in reading.leaves:
            model = reading.words(path)
            if "qwen2" in model.lower() and "vl" in model.lower():
                return {"model.base_model": model}
            reading.leave(
                path, f"{model!r} is no Qwen2-VL or Qwen2.5-VL: all are compared on one backbone"
            )
    return {}


def _strategy(reading: Reading, prefix: str) -> dict[str, Any]:
    """In a main config the strategy takes the candidates; in an experiment it is the method."""
    reading_candidates = f"{prefix}video_config.frame_sampling_strategy"
    if reading_candidates in reading.leaves:
        taken = reading.words(reading_candidates)
        reading.decide(
            reading_candidates,
            f"{taken!r} is how candidate frames are taken, which is evenly here; "
            "selection.method stays 'ntlbg'",
        )
    path = f"{prefix}data_config.frame_sampling_strategy"
    if path not in reading.leaves:
        return {}
    strategy = reading.words(path)
    if strategy in STRATEGIES:
        return {"selection.method": STRATEGIES[strategy]}
    reading.leave(path, f"{strategy!r} is not built; known: {', '.join(STRATEGIES)}")
    return {}


def _bank(reading: Reading, prefix: str, found: dict[str, Any]) -> dict[str, Any]:
    """Hierarchy and memory bank are of the temporal layers: without layers they go."""
    if found.get("model.temporal.layers", 0):
        return found
    for ours, published in (
        ("model.temporal.hierarchical", "longvideo_config.hierarchical_attention"),
        ("model.temporal.memory_bank_size", "longvideo_config.memory_bank_size"),
    ):
        if found.get(ours):
            del found[ours]
            reading.leave(prefix + published, "needs temporal_attention_layers above 0 beside it")
    return found
