"""The four published experiment files as suites, with every key accounted for."""

from collections.abc import Callable, Mapping
from typing import Any

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.published import Imported, datasets
from ntlbg_service.domain.published_keys import BASELINES, LEARNED, METHODS, THEORY
from ntlbg_service.domain.published_reading import Reading, translate
from ntlbg_service.domain.published_scenarios import scenarios

SCALE = "longvideobench"
"""The scale of an imported suite that keeps to the data sets which can be read."""

TERM = "training.loss."


def import_suite(
    values: Mapping[str, Any],
    source: str,
    *,
    config: str,
    scale: str | None = None,
    batch: tuple[int, int] = (1, 1),
) -> Imported:
    """Convert a published experiment file to a suite on the main config `config`.

    `scale` is the path of the scale SCALE, where there is one; `batch` is the main config's batch
    size and accumulation. Raises UserError for values of the wrong type, or where nothing of the
    file can be run here.
    """
    reading = Reading(values, source)
    name = reading.words("experiment_name", "imported")
    description = reading.words("description")
    evaluation = datasets(reading, "evaluation_datasets")
    groups = {
        **_ablations(reading, batch),
        **_methods(reading, batch),
        **scenarios(reading),
        **_theory(reading),
    }
    if not groups:
        raise UserError(f"{source}: nothing in it is an experiment that can be run here")
    efficiency = "analysis_scenarios" in values
    suite: dict[str, Any] = {
        "name": name,
        "description": description,
        "config": config,
        **({"scale": SCALE, "scales": {SCALE: scale}} if scale else {}),
        **({"overrides": {"data.evaluation": evaluation}} if evaluation else {}),
        "seeds": _seeds(reading),
        "primary_metric": "seconds_per_question" if efficiency else "accuracy",
        "groups": groups,
    }
    return Imported(values=suite, remarks=reading.remarks())


def _ablations(reading: Reading, batch: tuple[int, int]) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for group in reading.names("ablation_experiments"):
        prefix = f"ablation_experiments.{group}"
        description = reading.words(f"{prefix}.description")
        variants = [
            _variant(reading, f"{prefix}.variants.{index}", f"variant_{index}", {}, batch)
            for index in reading.names(f"{prefix}.variants")
        ]
        if variants:
            groups[group] = _group(reading, prefix, description, variants)
    return groups


def _methods(reading: Reading, batch: tuple[int, int]) -> dict[str, Any]:
    """Baselines and NTLBG's sizes are one group: they are compared with each other."""
    variants: list[dict[str, Any]] = []
    for key in reading.names("baseline_methods"):
        place = f"baseline_methods.{key}"
        if key in METHODS:
            variants.append(_variant(reading, place, key, METHODS[key], batch, keyed=True))
        else:
            reading.leave(place, f"this method is not built; there are: {', '.join(METHODS)}")
    for key in reading.names("ntlbg_variants"):
        own = {"selection.method": "ntlbg"}
        place = f"ntlbg_variants.{key}"
        variants.append(_variant(reading, place, key, own, batch, keyed=True))
    if not variants:
        return {}
    place = "baseline_methods" if "uniform_sampling" in _names(variants) else "ntlbg_variants"
    return {"methods": _group(reading, place, "Published methods and NTLBG", variants)}


def _variant(
    reading: Reading,
    place: str,
    fallback: str,
    own: Mapping[str, Any],
    batch: tuple[int, int],
    *,
    keyed: bool = False,
) -> dict[str, Any]:
    """A row. `keyed`: it is called by its key, which commands use, and the name describes it."""
    title = reading.words(f"{place}.name", fallback)
    description = reading.words(f"{place}.description", title if keyed else "")
    overrides = {**translate(reading, f"{place}.config_overrides.", batch), **own}
    aligned = overrides.get("model.feature_alignment", "none") != "none"
    if aligned and not overrides.get(f"{TERM}feature_alignment"):
        overrides[f"{TERM}feature_alignment"] = 0.3
        reading.decide(place, "feature alignment needs a weight: training.loss has it at 0.3")
    return {
        "name": fallback if keyed else title,
        "description": description,
        "overrides": overrides,
    }


def _group(
    reading: Reading, place: str, description: str, variants: list[dict[str, Any]]
) -> dict[str, Any]:
    baseline = _baseline(_names(variants))
    reading.decide(place, f"the file names no baseline: all are compared with '{baseline}'")
    common: dict[str, Any] = {}
    weighing = [variant for variant in variants if _weighs(variant["overrides"])]
    if weighing:
        methods = {variant["overrides"].get("selection.method", "ntlbg") for variant in variants}
        if methods == {"ntlbg"}:
            common = LEARNED
        else:
            for variant in weighing:
                variant["overrides"] |= LEARNED
        reading.decide(
            place,
            f"loss terms beside the task ({', '.join(_names(weighing))}) need a learned selection: "
            f"selection.query is 'learned', distilled, for {'all' if common else 'those'}",
        )
    return {
        "description": description,
        "baseline": baseline,
        **({"overrides": dict(common)} if common else {}),
        "variants": variants,
    }


def _names(variants: list[dict[str, Any]]) -> list[str]:
    return [variant["name"] for variant in variants]


def _weighs(overrides: Mapping[str, Any]) -> bool:
    """Whether a loss term beside the task has a weight."""
    return any(
        value
        for path, value in overrides.items()
        if path.startswith(TERM) and path != f"{TERM}task"
    )


def _baseline(names: list[str]) -> str:
    for start in BASELINES:
        for name in names:
            if name == start or (start.endswith("_") and name.startswith(start)):
                return name
    return names[0]


def _theory(reading: Reading) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for name in reading.names("validation_experiments"):
        place = f"validation_experiments.{name}"
        description = reading.words(f"{place}.description")
        if name not in THEORY:
            reading.leave(place, f"no group of trainings asks this; known: {', '.join(THEORY)}")
            continue
        rows = THEORY[name]
        reading.decide(
            place,
            f"a test on synthetic data: the suite asks the same of trainings ({', '.join(rows)}); "
            "`python -m ntlbg_model.validation` runs the tests themselves",
        )
        groups[name] = {
            "description": description,
            "baseline": next(iter(rows)),
            "variants": [
                {"name": row, "overrides": dict(overrides)} for row, overrides in rows.items()
            ],
        }
    return groups


def _seeds(reading: Reading) -> list[int]:
    """A list of seeds wherever it stands, else 1, 2, ... as many as runs are asked for."""
    return (
        _first(reading, ("seeds", "random_seeds"), _as_seeds)
        or _first(reading, ("num_runs",), _as_count)
        or _no_seeds(reading)
    )


def _first(reading: Reading, names: tuple[str, ...], read: Callable[[Any], list[int]]) -> list[int]:
    for path in list(reading.leaves):
        if path.rsplit(".", 1)[-1] in names:
            seeds = read(reading.leaves[path])
            if seeds:
                reading.take(path)
                reading.decide(path, f"seeds are {', '.join(map(str, seeds))}")
                return seeds
    return []


def _as_seeds(value: Any) -> list[int]:
    whole = isinstance(value, list) and all(type(seed) is int for seed in value)
    return list(dict.fromkeys(value)) if whole else []


def _as_count(value: Any) -> list[int]:
    return list(range(1, value + 1)) if type(value) is int and 0 < value <= 100 else []


def _no_seeds(reading: Reading) -> list[int]:
    reading.decide("experiment_name", "the file names no seeds or runs: seeds are 1, 2, 3")
    return [1, 2, 3]
