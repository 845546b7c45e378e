"""What fuzzing found, each in its smallest form (tests/fuzz)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from ntlbg_service.config_files.json_files import read_json
from ntlbg_service.domain.errors import LONGEST_LINE, UserError, in_one_line
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.states import RunState
from ntlbg_service.domain.suite import SuiteSpec
from ntlbg_service.domain.sweep import SweepSpec
from ntlbg_service.ledger.backup import back_up
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.restore import restore
from ntlbg_service.ledger.tables import suites
from ntlbg_service.results.attempts import newest_checkpoint, read_exit
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.builders import SUITE, Service, new_ledger, new_run
from tests.support.fuzz.place import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path / "top", monkeypatch)


def test_an_error_is_one_line_that_steers_no_terminal() -> None:
    assert in_one_line("a\nb\x1b[31m\udcff é") == "a b\\x1b[31m\\udcff é"
    shown = in_one_line("x" * 100_000 + " is wrong")
    assert len(shown) < LONGEST_LINE + 10
    assert shown.endswith("x is wrong")


@pytest.mark.parametrize(
    "words",
    [
        ("config", "show", "configs/quickstart.json:" + "x" * 5000),
        ("config", "validate", "x" * 5000),
        ("config", "validate", "loop"),
        ("data", "needles", "../outside"),
        ("data", "needles", "/outside"),
        ("db", "backup", "loop"),
        ("priority", "g/ntlbg:1", "9223372036854775808"),
        ("submit", "configs/quickstart.json", "--priority", "9223372036854775808"),
    ],
)
def test_a_name_or_number_that_is_none_is_wrong_input(place: Place, words: tuple[str, ...]) -> None:
    ledger = new_ledger(place.work / ".ntlbg")
    ledger.submit(SUITE, [new_run()])
    ledger.close()
    said = place.run(*words)
    assert said.code == 2, said.output
    assert place.problem_of(said) is None
    assert place.changed_outside() == []


def test_a_number_of_thousands_of_digits_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(f'{{"a": {"9" * 5000}}}')
    with pytest.raises(UserError, match=r"x.json: not JSON: Exceeds the limit .* digits$"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../evil"}, "name: must not contain /"),
        ({"name": "a\x1b[0m"}, "name: must be printable"),
        ({"name": ".hidden"}, "name: must not begin with a dot"),
        ({"name": "x" * 121}, "name: must have at most 120 bytes"),
        ({"scales": {"../x": "laptop.json"}}, "scales: must not contain /"),
        ({"seeds": [2**31]}, "seeds: must be from 0 to 2147483647"),
    ],
)
def test_names_of_a_suite_become_names_of_files(change: dict[str, Any], said: str) -> None:
    variant = {"name": "a"}
    suite = {
        "name": "s",
        "config": "main.json",
        "groups": {"g": {"baseline": "a", "variants": [variant]}},
    }
    parse(SuiteSpec, suite, "suite.json")
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        parse(SuiteSpec, suite | change, "suite.json")


def test_a_sweep_of_millions_is_refused_before_it_is_expanded() -> None:
    sweep = {
        "name": "s",
        "suite": "suite.json",
        "variant": "a",
        "space": {"training.max_steps": {"values": [1, 2]}},
        "samples": 10**9,
    }
    with pytest.raises(UserError, match=r"space: has 2000000000 trials, more than 10000"):
        parse(SweepSpec, sweep, "sweep.json")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("runs", {"fits": 7}),
        ("runs", {"config": {"video": []}}),
        ("runs", {"details": {"trials": 7}}),
        ("runs", {"details": {"code": ["../.."]}}),
        ("runs", {"seed": 2**70}),
        ("runs", {"state": "dancing"}),
        ("runs", {"identity": {}}),
        ("runs", {"no_column": 1}),
        ("events", {"run_id": None}),
    ],
)
def test_a_backup_that_a_controller_would_not_understand_is_refused(
    tmp_path: Path, table: str, change: dict[str, Any]
) -> None:
    ledger = new_ledger(tmp_path)
    ledger.submit(SUITE, [new_run()])
    ledger.close()
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    back_up(engine, tmp_path / "whole.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text().splitlines()]
    for line in lines:
        if line.get("table") == table:
            line["row"] |= change
    body = "".join(f"{json.dumps(line)}\n" for line in lines[:-1])
    digest = hashlib.sha256(body.encode()).hexdigest()
    (tmp_path / "x.jsonl").write_text(f'{body}{{"sha256": "{digest}"}}\n')
    with pytest.raises(UserError, match=r"x\.jsonl:? ?"):
        restore(engine, tmp_path / "x.jsonl", force=True)
    assert restore(engine, tmp_path / "whole.jsonl", force=True) > 1
    engine.dispose()


def test_a_backup_brings_no_secret_into_a_ledger(tmp_path: Path) -> None:
    """One of before texts were searched, or one that somebody wrote by hand."""
    token = "ghp_" + "a1" * 18
    ledger = new_ledger(tmp_path / "old")
    ledger.submit(SUITE, [new_run()])
    ledger.close()
    engine = open_database(f"sqlite:///{tmp_path / 'old/ledger.db'}")
    with engine.begin() as connection:
        connection.execute(update(suites).values(description=f"push with {token}"))
    back_up(engine, tmp_path / "old.db")
    engine.dispose()
    assert token.encode() in (tmp_path / "old.db").read_bytes()
    fresh = open_database(f"sqlite:///{tmp_path / 'new.db'}")
    restore(fresh, tmp_path / "old.db")
    fresh.dispose()
    kept = (tmp_path / "new.db").read_bytes()
    assert token.encode() not in kept
    assert b"push with [redacted]" in kept


def test_an_exit_record_that_cannot_be_read_is_a_lost_attempt(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.ledger.submit(SUITE, [new_run()])
    service.controller.step()
    (spec,) = service.executor.running.values()
    keys = AttemptKeys(spec.run_id, spec.attempt)
    service.storage.path(keys.exit).write_text("[" * 100_000)
    service.executor.stop(keys)
    record = read_exit(service.storage, keys)
    assert record is not None and not record.finished
    service.controller.step()
    (attempt,) = service.ledger.attempts_of(spec.run_id)
    assert attempt.message.startswith("storage: runs/")
    assert service.ledger.run(spec.run_id).state is RunState.QUEUED


def test_what_a_marker_names_elsewhere_is_no_checkpoint(tmp_path: Path) -> None:
    """Else `ntlbg gc` and a controller's tidying would delete it."""
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run()])
    service.controller.step()
    (spec,) = service.executor.running.values()
    keys = AttemptKeys(spec.run_id, spec.attempt)
    attempts = service.ledger.attempts_of(spec.run_id)
    own = service.storage.path(keys.checkpoint(3))
    own.mkdir(parents=True)
    elsewhere = (tmp_path, service.storage.root, service.storage.path(keys.folder))
    for step, path in enumerate((*elsewhere, own)):
        marker = {"attempt": 1, "step": step, "path": str(path)}
        service.storage.put(keys.marker(step), marker)
        found = newest_checkpoint(service.storage, attempts)
        assert (found is not None) == (path == own), path


def test_a_run_whose_code_lies_elsewhere_fails_and_the_others_go_on(tmp_path: Path) -> None:
    from dataclasses import replace

    service = Service(tmp_path, places=2)
    evil, good = new_run("uniform"), new_run("ntlbg")
    evil = replace(evil, details={"data_root": "data", "code": "../../../evil"})
    service.ledger.submit(SUITE, [evil, good])
    service.run_all()
    states = {run.variant: run.state for run in service.ledger.current_runs("s")}
    assert states == {"uniform": RunState.FAILED, "ntlbg": RunState.FINISHED}
