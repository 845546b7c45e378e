"""The published main config in our layout, with every key accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntlbg_service.domain.published_keys import FORMATS, MARKS
from ntlbg_service.domain.published_reading import Reading, Remark, translate

MAIN_MARKS = ("video_config", "training_config", "dataset_config", "longvideo_variants")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A converted file."""

    values: dict[str, Any]
    """The JSON of a main config or a suite in our layout."""
    remarks: tuple[Remark, ...]
    """What was decided, and every key that is not used."""


def is_published(values: Mapping[str, Any]) -> bool:
    """Whether a JSON object has the published layout."""
    return any(mark in values for mark in MARKS)


def published_mark(values: Mapping[str, Any]) -> str:
    """The key by which a published file is known."""
    return next(mark for mark in MARKS if mark in values)


def is_main(values: Mapping[str, Any]) -> bool:
    """Whether a published file is a main config; the others are experiments."""
    experiments = set(MARKS) - set(MAIN_MARKS) - {"hardware_config"}
    return is_published(values) and not experiments & set(values)


def batch_of(values: Mapping[str, Any]) -> tuple[int, int]:
    """Batch size and accumulation of a published main config, 1 where it has none."""
    training = values.get("training_config")
    if not isinstance(training, Mapping):
        return 1, 1
    return training.get("batch_size", 1), training.get("gradient_accumulation_steps", 1)


def import_main(values: Mapping[str, Any], source: str) -> Imported:
    """Convert a published main config. Raises UserError for a value of the wrong type."""
    reading = Reading(values, source)
    name = reading.words("model_name", "imported")
    description = reading.words("description")
    sections = nested(translate(reading))
    data = {
        "train": datasets(reading, "dataset_config.train_datasets"),
        "evaluation": datasets(reading, "dataset_config.val_datasets"),
    }
    converted = {
        "name": name,
        "description": description,
        **sections,
        **({"data": data} if any(data.values()) else {}),
        "categories": _categories(reading, batch_of(values)),
    }
    return Imported(values=converted, remarks=reading.remarks())


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths as sections."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    return tree


def datasets(reading: Reading, prefix: str) -> list[dict[str, Any]]:
    """A list of data sets; one without a reader is reported and left out."""
    found: list[dict[str, Any]] = []
    for index in reading.names(prefix):
        place = f"{prefix}.{index}"
        name = reading.words(f"{place}.name")
        letters = "".join(filter(str.isalnum, name.lower()))
        layout = next((FORMATS[start] for start in FORMATS if letters.startswith(start)), None)
        if layout is None:
            reading.leave(place, f"no reader for data set {name!r}; there are: LongVideoBench, ...")
            continue
        path = reading.words(f"{place}.path", f"{layout}/{prefix.rsplit('.', 1)[-1].split('_')[0]}")
        weight = reading.take(f"{place}.weight", 1.0)
        found.append({"name": name, "path": path, "format": layout, "weight": weight})
    if found:
        reading.decide(prefix, "relative paths start at --data-root")
    return found


def _categories(reading: Reading, batch: tuple[int, int]) -> dict[str, Any]:
    categories: dict[str, Any] = {}
    for name in reading.names("longvideo_variants"):
        prefix = f"longvideo_variants.{name}."
        overrides: dict[str, Any] = {}
        for key in ("max_frames", "num_representatives"):
            if prefix + key in reading.leaves:
                overrides[f"video.{key}"] = reading.whole(prefix + key, 1)
        overrides |= translate(reading, prefix, batch)
        description = reading.words(f"{prefix}description", name)
        categories[name] = {"description": description, "overrides": overrides}
    batches = {
        name: category["overrides"]["training.global_batch"]
        for name, category in categories.items()
        if "training.global_batch" in category["overrides"]
    }
    if len(set(batches.values())) > 1:
        numbers = ", ".join(f"{name} {batch}" for name, batch in batches.items())
        reading.decide(
            "longvideo_variants",
            f"global batches differ ({numbers}): results of different ones do not compare",
        )
    return categories
