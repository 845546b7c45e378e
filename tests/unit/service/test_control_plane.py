"""The benchmark of the control plane runs on both databases; its figures are not judged here."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import control_plane
from benchmarks.control_plane import GOALS, QUICK, p95, ratio, slope


def test_it_measures_everything_on_both_databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["control_plane", "--quick", "--out", str(tmp_path)])
    control_plane.main()
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "control_plane.json").read_text())
    assert set(result["figures"]) == {"sqlite", "postgresql"}
    for database, figures in result["figures"].items():
        for name in GOALS:
            assert figures[name], (database, name)
            assert f"{name:24}{database}" in said
        lengths = {str(length) for length in QUICK.queue}
        assert set(figures["cycle freed by length, s"][0]) == lengths
    assert result["size"]["queue"] == list(QUICK.queue)


def test_figures_are_what_they_are_called() -> None:
    assert p95([float(number) for number in range(1, 101)]) == 95.0
    assert p95([3.0, 1.0]) == 3.0
    assert slope({10: 2.0, 100: 20.0, 1000: 200.0}) == pytest.approx(1.0)
    assert slope({10: 2.0, 1000: 2.0}) == pytest.approx(0.0)
    assert ratio("submit p95, s", 0.1) == pytest.approx(0.5)
    assert ratio("lives a second", 300.0) == pytest.approx(1.5)
    assert ratio("status of all, s", 1.0) is None
