"""`ntlbg controller`: leads, stands by, adopts what runs, and is stopped without stopping runs."""

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Cli, leader, led_by, markers, until, write_suite


def test_controllers_come_and_go_and_the_runs_go_on(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, **{"training.max_steps": 80})
    submitted = cli("submit", suite, "--variant", "uniform")
    assert submitted.returncode == 0, submitted.stderr
    first = cli.start("controller", "--parallel", "1")
    until(lambda: led_by(cli, first.pid), "the first controller's lead")
    second = cli.start("controller", "--parallel", "1")
    until(lambda: markers(cli.home), "a committed checkpoint")
    assert led_by(cli, first.pid)

    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: led_by(cli, second.pid), "the second controller's lead")
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=60) == 0
    assert leader(cli) is None

    third = cli.start("controller", "--parallel", "1")
    until(lambda: led_by(cli, third.pid), "the third controller's lead")
    watched = cli("run", suite, "--variant", "uniform")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert f"A controller leads here (process {third.pid} on" in watched.stdout
    status = json.loads(cli("status", "--json").stdout)
    assert [(row["state"], row["attempts"]) for row in status] == [("finished", 1)]
    third.send_signal(signal.SIGTERM)
    assert third.wait(timeout=60) == 0

    last = cli("controller", "--until-idle")
    assert last.returncode == 0, last.stderr
    assert "nothing is left to do" in last.stdout


def test_a_controller_answers_on_its_port_while_it_leads(cli: Cli) -> None:
    controller = cli.start("controller", "--port", "0")
    log = cli.home.parent / f"{cli.home.name}.log"
    until(lambda: "metrics on http" in log.read_text(), "the port")
    url = log.read_text().split("metrics on ")[1].split()[0]
    until(lambda: led_by(cli, controller.pid), "its lead")
    until(lambda: asked(f"{url}/readyz")["ready"], "readiness")
    until(lambda: asked(f"{url}/readyz")["role"] == "leads", "what it says of its lead")
    assert asked(f"{url}/readyz")["checks"] == dict.fromkeys(
        ("database", "storage", "executor"), "answers"
    )
    assert asked(f"{url}/healthz")["alive"]
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        assert b"ntlbg_leads 1.0" in answer.read()
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(timeout=60) == 0


def asked(url: str) -> dict[str, Any]:
    """What a path says, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.loads(error.read()))
