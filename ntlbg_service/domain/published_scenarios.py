"""The scenarios of the published efficiency analysis as groups of a suite."""

from typing import Any

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.profiles import profile_named
from ntlbg_service.domain.published_reading import Reading

ROOT = "analysis_scenarios"

COUNTED = {
    "representative_count_scaling": ("points", "video.num_representatives", ""),
    "batch_size_scaling": (
        "batch",
        "training.global_batch",
        "a batch size is the global batch here; accuracy does not compare across them",
    ),
}
"""Scenarios that are one list of numbers: first word of the variants, option, what to say."""


def scenarios(reading: Reading) -> dict[str, Any]:
    """A group for each scenario that is known; the others are reported."""
    groups: dict[str, Any] = {}
    for name in reading.names(ROOT):
        place = f"{ROOT}.{name}"
        description = reading.words(f"{place}.description")
        if name in COUNTED:
            variants = _counted(reading, name)
        elif name == "video_length_scaling":
            variants = _lengths(reading, place)
        elif name == "hardware_comparison":
            variants = _hardware(reading, place)
        else:
            known = ", ".join((*COUNTED, "video_length_scaling", "hardware_comparison"))
            reading.leave(place, f"no group is made of it; known: {known}")
            continue
        if variants:
            groups[name] = _group(reading, place, description, variants)
    return groups


def _group(
    reading: Reading, place: str, description: str, variants: list[dict[str, Any]]
) -> dict[str, Any]:
    baseline = variants[0]["name"]
    reading.decide(place, f"the file names no baseline: all are compared with '{baseline}'")
    return {"description": description, "baseline": baseline, "variants": variants}


def _numbers(reading: Reading, place: str) -> tuple[str, list[int]]:
    """Path and values of the first list of whole numbers right below a place."""
    for path, value in list(reading.leaves.items()):
        inside = path.rpartition(".")[0] == place
        if inside and isinstance(value, list) and value and all(type(n) is int for n in value):
            reading.take(path)
            return path, list(dict.fromkeys(value))
    return place, []


def _counted(reading: Reading, name: str) -> list[dict[str, Any]]:
    word, option, note = COUNTED[name]
    path, counts = _numbers(reading, f"{ROOT}.{name}")
    if note and counts:
        reading.decide(path, note)
    return [{"name": f"{word}_{count}", "overrides": {option: count}} for count in counts]


def _lengths(reading: Reading, place: str) -> list[dict[str, Any]]:
    """Frame counts, named by the seconds beside them where there are as many."""
    seconds = reading.leaves.get(f"{place}.video_lengths")
    frames = reading.take(f"{place}.frame_counts")
    if not isinstance(frames, list) or not all(type(count) is int for count in frames):
        raise UserError(f"{reading.source}: {place}.frame_counts: must be a list of whole numbers")
    paired = isinstance(seconds, list) and len(seconds) == len(frames)
    if paired:
        reading.take(f"{place}.video_lengths")
    reading.decide(
        f"{place}.frame_counts",
        "video.max_frames, with video.num_representatives by coverage_ratio; videos are as long "
        "as they are, and shorter ones give fewer frames",
    )
    names = [f"length_{second}s" for second in seconds or ()] if paired else []
    return [
        {
            "name": names[index] if paired else f"frames_{count}",
            "overrides": {"video.max_frames": count, "video.num_representatives": None},
        }
        for index, count in enumerate(frames)
    ]


def _hardware(reading: Reading, place: str) -> list[dict[str, Any]]:
    """Profiles by name, wherever the scenario names them."""
    variants: list[dict[str, Any]] = []
    for path, name in _named_profiles(reading, place):
        try:
            profile = profile_named(name, path).name
        except UserError as error:
            reading.leave(path, str(error).removeprefix(f"{path}: "))
            continue
        variants.append({"name": name.lower(), "overrides": {"hardware.profile": profile}})
    if variants:
        reading.decide(place, "what the cards are like comes from this project's own profiles")
    return list({variant["name"]: variant for variant in variants}.values())


def _named_profiles(reading: Reading, place: str) -> list[tuple[str, str]]:
    """Names of GPUs: a list of texts, objects with a name, or objects by name."""
    found: list[tuple[str, str]] = []
    for path, value in list(reading.leaves.items()):
        if not path.startswith(f"{place}."):
            continue
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            found += [(path, item) for item in value]
            reading.take(path)
        elif path.rsplit(".", 1)[-1] in ("name", "gpu", "gpu_name", "gpu_type", "profile"):
            found.append((path, reading.words(path)))
    return found or _keys_as_profiles(reading, place)


def _keys_as_profiles(reading: Reading, place: str) -> list[tuple[str, str]]:
    for level in (place, *(f"{place}.{name}" for name in reading.names(place))):
        names = reading.names(level)
        if any(name.startswith(("V100", "A100", "RTX", "H100")) for name in names):
            return [(f"{level}.{name}", name) for name in names]
    return []
