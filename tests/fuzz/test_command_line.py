"""Malformed configs, names and paths on the command line: an error of one kind or another, no
traceback, nothing outside the working folder, no secret in any output."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntlbg_service.process import redaction
from tests.support.builders import SUITE, Service, new_run
from tests.support.fuzz.commands import case
from tests.support.fuzz.place import Place

EVERY = 50
"""Cases between two looks around."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A home with a run that has ended and one that runs."""
    found = Place(tmp_path / "top", monkeypatch)
    service = Service(found.work / ".ntlbg", places=1)
    service.ledger.submit(SUITE, [new_run("uniform"), new_run("ntlbg")])
    service.controller.step()
    service.executor.complete(next(iter(service.executor.running.values())).run_id)
    service.controller.step()
    service.ledger.close()
    assert found.run("db", "backup", "inputs/ledger.jsonl").code == 0
    shutil.copytree(found.work / ".ntlbg", found.work / "inputs/home")
    yield found
    redaction.known.cache_clear()


def fuzz(place: Place, numbers: range) -> list[str]:
    """What went wrong, a line each."""
    wrong: list[str] = []
    for number in numbers:
        call = case(f"1-{number}", place.work)
        for name, data in call.files.items():
            (place.work / name).parent.mkdir(parents=True, exist_ok=True)
            (place.work / name).write_bytes(data)
        said = place.run(*call.words)
        problem = place.problem_of(said)
        if problem:
            words = " ".join(word[:60] for word in call.words)
            wrong.append(f"{number}: {problem}: {words!r}: {said.output[-300:]!r}")
        for name in call.files:
            (place.work / name).unlink(missing_ok=True)
        if number % EVERY == EVERY - 1 or number == numbers[-1]:
            wrong += [f"..{number}: changed: {path}" for path in place.changed_outside()]
            wrong += [f"..{number}: secret in {path}" for path in place.secrets_kept()]
            if wrong:
                return wrong
            shutil.rmtree(place.work / "out")
            (place.work / "out").mkdir()
            shutil.rmtree(place.work / ".ntlbg")
            shutil.copytree(place.work / "inputs/home", place.work / ".ntlbg")
    return wrong


def test_malformed_calls(place: Place) -> None:
    assert fuzz(place, range(600)) == []


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_thousand_malformed_calls(place: Place) -> None:
    assert fuzz(place, range(10_000)) == []
