"""`ntlbg usage` on a home whose runs finished, failed, were lost, cancelled, paused and run."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from ntlbg_service.cli.moments import moment
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import CheckpointMarker, to_json
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.domain.usage import By, added, usage
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Measured
from ntlbg_service.results.gpu_time import read_attempt_intervals
from ntlbg_service.storage.layout import AttemptKeys, place_of
from ntlbg_service.storage.local import LocalStorage
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import command_on

HOUR = 3600.0


class Hours:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100_000 * HOUR

    def __call__(self) -> float:
        return self.now


class Home:
    """A ledger in which an hour passes in each attempt."""

    def __init__(self, url: str, folder: Path) -> None:
        self.clock = Hours()
        self.engine = open_database(url)
        self.ledger = Ledger(self.engine, self.clock)
        self.storage = LocalStorage(folder / "storage")

    def attempt(
        self,
        run_id: str,
        ends: tuple[AttemptState, RunState],
        failure: FailureClass | None = None,
        resume_from: str | None = None,
        steps: int | None = None,
    ) -> Attempt:
        """One hour on two half GPUs."""
        run = self.ledger.run(run_id)
        fit = replace(run.fits[0], workers=2, share=0.5)
        attempt = start_attempt(self.ledger, run, fit, resume_from, "local", "")
        self.clock.now += HOUR
        measured = Measured(finished_steps=steps)
        self.ledger.end_attempt(attempt, *ends, failure=failure, measured=measured)
        return attempt

    def checkpoint(self, attempt: Attempt, step: int) -> str:
        """A committed one; says its key."""
        keys = AttemptKeys(attempt.run_id, attempt.number)
        folder = self.storage.path(keys.checkpoint(step))
        folder.mkdir(parents=True)
        marker = CheckpointMarker(attempt=attempt.number, step=step, path=keys.checkpoint(step))
        self.storage.put(keys.marker(step), to_json(marker))
        return keys.checkpoint(step)


@pytest.fixture
def home(ledger_url: str, tmp_path: Path) -> Iterator[Home]:
    made = Home(ledger_url, tmp_path)
    yield made
    made.engine.dispose()


LOST = (AttemptState.LOST, RunState.QUEUED)
FINISHED = (AttemptState.FINISHED, RunState.FINISHED)
STOPPED = (AttemptState.INTERRUPTED, RunState.QUEUED)


def test_a_home_in_which_everything_happened(home: Home) -> None:
    ids = home.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(4)]).new
    bobs = home.ledger.submit(replace(SUITE, submitter="bob"), [new_run(seed=9)]).new[0]
    infrastructure, stopped = FailureClass.INFRASTRUCTURE, FailureClass.INTERRUPTED
    lost = home.attempt(ids[0], LOST, infrastructure, steps=100)
    home.attempt(ids[0], FINISHED, resume_from=home.checkpoint(lost, 75))
    home.attempt(ids[1], (AttemptState.FAILED, RunState.FAILED), FailureClass.USER)
    start_attempt(home.ledger, home.ledger.run(ids[2]), new_run().fits[0], None, "local", "")
    home.clock.now += HOUR
    paused = home.attempt(ids[3], STOPPED, stopped, steps=100)
    home.checkpoint(paused, 50)
    begun = start_attempt(home.ledger, home.ledger.run(bobs), new_run().fits[0], None, "local", "")
    home.ledger.request(bobs, DesiredState.CANCEL, "bob")
    home.clock.now += HOUR
    home.ledger.end_attempt(begun, *STOPPED, failure=stopped)
    rows = usage(read_attempt_intervals(home.ledger, home.storage), By.USER, home.ledger.now())
    ada, bob = rows["ada"], rows["bob"]
    assert (ada.hours, ada.useful, ada.running, ada.redone) == (7, 2.25, 3, 0.75)
    assert ada.wasted == {"infrastructure": 0.25, "user": 1, "interrupted": 0.5}
    assert (ada.runs, ada.attempts) == (4, 5)
    assert (bob.hours, bob.wasted) == (1, {"cancelled": 1})
    since = home.ledger.now() - 1.5 * HOUR
    late = usage(
        read_attempt_intervals(home.ledger, home.storage, since), By.STATE, home.ledger.now(), since
    )
    assert {name: used.hours for name, used in late.items()} == {
        "running": 1.5,
        "cancelled": 1,
        "queued": 0.5,
    }
    assert added(late.values()).hours == 3


def test_a_checkpoint_is_found_by_its_path() -> None:
    keys = AttemptKeys("0123", 12)
    for path in (keys.checkpoint(40), f"/home/a/storage/{keys.work}/x/step-00000040/"):
        assert place_of(path) == ("0123", 12, 40)
    assert place_of("checkpoint") is None


def test_the_command_shows_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path / "home")
    ntlbg = command_on(service, monkeypatch, capsys)
    assert ntlbg("usage", "--since", "1d").out.startswith("nothing ran since ")
    clock = Hours()
    ledger = Ledger(open_database(service.workspace.ledger_url), clock)
    run_id, other = ledger.submit(SUITE, [new_run(seed=1), new_run(seed=2)]).new
    for which, (ends, failure) in (
        (run_id, (LOST, FailureClass.INFRASTRUCTURE)),
        (run_id, (FINISHED, None)),
        (other, (FINISHED, None)),
    ):
        begun = start_attempt(ledger, ledger.run(which), new_run().fits[0], None, "local", "")
        clock.now += 2000 * HOUR
        ledger.end_attempt(begun, *ends, failure=failure)
    ledger.close()
    lines = ntlbg("usage").out.splitlines()
    assert lines[0].split() == [
        *("user", "runs", "attempts", "GPU-hours", "useful", "running", "wasted", "of", "it")
    ]
    assert " ".join(lines[1].split()) == (
        "ada 2 3 6 000.00 4 000.00 0.00 2 000.00 2 000.00 lost to infrastructure"
    )
    found = ntlbg("usage", "--by", "suite", "--json").json
    assert found["rows"][0]["suite"] == "s"
    assert found["total"]["wasted"] == {"infrastructure": 2000}
    assert found["total"]["gpu_hours"] == 6000 and found["total"]["wasted_in_all"] == 2000
    assert ntlbg("usage", "--by", "colour").code == 2


@pytest.mark.parametrize(
    ("text", "ago"), [("12h", 12 * HOUR), ("1.5d", 36 * HOUR), ("2w", 336 * HOUR), ("3min", 180)]
)
def test_so_long_ago(text: str, ago: float) -> None:
    assert moment(text, "--since", 1e9) == 1e9 - ago


def test_a_day_or_a_time_is_local_unless_it_says_its_zone() -> None:
    assert moment("2026-11-01", "--since", 0) == datetime(2026, 11, 1).astimezone().timestamp()
    assert moment("2026-11-01T08:00+00:00", "--since", 0) == 1793520000


@pytest.mark.parametrize("text", ["", "soon", "-3d", "1e9d", "9999999d", "0001-01-01", "3 d\x1b"])
def test_what_is_no_moment_is_one_line(text: str) -> None:
    try:
        moment(text, "--since", 0)
    except UserError as error:
        assert str(error).startswith("--since: ") and str(error).isprintable()
    else:
        assert text == "0001-01-01"  # In whose zone that is a moment depends on the machine's.
