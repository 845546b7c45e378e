"""The published main config in our layout, with every key accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntlbg_service.domain.published.keys import FORMATS, LEARNED, MARKS
from ntlbg_service.domain.published.options import translate
from ntlbg_service.domain.published.reading import Reading, Remark
from ntlbg_service.domain.resolve import Layer, resolve

MAIN_MARKS = ("video_config", "training_config", "dataset_config", "longvideo_variants")

TERM = "training.loss."

NEEDS_LEARNED = (
    "loss terms beside the task need a learned selection: selection.query is 'learned', distilled"
)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A converted file."""

    values: dict[str, Any]
    """The JSON of a main config or a suite in our layout."""
    remarks: tuple[Remark, ...]
    """What was decided, and every key that is not used."""
    scale: dict[str, Any] | None = None
    """The JSON of the scale that a suite needs to run today."""


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
    """Convert a published main config. Raises UserError for a value that is not valid here."""
    reading = Reading(values, source)
    name = reading.words("model_name", "imported")
    description = reading.words("description")
    sections = nested(_learned(reading, translate(reading)))
    data = {
        "train": datasets(reading, "dataset_config.train_datasets"),
        "evaluation": datasets(reading, "dataset_config.val_datasets"),
    }
    if any(data.values()):
        sections["data"] = data
    categories = _categories(reading, batch_of(values))
    _check(sections, categories, source)
    converted = {
        "name": name,
        "description": description,
        **sections,
        "categories": categories,
    }
    return Imported(values=converted, remarks=reading.remarks())


def _learned(reading: Reading, flat: dict[str, Any]) -> dict[str, Any]:
    if not weighs(flat):
        return flat
    reading.decide("loss_config.loss_weights", NEEDS_LEARNED)
    return {**LEARNED, **flat}


def _check(sections: Mapping[str, Any], categories: Mapping[str, Any], source: str) -> None:
    """Resolve the converted config with each category. Raises UserError."""
    base = Layer(source, sections)
    resolve([base])
    for name, category in categories.items():
        resolve([base, Layer(f"{source}: longvideo_variants.{name}", category["overrides"])])


def weighs(overrides: Mapping[str, Any]) -> bool:
    """Whether a loss term beside the task has a weight."""
    terms = (path for path in overrides if path.startswith(TERM) and path != f"{TERM}task")
    return any(overrides[path] for path in terms)


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


def datasets(
    reading: Reading, prefix: str, paths: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """A list of data sets; one without a reader is reported and left out.

    `paths` are the folders by format, for a file that gives none.
    """
    found: list[dict[str, Any]] = []
    split = "train" if "train" in prefix else "val"
    for key in reading.names(prefix):
        place = f"{prefix}.{key}"
        name = reading.words(f"{place}.name", "" if key.isdigit() else key)
        layout = _format(name)
        if layout is None:
            known = ", ".join(FORMATS.values())
            reading.leave(place, f"no format is known for data set {name!r}; known: {known}")
            continue
        path = reading.words(f"{place}.path", (paths or {}).get(layout, f"{layout}/{split}"))
        weight = reading.number(f"{place}.weight", 1.0)
        found.append({"name": name, "path": path, "format": layout, "weight": weight})
    if found:
        reading.decide(prefix, "relative paths start at --data-root")
    return found


def _format(name: str) -> str | None:
    letters = "".join(filter(str.isalnum, name.lower()))
    return next((FORMATS[start] for start in FORMATS if letters.startswith(start)), None)


def _categories(reading: Reading, batch: tuple[int, int]) -> dict[str, Any]:
    categories: dict[str, Any] = {}
    for name in reading.names("longvideo_variants"):
        place = f"longvideo_variants.{name}"
        overrides: dict[str, Any] = {}
        for key in ("max_frames", "num_representatives"):
            if f"{place}.{key}" in reading.leaves:
                overrides[f"video.{key}"] = reading.whole(f"{place}.{key}", 1)
        overrides |= translate(reading, f"{place}.", batch)
        if not overrides:
            reading.leave(place, "nothing in it is an option here")
            continue
        description = reading.words(f"{place}.description", name)
        categories[name] = {"description": description, "overrides": overrides}
    _say_batches(reading, categories)
    return categories


def _say_batches(reading: Reading, categories: Mapping[str, Any]) -> None:
    option = "training.global_batch"
    batches = {
        name: category["overrides"][option]
        for name, category in categories.items()
        if option in category["overrides"]
    }
    if len(set(batches.values())) > 1:
        numbers = ", ".join(f"{name} {batch}" for name, batch in batches.items())
        reading.decide(
            "longvideo_variants",
            f"global batches differ ({numbers}): results of different ones do not compare",
        )
