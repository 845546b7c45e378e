"""A lab's suites: of a usual size, of about forty shapes, each planned as a submission plans it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from ntlbg_model.data.longvideobench import ANNOTATIONS
from ntlbg_service.config_files.loader import load_suite
from ntlbg_service.domain.expansion import expand
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.planning.fitter import Fitter
from ntlbg_service.domain.resolve import Layer, resolve
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.submission import Prepared, prepare_suite

from ..workloads.suites import random_mix

SEEDS = (1, 2, 3)
VARIANTS = 20
"""As in `configs/experiments/ablation_studies.json`, with three seeds: 60 runs a suite."""
PEOPLE = 20
OLD = "V100-32GB"
QUESTIONS, VIDEOS = 1337, 753
"""Of LongVideoBench's validation set, whose identity a submission takes. The files of the videos
are not there."""


@dataclass(frozen=True)
class Lab:
    """Files of suites, and the workspace that they are prepared in."""

    files: tuple[Path, ...]
    inventory: Inventory
    workspace: Workspace

    def prepare(self, file: Path) -> Prepared:
        """All that a submission does before it writes: read, resolved, fitted, planned, checked."""
        files = load_suite(file)
        return prepare_suite(files, expand(files), self.workspace, self.inventory)


def new_lab(folder: Path, inventory: Inventory, shapes: int, suites: int, seed: int) -> Lab:
    """So many files of suites whose variants have so many distinct shapes."""
    data_root = folder / "data"
    data = data_root / "longvideobench" / ANNOTATIONS
    data.parent.mkdir(parents=True)
    data.write_text(json.dumps([_question(number) for number in range(QUESTIONS)]))
    drawn = random_mix(seed, VARIANTS * suites, shapes, inventory)
    names, fitter = list(drawn["groups"]), Fitter(inventory)
    each = len(names) // suites
    files = []
    for number in range(suites):
        mine = names[number * each :][:each]
        groups = {name: _on_old_cards(drawn["groups"][name], fitter) for name in mine}
        values: dict[str, Any] = drawn | {"name": f"lab_{number:03d}", "groups": groups}
        files.append(folder / f"{values['name']}.json")
        files[-1].write_text(json.dumps(values | {"seeds": list(SEEDS)}))
    return Lab(tuple(files), inventory, Workspace(home=folder / "home", data_root=data_root))


def _on_old_cards(group: dict[str, Any], fitter: Fitter) -> dict[str, Any]:
    """Every other group asks for V100s where all of it fits them: a suite alone would be planned on
    the faster cards, as if no other suite waited for those."""
    number = int(group["baseline"].removeprefix("v")) // len(group["variants"])
    overrides = {"hardware.profile": OLD}
    drawn = [row["overrides"] | overrides for row in group["variants"]]
    hold = all(fitter(resolve([Layer("drawn", each)]).config)[0] for each in drawn)
    return group | {"overrides": overrides} if number % 2 and hold else group


def _question(number: int) -> dict[str, Any]:
    video = f"v{number % VIDEOS}"
    return {
        "id": str(number),
        "video_id": video,
        "video_path": f"{video}.mp4",
        "question": "?",
        "candidates": ["a", "b"],
        "correct_choice": 0,
        "question_category": "T2A",
        "duration": 60,
    }


def again_and_again(prepared: Sequence[Prepared]) -> Iterator[Prepared]:
    """Endlessly many suites: those, under ever new names, of twenty people."""
    for number in count(1):
        for one in prepared:
            yield _named(one, f"{one.suite.name}-{number}", f"user-{number % PEOPLE:02d}")


def _named(prepared: Prepared, key: str, submitter: str) -> Prepared:
    runs = tuple(replace(run, identity=replace(run.identity, suite=key)) for run in prepared.runs)
    return replace(prepared, suite=replace(prepared.suite, key=key, submitter=submitter), runs=runs)


def of_runs(suites: Iterator[Prepared], runs: int) -> list[Prepared]:
    """The next suites that have at least so many runs together."""
    size = len(SEEDS) * VARIANTS
    return list(islice(suites, -(-runs // size)))
