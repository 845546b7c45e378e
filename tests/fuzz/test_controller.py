"""A controller among hostile names, wishes and storage objects: it goes on, and stays in its place.

Runs have names that lead out, nodes lie about theirs, and whatever a runner leaves in storage may
be anything at all.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ntlbg_model.records import Prediction
from ntlbg_service.domain.errors import NtlbgError
from ntlbg_service.domain.launch import ExitRecord, Heartbeat, LaunchSpec, to_json
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import DesiredState, RunState
from ntlbg_service.maintenance.export import export
from ntlbg_service.maintenance.garbage_collection import find_reclaimable
from ntlbg_service.process import redaction
from ntlbg_service.results.attempts import read_results
from ntlbg_service.results.run_status import run_status
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import delete_atomically
from ntlbg_service.tracking.publisher import Publisher
from tests.support.builders import SUITE, Service, Ticks, new_run
from tests.support.fuzz.hostile import SECRETS, Hostile
from tests.support.fuzz.place import Place

LOOKED_FROM_OUTSIDE = 0.25
"""Share of worlds that every command looks at."""
PLACES = (
    *("exit.json", "process.json", "heartbeat.json", "metrics.jsonl", "spec.json", "driver.log"),
    *("checkpoints", "train", "workers", "staged", "predictions", "predictions/glitch.jsonl"),
    *("checkpoints/step-00000001.json", "train/step-00000001", "workers/rank-000.json"),
)
"""Objects of an attempt that something else may lie in place of."""
RUNS = 5
"""Of one world."""


class Deaf:
    """A tracker that takes everything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: "run"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    yield Place(tmp_path / "top", monkeypatch)
    redaction.known.cache_clear()


def hostile_run(source: Hostile, number: int) -> Any:
    """A run with the names that it would have had were there no checks before the ledger."""
    run = new_run(seed=number, repetition=0)
    named = replace(
        run.identity, group=_printable(source), variant=_printable(source), suite=SUITE.key
    )
    details = dict(run.details)
    if source.random.random() < 0.5:
        details[source.random.choice(("code", "data_root", "metric"))] = _printable(source)
    config: Any = run.config
    if source.random.random() < 0.2:
        config = json.loads(json.dumps(config))
        config[source.random.choice(list(config))] = redaction.known().hidden(source.value())
    return replace(run, identity=named, details=details, config=config)


def _printable(source: Hostile) -> str:
    """A name that a suite's file may give: without secrets, which are refused there."""
    name = redaction.redacted(source.name()).encode("unicode_escape").decode()
    return name[:120] or "-"


