"""What a person sees in MLflow of a suite that was written through the tracker."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ntlbg_service.tracking import LoggedMetrics, Tracker

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

ACCURACY = {"uniform/seed1": 0.5312, "uniform/seed2": 0.5417, "ntlbg/seed1": 0.7604}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on a free loopback port; with all its processes gone afterwards."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log, stopped_at_the_end(command, environment, log) as it:
        address = f"http://127.0.0.1:{port}"
        wait_until_healthy(address, it, folder / "log")
        yield address


@contextmanager
def stopped_at_the_end(
    command: list[str], environment: dict[str, str], log: object
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            with urlopen(f"{address}/health", timeout=5):
                return
        except (URLError, OSError):
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            break
    raise AssertionError(f"the MLflow server is not up:\n{log.read_text()}")


@pytest.fixture(scope="module")
def tracker(server: str, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """Two suites; the second one is only there to be left out."""
    tracker = Tracker(server)
    report = tmp_path_factory.mktemp("report") / "report.html"
    report.write_text("<title>report</title>")
    for suite in ("suite-1", "suite-2"):
        tracker.suite(suite, "quickstart", {})
        for number, (name, accuracy) in enumerate(ACCURACY.items()):
            run = f"{suite}-{number}"
            params = {"selection.method": name.split("/")[0], "seed": number}
            tracker.run_started(suite, run, name, params, {})
            rows = [
                LoggedMetrics(step=n, seconds=1.7e9 + n, values={"loss": 1 / n}) for n in (1, 2, 4)
            ]
            tracker.run_metrics(run, rows)
            tracker.run_finished(run, "finished", {"needles/accuracy": accuracy}, {})
        tracker.suite_finished(suite, "finished", {"report.html": report})
    return tracker


def test_a_suite_stands_side_by_side_and_its_runs_can_be_compared(
    tracker: Tracker, page: "Page"
) -> None:
    link = tracker.suite_link("suite-1")
    assert link is not None
    page.goto(link)
    for name in ACCURACY:
        page.get_by_role("link", name=name).wait_for()
    page.get_by_text("3 matching runs").wait_for()
    page.get_by_text("needles/accuracy").first.wait_for()
    page.get_by_text("ntlbg/seed1 (loss)").wait_for()

    page.get_by_role("checkbox", name="Select all runs").click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 3 Runs from 1 Experiment").wait_for()
    for text in (*ACCURACY, "0.531", "0.542", "0.76", "selection.method"):
        page.get_by_text(text, exact=True).first.wait_for()


def test_the_experiment_lists_suites_and_unfolds_their_runs(
    tracker: Tracker, page: "Page", server: str
) -> None:
    link = tracker.link("suite-1-0")
    assert link is not None
    experiment = link.partition("/runs/")[0]
    page.goto(f"{experiment}/runs?workflowType=machine_learning")
    page.get_by_role("link", name="quickstart (suite)").nth(1).wait_for()
    assert page.get_by_role("link", name="ntlbg/seed1").count() == 0
    page.get_by_role("gridcell", name="quickstart (suite)").first.get_by_role("button").click()
    page.get_by_role("link", name="ntlbg/seed1").wait_for()


def test_a_run_shows_its_config_and_its_result(tracker: Tracker, page: "Page") -> None:
    link = tracker.link("suite-1-2")
    assert link is not None
    page.goto(link)
    page.get_by_role("heading", name="ntlbg/seed1").wait_for()
    for text in ("selection.method", "needles/accuracy", "0.7604", "Finished"):
        page.get_by_text(text, exact=True).first.wait_for()
