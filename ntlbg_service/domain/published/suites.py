"""The four published experiment files as suites, with every key accounted for."""

from collections.abc import Callable, Mapping
from typing import Any

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.published.conversion import Imported, datasets
from ntlbg_service.domain.published.keys import THEORY
from ntlbg_service.domain.published.methods import ablations, methods
from ntlbg_service.domain.published.reading import Reading
from ntlbg_service.domain.published.rows import PublishedRow, Rows, finish
from ntlbg_service.domain.published.scenarios import SHORT, scenarios
from ntlbg_service.domain.resolve import Layer, parse
from ntlbg_service.domain.suite import SuiteSpec

SCALE = "longvideobench"
"""The scale of an imported suite that keeps to the data sets which can be read."""


def import_suite(
    values: Mapping[str, Any],
    source: str,
    *,
    config: str,
    scale: str,
    base: Mapping[str, Any],
    batch: tuple[int, int] = (1, 1),
) -> Imported:
    """Convert a published experiment file to a suite.

    `config` is the path of the main config, `base` its sections in our layout, `batch` its batch
    size and accumulation. A suite with data sets that have no reader names the scale SCALE, which
    goes to the path `scale`. Raises UserError for values of the wrong type, or where nothing of the
    file can be run here.
    """
    reading = Reading(values, source)
    reading.take("base_config")
    name = reading.words("experiment_name", "imported")
    description = reading.words("description")
    overrides = _overrides(reading, base)
    rows = {
        **ablations(reading, batch),
        **methods(reading, batch),
        **scenarios(reading),
        **_theory(reading),
    }
    groups = finish(reading, rows, [Layer(config, base), Layer(source, overrides)])
    if not groups:
        raise UserError(f"{source}: nothing in it is an experiment that can be run here")
    readable = _readable(reading, base, overrides)
    suite: dict[str, Any] = {
        "name": name,
        "description": description,
        "config": config,
        **({"scale": SCALE, "scales": {SCALE: scale}} if readable else {}),
        **({"overrides": overrides} if overrides else {}),
        "seeds": _seeds(reading),
        "primary_metric": "seconds_per_question" if "analysis_scenarios" in values else "accuracy",
        "groups": groups,
    }
    parse(SuiteSpec, suite, source)
    return Imported(values=suite, remarks=reading.remarks(), scale=readable)


def _overrides(reading: Reading, base: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for every variant: the data sets, and few steps where time is measured."""
    known = {item["format"]: item["path"] for item in _data(base, "evaluation")}
    evaluation = datasets(reading, "evaluation_datasets", known)
    overrides: dict[str, Any] = {"data.evaluation": evaluation} if evaluation else {}
    if reading.names("analysis_scenarios"):
        reading.decide(
            "analysis_scenarios",
            "time and memory are the point, not the answers: training.max_steps is "
            f"{SHORT['training.max_steps']}, remove 'overrides' for the main config's",
        )
        overrides |= SHORT
    return overrides


def _data(base: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    items = base.get("data", {}).get(part, [])
    return [{"format": SCALE, **item} for item in items]


def _readable(
    reading: Reading, base: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A scale of the data sets that have a reader, where the suite has others as well."""
    parts = {
        "data.train": _data(base, "train"),
        "data.evaluation": overrides.get("data.evaluation", _data(base, "evaluation")),
    }
    kept = {
        path: [item for item in items if item["format"] == SCALE] for path, items in parts.items()
    }
    if kept == parts:
        return None
    if not all(kept.values()):
        reading.decide(
            "base_config",
            "a data set without a reader, and none with one: the suite is refused when it is run",
        )
        return None
    reading.decide(
        "base_config",
        f"scale '{SCALE}' keeps to the one data set with a reader today; remove 'scale' for all",
    )
    return {"description": "LongVideoBench alone", "overrides": kept}


def _theory(reading: Reading) -> dict[str, Rows]:
    groups: dict[str, Rows] = {}
    for name in reading.names("validation_experiments"):
        place = f"validation_experiments.{name}"
        if name not in THEORY:
            reading.leave(place, f"no group of trainings asks this; known: {', '.join(THEORY)}")
            continue
        rows = THEORY[name]
        reading.decide(
            place,
            f"a test on synthetic data: the suite asks the same of trainings ({', '.join(rows)}); "
            "`python -m ntlbg_model.validation` runs the tests themselves",
        )
        groups[name] = Rows(
            place=place,
            description=reading.words(f"{place}.description"),
            rows=tuple(
                PublishedRow(name=row, place=place, overrides=dict(overrides))
                for row, overrides in rows.items()
            ),
        )
    return groups


def _seeds(reading: Reading) -> list[int]:
    """A list of seeds wherever it stands, else 1, 2, ... as many as runs are asked for."""
    settings = ("statistical_analysis.num_runs", "evaluation_settings.num_runs")
    lists = [
        path for path in reading.leaves if path.rsplit(".", 1)[-1] in ("seeds", "random_seeds")
    ]
    return (
        _first(reading, lists, _as_seeds)
        or _first(reading, [path for path in settings if path in reading.leaves], _as_count)
        or _no_seeds(reading)
    )


def _first(reading: Reading, paths: list[str], read: Callable[[Any], list[int]]) -> list[int]:
    for path in paths:
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
