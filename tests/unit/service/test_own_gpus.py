"""Local drivers, each with a Ray of its own, are given different GPUs, whoever started them."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.executors import own_gpus as module
from ntlbg_service.executors.own_gpus import VISIBLE, Given, NoGpuLeftError, gpus_in, own_gpus
from tests.support.builders import cpu_fit, tiny_config

TWO = {VISIBLE: "0, GPU-b"}


@pytest.fixture
def drivers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for driver in started:
        end(driver)


def fit(workers: int = 1, share: float = 1.0) -> Fit:
    return replace(cpu_fit(tiny_config()), profile="A100-40GB", workers=workers, share=share)


def start(given: Given, drivers: list[subprocess.Popen[bytes]]) -> str | None:
    """A driver that holds what it was given for as long as it lives."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    drivers.append(subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=given.locks))
    return given.visible


def launch(folder: Path, drivers: list[subprocess.Popen[bytes]], wanted: Fit) -> str | None:
    with own_gpus(wanted, TWO, folder) as given:
        return start(given, drivers)


def end(driver: subprocess.Popen[bytes]) -> None:
    driver.kill()
    driver.communicate()


def test_each_driver_has_its_own_until_it_ends(
    tmp_path: Path, drivers: list[subprocess.Popen[bytes]]
) -> None:
    assert [launch(tmp_path, drivers, fit()) for _ in range(2)] == ["0", "GPU-b"]
    with pytest.raises(NoGpuLeftError, match=r"1 of the GPUs 0, GPU-b .* 0 free"):
        launch(tmp_path, drivers, fit())
    end(drivers[0])
    assert launch(tmp_path, drivers, fit()) == "0"


def test_several_workers_need_several_at_once(
    tmp_path: Path, drivers: list[subprocess.Popen[bytes]]
) -> None:
    assert launch(tmp_path, drivers, fit()) == "0"
    with pytest.raises(NoGpuLeftError, match=r"2 of the GPUs .* 1 free"):
        launch(tmp_path, drivers, fit(workers=2))
    # What was wanted in vain is held by nobody.
    assert launch(tmp_path, drivers, fit()) == "GPU-b"
    end(drivers[0])
    end(drivers[1])
    assert launch(tmp_path, drivers, fit(workers=2)) == "0,GPU-b"


def test_runs_that_share_a_gpu_fill_it_first(
    tmp_path: Path, drivers: list[subprocess.Popen[bytes]]
) -> None:
    halves = [launch(tmp_path, drivers, fit(share=0.5)) for _ in range(3)]
    assert halves == ["0", "0", "GPU-b"]
    with pytest.raises(NoGpuLeftError):
        launch(tmp_path, drivers, fit())
    assert launch(tmp_path, drivers, fit(share=0.25)) == "GPU-b"


def test_a_driver_that_is_not_started_holds_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        with own_gpus(fit(workers=2), TWO, tmp_path) as given:
            assert given.visible == "0,GPU-b" and len(given.locks) == 16


def test_without_gpus_the_environment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_gpus(cpu_fit(tiny_config()), TWO, tmp_path) as given:
        assert given == Given(None)
    monkeypatch.setattr(module, "number_of_gpus", lambda: 0)
    with own_gpus(fit(), {}, tmp_path) as given:
        assert given == Given(None)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(module, "number_of_gpus", lambda: 3)
    assert gpus_in({}) == ["0", "1", "2"] and gpus_in({VISIBLE: ""}) == []
