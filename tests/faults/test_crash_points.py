"""Controllers that die at any door, on both databases: nothing is lost, nothing done twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults.schedules import LEASE, Died, a_life

SHORT, LONG = 20, 2000


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Makes an empty database of one kind."""
    if request.param == "sqlite":
        return lambda folder: f"sqlite:///{folder / 'ledger.db'}"
    postgres = request.getfixturevalue("postgres")
    return lambda _: str(postgres.new_database())


def live_and_check(tmp_path: Path, new_url: Callable[[Path], str], seeds: range) -> int:
    deaths = 0
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        with a_life(folder, new_url(folder), seed) as life:
            life.live()
            life.check()
            deaths += life.deaths
    return deaths


@pytest.mark.timeout(1800)
def test_controllers_that_die_anywhere_lose_nothing(
    tmp_path: Path, new_url: Callable[[Path], str]
) -> None:
    assert live_and_check(tmp_path, new_url, range(SHORT)) > SHORT


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_controllers_that_die_anywhere_lose_nothing_ever(
    tmp_path: Path, new_url: Callable[[Path], str]
) -> None:
    assert live_and_check(tmp_path, new_url, range(SHORT, SHORT + LONG)) > LONG


@pytest.mark.parametrize("door", range(1, 31))
def test_a_leader_that_was_cut_off_does_nothing_any_more(
    tmp_path: Path, new_url: Callable[[Path], str], door: int
) -> None:
    """The first stops for an hour at a door; the second leads meanwhile; the first goes on."""
    with a_life(tmp_path, new_url(tmp_path), seed=door) as life:
        second = life.service("second", None)
        first = life.service("first", None)
        at_point = first.at_point
        passed: list[str] = []

        def cut_off(name: str) -> None:
            at_point(name)
            passed.append(name)
            if len(passed) == door:
                assert second.step() and not second.leads  # It counts the lease from here.
                life.clock.now += 3600
                assert second.step() and second.leads
                passed.append("deposed")

        first.at_point = cut_off
        while len(passed) < door:
            first.step()
            life.world.advance()
            life.clock.now += 5
        first.step()
        assert not first.leads and second.leads
        after = passed[passed.index("deposed") + 1 :]
        assert [name for name in after if name.startswith("after ")] == []


def test_another_leads_within_the_lease_and_ten_seconds(
    tmp_path: Path, new_url: Callable[[Path], str]
) -> None:
    with a_life(tmp_path, new_url(tmp_path), seed=1) as life:
        with pytest.raises(Died):
            dying = life.service("dying", 1)
            while True:
                dying.step()
        standby = life.service("standby", None)
        died = life.clock.now
        while not (standby.step() and standby.leads):
            life.clock.now += 1.0
        assert LEASE <= life.clock.now - died <= LEASE + 10