def leave(source: Hostile, place: Place, service: Service, spec: LaunchSpec) -> None:
    """What a runner that means harm leaves in storage."""
    keys = AttemptKeys(spec.run_id, spec.attempt)
    following = AttemptKeys(spec.run_id, spec.attempt + 1)
    own = keys.checkpoint(source.random.choice((1, 2)))
    targets = (str(place.outside), str(service.storage.root), "..", "/", source.name(), "runs", own)
    if source.random.random() < 0.5:
        service.storage.path(keys.folder).mkdir(parents=True, exist_ok=True)
        with suppress(NtlbgError, OSError):
            service.storage.path(own).mkdir(parents=True, exist_ok=True)
    if source.random.random() < 0.3:
        name = source.random.choice(PLACES)
        source.lie_in_place_of(service.storage.root / keys.folder / name)
    if source.random.random() < 0.1:
        source.lie_in_place_of(service.storage.root / following.folder)
    for _ in range(source.random.randrange(1, 4)):
        step = source.random.choice((1, 2, 10**20, -5))
        record: Any = source.random.choice(
            (
                {**to_json(an_exit(spec)), "run_id": "x", "attempt": 7, "finished": True},
                {**to_json(an_exit(spec)), "ended_at": source.value()},
                to_json(
                    ExitRecord(
                        run_id=spec.run_id,
                        attempt=spec.attempt,
                        finished=False,
                        failure=source.random.choice(list(FailureClass)),
                        message=str(source.name())[:500],
                        ended_at=1.0,
                        results={str(source.name())[:100]: 1.0},
                    )
                ),
                {"attempt": 1, "step": step, "path": source.random.choice(targets)},
                {"attempt": 99, "step": 1, "path": own},
                {"attempt": spec.attempt, "step": source.value(), "path": own},
                {**to_json(spec), "run_id": source.name(), "nodes": source.value()},
                {"host": source.name(), "seconds": source.value(), "copied_bytes": 1},
                {"rank": 0, "node": source.name(), "host": source.name(), "pid": source.value()},
                {
                    **Prediction(
                        dataset="glitch",
                        question_id=source.name(),
                        video_id="v",
                        category=source.name(),
                        gold=1,
                        answer=1,
                        correct=True,
                    ).to_json(),
                    source.random.choice(("frames", "answer", "seconds", "needle_recall")): (
                        source.value()
                    ),
                },
                {
                    **{"attempt": spec.attempt, "step": 1, "time": source.value()},
                    "values": {"train/loss": source.value()},
                },
                {**to_json(a_beat(spec)), "step": step},
                {**to_json(a_beat(spec)), "staging": source.name(), "time": source.value()},
                {"pid": source.value(), "started": source.value()},
                {"step": source.value(), "values": source.value(), "time": 0.0, "attempt": 1},
                {"dataset": source.value(), "question_id": source.value()},
            )
        )
        key = source.random.choice(
            (
                keys.exit,
                keys.heartbeat,
                keys.marker(1),
                keys.marker(2),
                keys.worker(0),
                keys.metrics,
                keys.predictions("glitch"),
                keys.process,
                keys.staged(0),
                keys.log,
                following.spec,
                following.exit,
                keys.trial("trial-000").exit,
            )
        )
        try:
            path = service.storage.path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
        except (NtlbgError, OSError):
            continue
        if path.exists() and not path.is_file():
            continue
        text = source.document(dict(record))
        path.write_bytes(b" ".join(text.split(b"\n")) + b"\n" if key.endswith("l") else text)
    try:
        work = service.storage.path(keys.work)
        work.mkdir(parents=True, exist_ok=True)
    except (NtlbgError, OSError):
        return
    link = work / f"step-{source.random.randrange(3):08d}"
    if not os.path.lexists(link) and source.random.random() < 0.5:
        link.symlink_to(place.outside)


def a_beat(spec: LaunchSpec) -> Heartbeat:
    return Heartbeat(
        attempt=spec.attempt,
        time=1.0,
        step=1,
        pid=1,
        host=SECRETS[4],
        memory_mib=None,
        peak_memory_mib=None,
    )


def an_exit(spec: LaunchSpec) -> ExitRecord:
    return ExitRecord(run_id=spec.run_id, attempt=spec.attempt, finished=False, ended_at=1.0)


def drive(place: Place, seed: str) -> int:
    """One world to its end; how many hostile things it met."""
    source = Hostile(seed)
    home = place.work / ".ntlbg"
    shutil.rmtree(home, ignore_errors=True)
    service = Service(home, places=3)
    said: list[str] = []
    runs = [hostile_run(source, number) for number in range(RUNS)]
    for run in runs:
        service.ledger.submit(SUITE, [run])
    service.ledger.submit(SUITE, [new_run("good", seed=99)])
    service.restart()
    object.__setattr__(service.controller.effects, "note", said.append)
    publisher = Publisher(
        service.ledger,
        service.storage,
        Deaf(),  # type: ignore[arg-type]
        service.workspace,
        Ticks(),
    )
    met = len(runs)
    for _ in range(12):
        service.controller.step()
        for spec in list(service.executor.running.values()):
            if service.ledger.run(spec.run_id).variant == "good":
                service.executor.complete(spec.run_id)
                continue
            leave(source, place, service, spec)
            met += 2
            if source.random.random() < 0.6:
                service.executor.stop(AttemptKeys(spec.run_id, spec.attempt))
        wish(source, service, [run.identity.run_id for run in runs])
        met += 1
        publisher.step()
    look_at_everything(service, place, said)
    good = next(name for name in service.ledger.names() if name.variant == "good")
    assert service.ledger.run(good.run_id).state is RunState.FINISHED, seed
    assert not [words for words in said if words.startswith("fault")], (seed, said)
    end_everything(service)
    service.ledger.close()
    look_from_outside(source, place, good.run_id, seed)
    return met


