"""Controllers that are processes, killed with SIGKILL as often as a test asks."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.states import TERMINAL
from tests.support.faults.controller_process import fast
from tests.support.faults.files import FileExecutor, told_in
from tests.support.faults.schedules import Life
from tests.support.receiver import Receiver, a_receiver

REPOSITORY = Path(__file__).parents[3]


def one_process(life: Life, receiver: Receiver, lines: int | None) -> bool:
    """A controller that is killed after so many lines. True where it came to the end."""
    controller = subprocess.Popen(
        [sys.executable, "-m", "tests.support.faults.controller_process", str(life.folder)],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "NTLBG_NOTIFY": receiver.url(),
            "no_proxy": "*",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert controller.stdout is not None
    with controller.stdout as output:
        for number, line in enumerate(output, start=1):
            life.doors.append(line.strip())
            with life.executor.held():
                life.world.advance()
            with suppress(UserError):  # The run has ended between a person's look and wish.
                life.people()
            if number == lines:
                controller.send_signal(signal.SIGKILL)
    return controller.wait() == 0


def kill_often(folder: Path, seed: int, kills: int) -> int:
    """Kill so many controllers, let the next one finish, and check. Says how many were killed."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'ledger.db'}"
    life = Life(folder, url, seed, clock=fast, make_executor=FileExecutor)
    random = Random(seed)
    killed = 0
    with a_receiver() as receiver:
        while not _all_ended(life):  # Somebody may submit as a controller that is done ends.
            lines = random.randint(1, 25) if killed < kills else None
            killed += not one_process(life, receiver, lines)
            assert killed <= kills
    check_told(life, receiver)
    life.tracker.told = told_in(folder / "told.jsonl")
    life.check()
    life.engine.dispose()
    return killed


def check_told(life: Life, receiver: Receiver) -> None:
    """Each change of each run was told, at least once and the same however often."""
    told = {each["id"]: each for each in receiver.taken}
    assert all(told[each["id"]] == each for each in receiver.taken)
    for run_id in life.run_ids:
        mine = [each for each in told.values() if each.get("run_id") == run_id]
        mine.sort(key=lambda each: each["time"])
        states = ["queued", *(each["state"] for each in mine)]
        assert [each["before"] for each in mine] == states[:-1]
        assert states[-1] == life.ledger.run(run_id).state
    assert any(each["kind"] == "suite" for each in told.values())


def _all_ended(life: Life) -> bool:
    states = [life.ledger.run(run_id).state for run_id in life.run_ids]
    told = not life.ledger.unsent() and not life.ledger.number_of_notices()
    return set(states) <= TERMINAL and told


def kill_so_many(folder: Path, number: int, first_seed: int) -> None:
    killed, seed = 0, first_seed
    while killed < number:
        killed += kill_often(folder / str(seed), seed, kills=min(10, number))
        seed += 1
