"""`ntlbg submit`: durable, the same again changes nothing, a mistake leaves no ledger."""

import json
from pathlib import Path

import pytest

from ntlbg_service.domain.states import RunState
from tests.support.attempts import start_attempt
from tests.support.builders import Service
from tests.support.life import Command, command_on
from tests.support.small_suites import LAB, a_suite, a_sweep


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "home")


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return command_on(service, monkeypatch, capsys)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The inventory of other tests, as a file."""
    path = tmp_path / "lab.json"
    (group,) = LAB.groups
    row = {"profile": group.profile, "gpus": 8, "cores": 96, "host_memory_gib": 768}
    path.write_text(json.dumps({"name": "lab", "groups": [row]}))
    return path


def test_a_suite_is_queued_once(
    service: Service, ntlbg: Command, lab: Path, tmp_path: Path
) -> None:
    suite = a_suite(tmp_path, "start", {"video.max_frames": 512})
    said = ntlbg("submit", suite, "--inventory", lab, "--priority", "4")
    assert said.code == 0, said.err
    (run,) = service.ledger.current_runs("s")
    assert "Submitted: 1 new." in said.out and f"{run.run_id}  g/start:1  queued" in said.out
    assert "no controller leads here now: 'ntlbg controller' starts one" in said.out
    assert (run.state, run.priority, run.submitter) == (RunState.QUEUED, 4, "ada")
    again = ntlbg("submit", suite, "--inventory", lab, "--json").json
    assert again["new"] == [] and again["known"] == [run.run_id]
    assert again["runs"][0]["state"] == "queued"
    assert again["plan"]["checkpoints_gib"]["written"] > 0
    assert ntlbg("status", suite, "--json").json[0]["run_id"] == run.run_id


@pytest.mark.parametrize(
    ("in_file", "option", "kept"), [(None, None, None), (6, None, 6.0), (6, 2.5, 2.5)]
)
def test_hours_are_the_files_or_the_options(
    service: Service,
    ntlbg: Command,
    lab: Path,
    tmp_path: Path,
    in_file: int | None,
    option: float | None,
    kept: float | None,
) -> None:
    sweep = a_sweep(tmp_path, video__num_representatives=[16, 32])
    for file in (tmp_path / "suite.json", sweep):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"max_hours": in_file}))
        asked = () if option is None else ("--max-hours", str(option))
        said = ntlbg("submit", file, "--inventory", lab, *asked)
        assert said.code == 0, said.err
    assert [run.max_hours for run in service.ledger.queued()] == [kept, kept]


def test_no_hours_are_refused(ntlbg: Command, tmp_path: Path) -> None:
    suite = a_suite(tmp_path, "start", {})
    said = ntlbg("submit", suite, "--max-hours", "0")
    assert said.code == 2 and "0.0 is not in the range x>0" in said.err
    suite.write_text(json.dumps(json.loads(suite.read_text()) | {"max_hours": -1}))
    said = ntlbg("submit", suite)
    assert said.code == 2 and "suite.json: max_hours: must be above 0, got -1" in said.err


def test_a_sweep_is_queued_as_one_run(
    service: Service, ntlbg: Command, lab: Path, tmp_path: Path
) -> None:
    sweep = a_sweep(tmp_path, video__num_representatives=[16, 32])
    said = ntlbg("submit", sweep, "--inventory", lab)
    assert said.code == 0, said.err
    (run,) = service.ledger.current_runs("sweep:w")
    assert len(run.details["trials"]) == 2
    start_attempt(service.ledger, run, run.fits[0], None, "simulated", "on A100")
    assert "0 of 2 trials ended" in ntlbg("watch", "sweep:w", "--once").out
    wrong = ntlbg("submit", sweep, "--scale", "laptop")
    assert wrong.code == 2 and "a sweep says itself which variant and scale" in wrong.err


def test_a_mistake_leaves_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ntlbg: Command
) -> None:
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path / "other"))
    suite = a_suite(tmp_path, "start", {"video.max_frame": 512})
    said = ntlbg("submit", suite)
    assert said.code == 2 and "did you mean 'video.max_frames'?" in said.err
    assert not (tmp_path / "other").exists()