def end_everything(service: Service) -> None:
    """Cancel whatever a run left behind it: nothing of it holds a place for good."""
    for name in service.ledger.names():
        with suppress(NtlbgError):
            service.ledger.request(name.run_id, DesiredState.CANCEL, "ada")
    for _ in range(3):
        service.executor.running.clear()
        service.controller.step()
    assert service.ledger.active_attempts() == ()


def look_from_outside(source: Hostile, place: Place, good: str, seed: str) -> None:
    """The commands that read what runs left: they end as they should, whatever it is."""
    hostile = source.random.choice(["g", "s", good])
    calls = [
        ("status", 0),
        ("status --json --events", 0),
        (f"explain {good}", 0),
        (f"logs {good}", 0),
        ("gc --dry-run --json", 0),
        ("usage --json", 0),
        (f"explain {hostile}", None),
    ]
    for line, code in calls if source.random.random() < LOOKED_FROM_OUTSIDE else calls[:1]:
        said = place.run(*line.split())
        assert place.problem_of(said) is None, (seed, line, said)
        assert code is None or said.code == code, (seed, line, said)
        if "--json" in line:
            json.loads(said.output[said.output.index("[" if "status" in line else "{") :])


def wish(source: Hostile, service: Service, run_ids: list[str]) -> None:
    """What somebody wants of one of the runs, or of a node."""
    run_id = source.random.choice(run_ids)
    try:
        match source.random.randrange(5):
            case 0:
                service.ledger.request(
                    run_id, source.random.choice(list(DesiredState)), source.name()
                )
            case 1:
                service.ledger.prioritise(run_id, source.random.randrange(-9, 9), source.name())
            case 2:
                service.ledger.drain(source.name(), "ada", source.name())
            case 3:
                service.ledger.requeue(run_id, source.name())
            case _:
                service.ledger.request(run_id, DesiredState.RUN, source.name())
    except NtlbgError:
        pass


def look_at_everything(service: Service, place: Place, said: list[str]) -> None:
    """Whatever reads the storage again."""
    for name in service.ledger.names():
        run = service.ledger.run(name.run_id)
        attempts = service.ledger.attempts_of(run.run_id)
        read_results(service.storage, attempts, ["glitch"])
        if attempts:
            assert read_results(service.storage, attempts, ["../../x"]).predictions == {}
        said.append(run_status(service.ledger, service.storage, run).doing)
        try:
            export(service.ledger, service.storage, run, place.work / "out" / "model")
        except NtlbgError as error:
            said.append(str(error))
    for litter in find_reclaimable(service.ledger, service.storage, service.workspace).litter:
        delete_atomically(litter.path)


def worlds(place: Place, seeds: range) -> int:
    """Drives them; how many hostile things they met."""
    met = 0
    for seed in seeds:
        met += drive(place, f"world-{seed}")
        assert place.changed_outside() == [], seed
        ledger = (place.work / ".ntlbg/ledger.db").read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in ledger], seed
        shutil.rmtree(place.work / "out")
        (place.work / "out").mkdir()
    return met


def test_hostile_worlds(place: Place) -> None:
    assert worlds(place, range(5)) > 200


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_hostile_worlds(place: Place) -> None:
    assert worlds(place, range(300)) > 10_000
