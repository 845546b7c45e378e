"""The scenarios of the published efficiency analysis as groups of a suite."""

from typing import Any

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.profiles import profile_named
from ntlbg_service.domain.published.reading import Reading
from ntlbg_service.domain.published.rows import PublishedRow, Rows

ROOT = "analysis_scenarios"

SHORT: dict[str, Any] = {
    "training.max_steps": 100,
    "training.warmup_steps": 10,
    "training.save_steps": 100,
    "training.logging_steps": 10,
}
"""Steps of a run whose time and memory are the point, as in the shipped efficiency suite."""

COUNTED = {
    "representative_count_scaling": ("points", "video.num_representatives", ""),
    "batch_size_scaling": (
        "batch",
        "training.global_batch",
        "a batch size is the global batch here, on as many GPUs as divide it; accuracy does not "
        "compare across them",
    ),
}
"""Scenarios that are one list of numbers: first word of the variants, option, what to say."""

COMMON: dict[str, dict[str, Any]] = {"batch_size_scaling": {"hardware.num_gpus": None}}
"""Overrides of a whole group."""


def scenarios(reading: Reading) -> dict[str, Rows]:
    """A group for each scenario that is known; the others are reported."""
    groups: dict[str, Rows] = {}
    for name in reading.names(ROOT):
        place = f"{ROOT}.{name}"
        if name in COUNTED:
            rows = _counted(reading, name)
        elif name == "video_length_scaling":
            rows = _lengths(reading, place)
        elif name == "hardware_comparison":
            rows = _hardware(reading, place)
        else:
            known = ", ".join((*COUNTED, "video_length_scaling", "hardware_comparison"))
            reading.leave(place, f"no group is made of it; known: {known}")
            continue
        groups[name] = Rows(
            place=place,
            description=reading.words(f"{place}.description"),
            rows=tuple(rows),
            overrides=dict(COMMON.get(name, {})),
        )
    return groups


def _numbers(reading: Reading, place: str) -> tuple[str, list[int]]:
    """Path and values of the first list of whole numbers right below a place."""
    for path, value in list(reading.leaves.items()):
        inside = path.rpartition(".")[0] == place
        if inside and isinstance(value, list) and value and all(type(n) is int for n in value):
            reading.take(path)
            return path, list(dict.fromkeys(value))
    return place, []


def _counted(reading: Reading, name: str) -> list[PublishedRow]:
    word, option, note = COUNTED[name]
    path, counts = _numbers(reading, f"{ROOT}.{name}")
    if note and counts:
        reading.decide(path, note)
    return [
        PublishedRow(name=f"{word}_{count}", place=f"{path}.{index}", overrides={option: count})
        for index, count in enumerate(counts)
    ]


def _lengths(reading: Reading, place: str) -> list[PublishedRow]:
    """Frame counts, named by the seconds beside them where there are as many."""
    path = f"{place}.frame_counts"
    frames = reading.leaves.get(path)
    if not isinstance(frames, list) or not all(type(count) is int for count in frames):
        reading.leave(path, "no group is made of it: it must be a list of whole numbers")
        return []
    names = _length_names(reading, place, reading.take(path))
    reading.decide(
        path,
        "video.max_frames, with video.num_representatives by coverage_ratio; videos are as long "
        "as they are, and shorter ones give fewer frames",
    )
    return [
        PublishedRow(
            name=name,
            place=f"{path}.{index}",
            overrides={"video.max_frames": count, "video.num_representatives": None},
        )
        for index, (name, count) in enumerate(names.items())
    ]


def _length_names(reading: Reading, place: str, frames: list[int]) -> dict[str, int]:
    """Frame counts by the variants' names; a second one of the same name is left out."""
    path = f"{place}.video_lengths"
    seconds = reading.leaves.get(path)
    if isinstance(seconds, list) and len(seconds) == len(frames):
        reading.take(path)
        named = [f"length_{second}s" for second in seconds]
    else:
        named = [f"frames_{count}" for count in frames]
    return dict(zip(named, frames, strict=True))


def _hardware(reading: Reading, place: str) -> list[PublishedRow]:
    """Profiles by name, wherever the scenario names them."""
    rows: dict[str, PublishedRow] = {}
    for path, name in _named_profiles(reading, place):
        try:
            profile = profile_named(name, path).name
        except UserError as error:
            reading.leave(path, str(error).removeprefix(f"{path}: "))
            continue
        overrides = {"hardware.profile": profile}
        rows[name.lower()] = PublishedRow(name=name.lower(), place=path, overrides=overrides)
    if rows:
        reading.decide(place, "what the cards are like comes from this project's own profiles")
    return list(rows.values())


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
