"""A queued run tried in the foreground: it computes, and nothing of it is recorded."""

import json
from pathlib import Path

from tests.support.command_line import Cli, write_suite


def test_a_run_is_debugged_before_it_runs(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    submitted = cli("submit", suite, "--variant", "ntlbg", "--json")
    assert submitted.returncode == 0, submitted.stderr
    found = json.loads(submitted.stdout)
    assert found["suite"] == "small@laptop" and len(found["new"]) == 2
    assert {row["state"] for row in found["runs"]} == {"queued"}
    again = json.loads(cli("submit", suite, "--variant", "ntlbg", "--json").stdout)
    assert again["new"] == [] and sorted(again["known"]) == sorted(found["new"])

    debugged = cli("debug", "selection/ntlbg:1", "--steps", "1")
    assert debugged.returncode == 0, debugged.stdout + debugged.stderr
    assert "nothing of it was recorded" in debugged.stdout
    assert "measured peak" in debugged.stdout and "glitch/accuracy" in debugged.stdout
    assert not (cli.home / "storage" / "runs").exists()
    assert cli("cancel", "selection/uniform:1").returncode == 0
    early = cli("export", "ntlbg:1", tmp_path / "model")
    assert early.returncode == 2 and "has no checkpoint yet: queued" in early.stderr
    states = [row["state"] for row in json.loads(cli("status", "--json").stdout)]
    assert sorted(states) == ["cancelled", "queued"]
