"""What each fault costs a run on a real Ray cluster under the whole service, as a table.

    python benchmarks/faults.py [--only processes ...]

A run of two workers with a checkpoint every few steps suffers each fault in turn; what it comes to
is held against an undisturbed run: the metrics of every step, the answers, and each tensor of the
last checkpoint (weights, optimizer, schedule, random states). It fails where anything differs,
is lost or is there twice, or where more steps than from one checkpoint to the next were done again.
Steps lost do not depend on the machine's speed; seconds do.
"""

import argparse
import json
import os
import platform
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))
# Ray reads these once a process, when it is first imported.
os.environ.update(
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=secrets.token_hex(32),
    RAY_USAGE_STATS_ENABLED="0",
    OMP_NUM_THREADS="1",
    MLFLOW_DISABLE_TELEMETRY="true",
)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(REPOSITORY), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])]
)

from tests.support.command_line import render  # noqa: E402
from tests.support.databases import postgres_server  # noqa: E402
from tests.support.faults_on_ray import scenes  # noqa: E402
from tests.support.faults_on_ray.rows import Row  # noqa: E402
from tests.support.ray_cluster import RayCluster  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "faults.json"
PACKAGES = ("ray", "torch", "transformers", "mlflow", "SQLAlchemy", "psycopg")
COLUMNS = ("fault", "detected", "lost steps", "same bits", "runs lost", "doubled", "attempts")


def on_postgres(stage: scenes.Stage) -> list[Row]:
    """The scene that needs a database server."""
    with postgres_server() as server:
        return scenes.postgres_away(stage, server)


SCENES: dict[str, Callable[[scenes.Stage], list[Row]]] = {
    "processes": scenes.processes,
    "node": scenes.node,
    "head": scenes.head,
    "mlflow": scenes.mlflow_away,
    "postgres": on_postgres,
    "hangs_and_disks": scenes.hangs_and_disks,
}


def line(row: Row) -> str:
    """A row of the table."""
    detected = "" if row.detected_seconds is None else f"{row.detected_seconds:.1f} s"
    cells = (
        row.fault,
        detected,
        f"{row.lost_steps} (a checkpoint every {row.save_steps})",
        "no: " + ", ".join(row.different) if row.different else "yes",
        str(row.runs_lost),
        ", ".join(row.doubled) or "0",
        str(row.attempts),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Run the scenes, print the table and write the results; 1 where a fault cost too much."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ntlbg-faults-") as folder:
        root = Path(folder) / "data"
        render(root)
        cluster = RayCluster()
        try:
            stage = scenes.Stage(cluster, root, Path(folder), scenes.LONG)
            print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
            for name in options.only:
                found = SCENES[name](stage)
                print(*map(line, found), sep="\n", flush=True)
                rows += found
        finally:
            cluster.stop()
        rows = [replace(row, ended_as=anywhere(row.ended_as, folder)) for row in rows]
    write(rows)
    return int(any(map(cost_too_much, rows)))


def cost_too_much(row: Row) -> bool:
    """Whether a fault took more than the steps since a checkpoint."""
    again = not 0 <= row.lost_steps <= row.save_steps
    return again or bool(row.different or row.doubled or row.runs_lost)


def anywhere(words: str, folder: str) -> str:
    """A message without the names of this machine."""
    return words.replace(folder, "FOLDER").replace(socket.gethostname(), "HOST")


def write(rows: list[Row]) -> None:
    """Keep the rows; those of faults that were not asked for stay as they were measured."""
    kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    measured = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    fresh = [{**asdict(row), **measured} for row in rows]
    names = {row["fault"] for row in fresh}
    result = {
        "benchmark": "faults",
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
        "versions": {name: version(name) for name in PACKAGES},
        "rows": [row for row in kept if row["fault"] not in names] + fresh,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
