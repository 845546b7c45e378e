"""Peaks of ended attempts find their way from storage to the next prediction."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ntlbg_service.cli.cluster import command as cluster
from ntlbg_service.cli.config import command as config
from ntlbg_service.domain.launch import ExitRecord, LaunchSpec
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.peak_memory import read_calibrations, read_home
from tests.support.builders import SUITE, Service, new_run

MAIN = Path(__file__).parents[3] / "configs" / "longvideo_config.json"
PEAKS = {1: 4000.0, 2: 5600.0, 3: None}
"""MiB by seed."""


def ends(spec: LaunchSpec) -> ExitRecord:
    """Seed 4 runs out of memory and then finds its input wrong; the others finish."""
    short = spec.seed == 4
    first = spec.attempt == 1
    return ExitRecord(
        run_id=spec.run_id,
        attempt=spec.attempt,
        finished=not short,
        failure=(FailureClass.OUT_OF_MEMORY if first else FailureClass.USER) if short else None,
        ended_at=0.0,
        peak_memory_mib=3000.0 if short else PEAKS[spec.seed],
    )


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """A home in which four runs of one shape have ended."""
    service = Service(tmp_path / "home")
    service.executor.outcome = ends
    service.ledger.submit(SUITE, [new_run(seed=seed) for seed in (1, 2, 3, 4)])
    service.run_all()
    return service.workspace


def test_nothing_is_known_and_nothing_is_made_before_the_first_run(tmp_path: Path) -> None:
    workspace = Workspace(home=tmp_path / "none", data_root=tmp_path)
    assert read_calibrations(workspace) == {}
    assert not workspace.home.exists()


def test_peaks_of_what_finished_or_ran_out_are_read(home: Workspace) -> None:
    (profile,) = read_home(home)
    peaks = read_home(home)[profile]
    assert profile == "cpu"
    assert sorted(round(1024 * peak.measured_gib) for peak in peaks) == [3000, 4000, 5600]
    assert [peak.ran_out for peak in peaks if peak.measured_gib < 3] == [True]
    found = read_calibrations(home)["cpu"]
    assert (found.runs, found.shapes) == (3, 1)
    assert found.factor == pytest.approx(found.highest, rel=0.05)


def test_the_table_and_json_say_the_same(home: Workspace) -> None:
    options = ["calibration", "--home", str(home.home)]
    printed = CliRunner().invoke(cluster, options).output
    found = json.loads(CliRunner().invoke(cluster, [*options, "--json"]).output)["cpu"]
    (shape,) = found["by_shape"]
    assert f"cpu: measured {found['ratio']:.2f} of predicted in 3 runs" in printed
    assert f"{shape['lowest_gib']:.3f} to {shape['highest_gib']:.3f}" in printed
    assert "3 (1 out of memory)" in printed
    assert shape["factor"] == found["factor"]


def test_an_empty_home_says_so(tmp_path: Path) -> None:
    found = CliRunner().invoke(cluster, ["calibration", "--home", str(tmp_path / "none")])
    assert "No training in" in found.output and found.exit_code == 0


def test_analyze_says_what_was_measured(home: Workspace) -> None:
    found = CliRunner().invoke(config, ["analyze", "--config", str(MAIN), "--home", str(home.home)])
    assert "cpu: measured " in found.output
