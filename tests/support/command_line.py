"""`ntlbg` in a process of its own, on a home of the test: started, killed, waited for."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from tests.support.patience import PATIENCE

REPOSITORY = Path(__file__).parents[2]
# A shell that runs the tests in the background has its children ignore Ctrl-C, and they theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Cli:
    """`ntlbg` on one home."""

    home: Path
    data_root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NTLBG_HOME": str(self.home),
            "NTLBG_DATA_ROOT": str(self.data_root),
            "COLUMNS": "200",
        }

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ntlbg_service", *map(str, arguments)],
            env=self.environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        log = self.home.parent / f"{self.home.name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ntlbg_service", *map(str, arguments)],
                env=self.environment,
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def claims(self) -> list[int]:
        """Process ids of every driver that ever claimed an attempt."""
        files = self.home.glob("storage/runs/*/attempt-*/process.json")
        return [int(json.loads(file.read_text())["pid"]) for file in files]

    def stop(self) -> None:
        """End everything that this home started."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        for pid in self.claims():
            kill_tree(pid)


def kill_tree(pid: int) -> None:
    """SIGKILL a process and its descendants, if it is one of ours."""
    try:
        process = psutil.Process(pid)
        if "ntlbg_service.runner" not in process.cmdline():
            return
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=PATIENCE)


def leader(cli: Cli) -> str | None:
    """Who leads on a home's ledger."""
    return Ledger(open_database(f"sqlite:///{cli.home / 'ledger.db'}"), time.time).leader()


def led_by(cli: Cli, pid: int) -> bool:
    """Whether this process leads."""
    return f"/{pid}/" in (leader(cli) or "")


def markers(home: Path) -> list[Path]:
    """Committed checkpoints of first attempts."""
    return list(home.glob("storage/runs/*/attempt-0001/checkpoints/*.json"))


def lives(pid: int) -> bool:
    """Whether a driver computes; one that ended and that nobody waits for does not."""
    try:
        return bool(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for another process to make a condition true."""
    tick = threading.Event()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        tick.wait(0.1)
    raise AssertionError(f"{what} did not come true in {PATIENCE:.0f} s")


def render(root: Path) -> None:
    """Eight rendered videos of 512 frames."""
    cli = Cli(root.parent / "unused", root)
    for split, videos, seed in (("train", "5", "1"), ("glitch", "3", "2")):
        done = cli(
            *("data", "needles", f"needles/{split}", "--split", split),
            *("--videos", videos, "--seed", seed),
        )
        assert done.returncode == 0, done.stderr


def write_suite(folder: Path, **overrides: Any) -> Path:
    """The shipped quickstart at a smaller size."""
    shipped = json.loads((REPOSITORY / "configs/quickstart.json").read_text())
    scale = json.loads((REPOSITORY / "configs/scales/laptop.json").read_text())
    scale["seeds"] = [1]
    scale["overrides"] |= {
        "training.max_steps": 6,
        "training.warmup_steps": 1,
        "training.save_steps": 2,
        "training.logging_steps": 2,
        "training.global_batch": 4,
        "data.evaluation": [{"name": "glitch", "path": "needles/glitch"}],
    } | overrides
    (folder / "scale.json").write_text(json.dumps(scale))
    variants = shipped["groups"]["selection"]["variants"]
    shipped |= {
        "name": "small",
        "config": str(REPOSITORY / "configs/longvideo_config.json"),
        "scales": {"laptop": "scale.json"},
    }
    del shipped["groups"]["selection"]["overrides"]
    shipped["groups"]["selection"]["variants"] = [
        row for row in variants if row["name"] in ("uniform", "ntlbg")
    ]
    path = folder / "suite.json"
    path.write_text(json.dumps(shipped))
    return path
