"""Controllers and commands come, go and are killed, and so is a driver: the same run goes on."""

import json
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import (
    Cli,
    kill_tree,
    leader,
    led_by,
    lives,
    until,
    write_suite,
)
from tests.support.mlflow_database import mlflow_runs
from tests.support.patience import PATIENCE


def saved(cli: Cli) -> tuple[int, int]:
    """Attempt and step of the newest committed checkpoint; zeros where there is none."""
    found = cli.home.glob("storage/runs/*/attempt-*/checkpoints/*.json")
    return max(((number(path.parents[1]), number(path)) for path in found), default=(0, 0))


def number(path: Path) -> int:
    """Of `attempt-0002` and `step-00000004`."""
    return int(path.stem.rpartition("-")[2])


def attempts(cli: Cli) -> list[Path]:
    return sorted(cli.home.glob("storage/runs/*/attempt-*"))


def steps_of(attempt: Path) -> list[int]:
    """Steps whose loss an attempt has written."""
    rows = [json.loads(line) for line in (attempt / "metrics.jsonl").read_text().splitlines()]
    return [row["step"] for row in rows if "train/loss" in row["values"]]


def test_one_run_outlives_its_controllers_its_command_and_its_driver(
    cli: Cli, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path, **{"training.max_steps": 300})
    assert cli("submit", suite, "--variant", "uniform").returncode == 0
    first = cli.start("controller", "--parallel", "1")
    until(lambda: led_by(cli, first.pid), "the first controller's lead")
    second = cli.start("controller", "--parallel", "1")
    until(lambda: saved(cli) > (0, 0), "a committed checkpoint")
    drivers = cli.claims()
    assert led_by(cli, first.pid)

    # A killed controller leaves its driver to the one that stood by; a stopped one leaves it too.
    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: led_by(cli, second.pid), "the second controller's lead")
    seen = saved(cli)
    until(lambda: saved(cli) > seen, "a checkpoint under its lead")
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=PATIENCE) == 0
    assert leader(cli) is None
    assert cli.claims() == drivers

    # The driver killed while nobody leads: the next command goes on from the newest checkpoint.
    for pid in drivers:
        kill_tree(pid)
    lost = saved(cli)
    command = cli.start("run", suite, "--variant", "uniform")
    until(lambda: saved(cli)[0] > lost[0], "a checkpoint of a further attempt")
    latest = attempts(cli)[-1]
    resumed = json.loads((latest / "spec.json").read_text())["resume_from"]
    assert number(Path(resumed)) == lost[1]
    assert min(steps_of(latest)) > lost[1]
    command.send_signal(signal.SIGINT)
    # Interrupted within an `exec` of a library, Python ends by the signal: a shell's 130 as well.
    assert command.wait(timeout=PATIENCE) in (130, -signal.SIGINT)
    assert not any(lives(pid) for pid in cli.claims())
    (row,) = json.loads(cli("status", "--json").stdout)
    assert (row["state"], row["attempts"]) == ("queued", len(attempts(cli)))


def test_the_port_of_a_controller_says_that_it_leads(cli: Cli) -> None:
    controller, url = with_port(cli)
    until(lambda: asked(f"{url}/readyz")["ready"], "readiness")
    until(lambda: asked(f"{url}/readyz")["role"] == "leads", "what it says of its lead")
    assert asked(f"{url}/readyz")["checks"] == dict.fromkeys(
        ("database", "storage", "executor"), "answers"
    )
    assert asked(f"{url}/healthz")["alive"]
    with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE) as answer:
        assert b"ntlbg_leads 1.0" in answer.read()
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(timeout=PATIENCE) == 0
    last = cli("controller", "--until-idle")
    assert last.returncode == 0, last.stderr
    assert "nothing is left to do" in last.stdout


@pytest.mark.long
def test_a_command_watches_where_a_controller_leads(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    controller, _ = with_port(cli)
    watched = cli("run", suite, "--variant", "uniform")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert f"A controller leads here (process {controller.pid} on" in watched.stdout
    (row,) = json.loads(cli("status", "--json").stdout)
    assert row["state"] == "finished"
    assert mlflow_runs(cli.home) == {"small (suite)": "FINISHED", "uniform/seed1": "FINISHED"}


def with_port(cli: Cli) -> tuple[subprocess.Popen[str], str]:
    """A controller that leads, and the address of its port."""
    controller = cli.start("controller", "--parallel", "1", "--port", "0")
    log = cli.home.parent / f"{cli.home.name}.log"
    until(lambda: "metrics on http" in log.read_text(), "the port")
    until(lambda: led_by(cli, controller.pid), "its lead")
    return controller, log.read_text().split("metrics on ")[1].split()[0]


def asked(url: str) -> dict[str, Any]:
    """What a path says, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.loads(error.read()))
