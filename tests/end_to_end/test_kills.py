"""kill -9 of the command, of a driver, of everything: the same command goes on."""

import json
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli, kill_tree, led_by, lives, markers, until, write_suite
from tests.end_to_end.test_main_job import mlflow_runs


def steps_of(attempt: Path) -> list[int]:
    lines = (attempt / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["step"] for row in rows if "train/loss" in row["values"]]


def test_everything_killed_mid_training_then_the_same_command(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, **{"training.max_steps": 30})
    command = cli.start("run", suite, "--variant", "uniform")
    marker = until(lambda: markers(cli.home), "a committed checkpoint")[0]
    command.send_signal(signal.SIGKILL)
    command.wait()
    for pid in cli.claims():
        kill_tree(pid)
    first = marker.parents[1]
    assert not (first / "exit.json").exists()

    done = cli("run", suite, "--variant", "uniform")
    assert done.returncode == 0, done.stdout + done.stderr
    second = first.parent / "attempt-0002"
    spec = json.loads((second / "spec.json").read_text())
    newest = max(json.loads(path.read_text())["step"] for path in markers(cli.home))
    assert spec["resume_from"].endswith(f"step-{newest:08d}")
    assert min(steps_of(second)) > newest
    assert max(steps_of(second)) == 30
    assert mlflow_runs(cli.home) == {"small (suite)": "FINISHED", "uniform/seed1": "FINISHED"}


def test_a_killed_command_leaves_its_driver_to_the_next_and_ctrl_c_stops_it(
    cli: Cli, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path, **{"training.max_steps": 300})
    command = cli.start("run", suite, "--variant", "uniform")
    until(lambda: markers(cli.home), "a committed checkpoint")
    command.send_signal(signal.SIGKILL)
    command.wait()
    (driver,) = cli.claims()

    following = cli.start("run", suite, "--variant", "uniform")
    until(lambda: led_by(cli, following.pid), "the lead of the next")
    seen = max(markers(cli.home))
    until(lambda: max(markers(cli.home)) > seen, "a checkpoint under its lead")
    assert cli.claims() == [driver]
    following.send_signal(signal.SIGINT)
    # Interrupted within an `exec` of a library, Python ends by the signal: a shell's 130 as well.
    assert following.wait(timeout=60) in (130, -signal.SIGINT)
    assert not lives(driver)
    status = json.loads(cli("status", "--json").stdout)
    assert [(row["state"], row["attempts"]) for row in status] == [("queued", 1)]


@pytest.mark.long
def test_a_killed_driver_is_a_new_attempt_of_the_same_command(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, **{"training.max_steps": 30})
    command = cli.start("run", suite, "--variant", "uniform")
    until(lambda: markers(cli.home), "a committed checkpoint")
    for pid in cli.claims():
        kill_tree(pid)
    assert command.wait(timeout=400) == 0
    status = json.loads(cli("status", "--json", "--events").stdout)
    assert [row["attempts"] for row in status] == [2]
    assert any("resumes from step" in event["message"] for event in status[0]["events"])
