"""How often controllers died at a door, on both databases, and what was lost: nothing, or it fails.

    python benchmarks/crash_points.py [--schedules 200] [--kills 20]

Each schedule is one seeded life of a service: runs finish, fail, run out of memory, hang or are
lost, people submit, cancel and pause, MLflow is away now and then, and controllers end before or
after an effect until one is let live. Then `tests/faults` checks that every run ended once, that
ledger and storage agree and that MLflow was told everything in order. `--kills` real processes are
ended by SIGKILL besides. Counts do not depend on the machine; seconds do.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from ntlbg_service.domain.states import TERMINAL, AttemptState  # noqa: E402
from tests.support.databases import postgres_server  # noqa: E402
from tests.support.faults.kills import kill_often  # noqa: E402
from tests.support.faults.schedules import a_life  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "crash_points.json"


def schedules(name: str, number: int, new_url: Callable[[Path], str]) -> dict[str, Any]:
    """So many lives on one kind of database, each checked."""
    doors: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    started = time.monotonic()
    for seed in range(number):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            with a_life(path, new_url(path), seed) as life:
                life.live()
                life.check()
                states = [life.ledger.run(run_id).state.value for run_id in life.run_ids]
                counts.update(runs=len(states), deaths=life.deaths, **Counter(states))
                ends = [
                    [attempt.state for attempt in life.ledger.attempts_of(run_id)]
                    for run_id in life.run_ids
                ]
                counts["attempts"] += sum(map(len, ends))
                counts["not_ended"] += sum(state not in TERMINAL for state in states)
                finishes = [each.count(AttemptState.FINISHED) for each in ends]
                counts["finished_twice"] += sum(number > 1 for number in finishes)
                doors.update(" ".join(door.split()[:2]) for door in life.doors)
    row = {
        "database": name,
        "schedules": number,
        **counts,
        "effects": sum(n for door, n in doors.items() if door.startswith("after ")),
        "doors": dict(sorted(doors.items())),
        "not_ended": counts["not_ended"],
        "finished_twice": counts["finished_twice"],
        "seconds": round(time.monotonic() - started, 1),
    }
    deaths, runs = counts["deaths"], counts["runs"]
    print(f"{name}: {number} schedules, {deaths} deaths, {runs} runs, all ended once")
    return row


def kills(number: int) -> dict[str, Any]:
    """So many real processes, killed."""
    killed, seed, started = 0, 0, time.monotonic()
    while killed < number:
        with tempfile.TemporaryDirectory() as folder:
            killed += kill_often(Path(folder) / "home", seed, kills=10)
        seed += 1
    print(f"SIGKILL: {killed} controllers over {seed} lives, all runs ended once")
    seconds = round(time.monotonic() - started, 1)
    return {"killed": killed, "lives": seed, "seconds": seconds}


def main() -> None:
    """Run both and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    rows = [schedules("sqlite", options.schedules, lambda path: f"sqlite:///{path / 'ledger.db'}")]
    with postgres_server() as server:
        rows.append(schedules("postgresql", options.schedules, lambda _: server.new_database()))
    result = {
        "benchmark": "crash_points",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
        "schedules": rows,
        "sigkill": kills(options.kills),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
