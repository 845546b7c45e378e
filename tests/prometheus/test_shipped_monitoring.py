"""What `deploy/monitoring` holds, in a real Prometheus that scrapes a real controller."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.support.builders import SUITE, Service, new_run
from tests.support.command_line import until
from tests.support.prometheus_server import SHIPPED, Prometheus, program

pytestmark = pytest.mark.prometheus


def promtool(*words: str) -> str:
    done = subprocess.run(
        [program("promtool"), *words], cwd=SHIPPED, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_and_its_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_every_alert_fires_when_it_should_and_no_sooner() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tried = (SHIPPED / "alerts_test.yml").read_text()
    rules = yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"][0]["rules"]
    assert all(tried.count(f"alertname: {rule['alert']}\n") == 2 for rule in rules)


@contextmanager
def controller(home: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A real one, of a home where every run has ended."""
    words = ("controller", "--home", str(home), "--port", str(port), "--parallel", "1")
    with (home.parent / "controller.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ntlbg_service", *words], stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_a_controller_is_scraped_and_missed(
    tmp_path: Path, prometheus: Prometheus, target: int
) -> None:
    service = Service(tmp_path / "home", places=1)
    service.ledger.submit(SUITE, [new_run("ntlbg")])
    service.controller.step()
    service.executor.complete(next(iter(service.executor.running.values())).run_id)
    service.controller.step()
    service.ledger.close()
    with controller(tmp_path / "home", target) as process:
        until(lambda: prometheus.ask('ntlbg_runs{state="finished"} == 1'), "the ended run")
        until(lambda: prometheus.ask("ntlbg_leads == 1"), "a leader")
        dashboard = json.loads((SHIPPED / "grafana.json").read_text())
        asked = {each["expr"] for panel in dashboard["panels"] for each in panel["targets"]}
        assert len(asked) > 15
        silent = {query for query in asked if not prometheus.ask(query)}
        # A rate needs two looks, a measured peak a training.
        assert all("rate(" in each or "increase(" in each or "memory" in each for each in silent)
        assert "NtlbgDown" not in prometheus.alerts()
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: prometheus.alerts().get("NtlbgDown") == "pending", "the alert")
