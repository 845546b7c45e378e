"""SIGKILL to a real controller process, at instants that nobody chose."""

from pathlib import Path

import pytest

from tests.support.faults.kills import kill_so_many


def test_five_killed_controllers_lose_nothing(tmp_path: Path) -> None:
    kill_so_many(tmp_path, 5, first_seed=0)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_killed_controllers_lose_nothing(tmp_path: Path) -> None:
    kill_so_many(tmp_path, 200, first_seed=100)
