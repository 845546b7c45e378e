"""What commands ask of a ledger with many ended runs does not grow with them: pages, indexes, and
no import that takes seconds. Times are in `benchmarks/large_ledger.py`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.naming import find_run
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import RunFilter
from ntlbg_service.ledger.records import NewRun, NewSuite, Run
from ntlbg_service.maintenance.garbage_collection import find_reclaimable
from ntlbg_service.storage.at_rest import holds_only_kept
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import Command, command_on

EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}


def named(suite: NewSuite, key: str, submitter: str = "ada") -> NewSuite:
    return replace(suite, key=key, name=key, submitter=submitter)


def submit(ledger: Ledger, key: str, seeds: range, submitter: str = "ada") -> list[Run]:
    """Runs of a suite of that name, in the order of their seeds."""
    fresh: list[NewRun] = [new_run(seed=seed) for seed in seeds]
    mine = [replace(run, identity=replace(run.identity, suite=key)) for run in fresh]
    ids = ledger.submit(named(SUITE, key, submitter), mine).new
    return list(ledger.runs(ids).values())


def end(ledger: Ledger, run: Run, state: RunState = RunState.FINISHED) -> None:
    attempt = start_attempt(ledger, run, run.fits[0], None, "simulated", "")
    ledger.end_attempt(attempt, AttemptState.FINISHED, state)


@pytest.fixture
def lived(ledger: Ledger) -> Ledger:
    """One run runs, two wait, one of them first; six have ended, one of them again."""
    old = submit(ledger, "old", range(5))
    for run in old[:3]:
        end(ledger, run)
    end(ledger, old[3], RunState.FAILED)
    new = submit(ledger, "new", range(4), "bob")
    end(ledger, new[1])
    ledger.request(new[0].run_id, DesiredState.CANCEL, "bob")
    start_attempt(ledger, new[2], new[2].fits[0], None, "simulated", "")
    ledger.prioritise(new[3].run_id, 5, "bob")
    repeated = ledger.requeue(old[3].run_id, "ada")
    end(ledger, ledger.run(repeated))
    return ledger


def seeds(ledger: Ledger, chosen: RunFilter, most: int | None) -> list[tuple[str, int]]:
    return [(run.suite_key, run.seed) for run in ledger.listed(chosen, most)]


def test_a_page_has_what_goes_on_first_and_then_what_ended_last(lived: Ledger) -> None:
    everything = [*(("old", seed) for seed in range(3)), ("old", 4), ("old", 3)]
    everything += [("new", seed) for seed in range(4)]
    assert seeds(lived, RunFilter(), None) == everything
    assert seeds(lived, RunFilter(), 1) == [("new", 2)]
    assert seeds(lived, RunFilter(), 2) == [("new", 2), ("new", 3)]
    assert seeds(lived, RunFilter(), 4) == [("old", 4), ("old", 3), ("new", 2), ("new", 3)]
    ended = RunFilter(states=[RunState.FINISHED])
    assert seeds(lived, ended, 2) == [("old", 3), ("new", 1)]
    assert seeds(lived, RunFilter(users=["bob"], suite="new"), 99) == everything[-4:]
    assert lived.listed(RunFilter(users=["eve"]), 5) == ()


def test_counts_are_of_the_newest_runs_alone(lived: Ledger) -> None:
    every = {RunState.QUEUED: 2, RunState.RUNNING: 1, RunState.FINISHED: 5, RunState.CANCELLED: 1}
    assert lived.count(RunFilter()) == every
    assert lived.count(RunFilter(suite="old")) == {RunState.QUEUED: 1, RunState.FINISHED: 4}
    assert lived.count(RunFilter(suite="none")) == {}
    assert lived.count_by_suite(RunFilter(users=["ada"]), ["old", "new"]) == {
        "old": {RunState.QUEUED: 1, RunState.FINISHED: 4}
    }
    for run in lived.listed(RunFilter()):
        whole = lived.run(run.run_id)
        assert run == type(run)(**{name: getattr(whole, name) for name in run.__dataclass_fields__})


def test_a_word_finds_in_the_database_what_it_finds_among_all_names(lived: Ledger) -> None:
    every = lived.names()
    words = {
        "",
        "g",
        "old",
        "ntlbg:",
        ":1",
        "ntlbg:99",
        "ntlbg:99999999999",
        "\udcff:1",
        "a:1\udc80",
    }
    for name in every:
        words |= {*name.spellings, name.run_id, name.run_id[:3], name.run_id[:1], name.run_id[1:]}

    def found(word: str, names: tuple[object, ...]) -> object:
        try:
            return find_run(word, names)  # type: ignore[arg-type]
        except UserError as error:
            return "unknown" if "unknown" in str(error) else str(error)

    for word in words:
        assert found(word, lived.named(word)) == found(word, every), word
    assert lived.names(most=3) == every[-3:]
    assert lived.names("old", most=2) == lived.names("old")[-2:]


@contextmanager
def statements(engine: Engine | type[Engine]) -> Iterator[list[tuple[str, object]]]:
    """What is asked of databases meanwhile."""
    asked: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


LOOKS: dict[str, Callable[[Ledger], object]] = {
    "a page": lambda ledger: ledger.listed(RunFilter(), 100),
    "one state": lambda ledger: ledger.listed(RunFilter(states=[RunState.QUEUED]), 100),
    "a user": lambda ledger: ledger.listed(RunFilter(users=["ada"]), 100),
    "a suite": lambda ledger: ledger.listed(RunFilter(suite="old")),
    "counts": lambda ledger: ledger.count(RunFilter()),
    "counts of suites": lambda ledger: ledger.count_by_suite(RunFilter(), ["old", "new"]),
    "a name": lambda ledger: ledger.named("g/ntlbg:1"),
    "the last names": lambda ledger: ledger.names(most=2),
    "all ids": lambda ledger: ledger.run_ids(),
    "users": lambda ledger: ledger.submitters(),
    "trained": lambda ledger: ledger.trained_attempts(10),
    "queue": lambda ledger: ledger.queued(),
    "active": lambda ledger: ledger.active_attempts(),
    "going": lambda ledger: ledger.going(),
    "a suite's whole runs": lambda ledger: ledger.current_runs("old"),
    "events": lambda ledger: ledger.events_by_run([ledger.run_ids()[0]]),
    "attempts": lambda ledger: ledger.attempts_by_run([ledger.run_ids()[0]]),
}


def test_no_look_reads_a_whole_table(lived: Ledger, engine: Engine) -> None:
    for look in LOOKS.values():
        with statements(engine) as asked:
            look(lived)
        assert asked
        _check_plans(engine, asked)


def _check_plans(engine: Engine, asked: list[tuple[str, object]]) -> None:
    """Each goes by an index. Tables are small, so PostgreSQL is told to take one where it can."""
    kind = engine.dialect.name
    with engine.connect() as connection:
        if kind == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, values in asked:
            if not statement.startswith("SELECT"):
                continue
            explained = EXPLAIN[kind] + statement
            rows = connection.exec_driver_sql(explained, values)  # type: ignore[arg-type]
            plan = [str(row[-1]) for row in rows]
            for table in ("runs", "attempts", "events", "later"):
                whole = f"SCAN {table}" if kind == "sqlite" else f"Seq Scan on {table}"
                bad = [line for line in plan if whole in line and "INDEX" not in line]
                assert not bad, (statement, plan)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "home")


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return command_on(service, monkeypatch, capsys)


def test_status_shows_a_page_and_says_what_it_leaves_out(service: Service, ntlbg: Command) -> None:
    runs = submit(service.ledger, "s", range(6))
    for run in runs[:4]:
        end(service.ledger, run)
    said = ntlbg("status", "--limit", "3").out.splitlines()
    assert said[0] == "s: 2 queued, 4 finished"
    assert [line.split()[0] for line in said[1:4]] == [f"g/ntlbg:{seed}" for seed in (3, 4, 5)]
    assert said[4].startswith("3 more: 3 finished; --limit 6 or --all shows them")
    assert len(said) == 5
    assert ntlbg("status", "--all", "--limit", "3").out == ntlbg("status").out
    assert len(ntlbg("status").out.splitlines()) == 7
    shown = ntlbg("status", "--json", "--limit", "2")
    assert [row["state"] for row in shown.json] == ["queued", "queued"]
    assert shown.err.startswith("4 more: 4 finished")
    queued = ntlbg("status", "--state", "queued", "--limit", "1").out.splitlines()
    assert queued[0] == "s: 2 queued" and queued[-1].startswith("1 more: 1 queued")


def test_what_a_command_asks_does_not_grow_with_what_has_ended(
    service: Service, ntlbg: Command
) -> None:
    def asked(*words: str) -> int:
        with statements(Engine) as found:
            assert ntlbg(*words).code == 0
        return len(found)

    commands = (
        ("status", "--limit", "4", "--events"),
        ("status", "--state", "finished", "--limit", "4", "--json"),
        ("status", "first/g/ntlbg:1"),
        ("watch", "--once"),
        ("explain", "first/g/ntlbg:1"),
        ("gc", "--dry-run"),
        ("usage",),
        ("users", "list"),
    )
    for run in submit(service.ledger, "first", range(5)):
        end(service.ledger, run)
    before = [asked(*words) for words in commands]
    for run in submit(service.ledger, "second", range(20)):
        end(service.ledger, run)
    assert [asked(*words) for words in commands] == before


def test_nothing_is_read_of_runs_at_rest_for_a_clean_up(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def make(*paths: str) -> None:
        for path in paths:
            (folder / path).mkdir(parents=True, exist_ok=True)

    assert holds_only_kept(str(folder), 2)
    make("attempt-0001/train/step-1", "attempt-0001/checkpoints/step-1.json")
    make("attempt-0002/train/step-2", "attempt-0002/checkpoints/step-2.json")
    make("attempt-0002/checkpoints/step-0.json", "attempt-0002/train/other")
    assert holds_only_kept(str(folder), 2)
    assert not holds_only_kept(str(folder), 1)
    make("attempt-0002/train/.gone-step-3")
    assert not holds_only_kept(str(folder), 9)
    (folder / "attempt-0002/train/.gone-step-3").rmdir()
    make("trials/one")
    assert not holds_only_kept(str(folder), 9)

    runs = submit(service.ledger, "s", range(3))
    for run in runs:
        end(service.ledger, run)
        step = service.storage.path(f"runs/{run.run_id}/attempt-0001")
        (step / "train/step-00000001").mkdir(parents=True)
        (step / "checkpoints").mkdir()
        (step / "checkpoints/step-00000001.json").write_text("never read")
        (step / "metrics.jsonl").write_text("nor this")
    with statements(Engine) as asked:
        assert find_reclaimable(service.ledger, service.storage, service.workspace).litter == ()
    assert len([each for each in asked if "attempts" in each[0]]) == 1  # Whether anything runs.


COMMANDS = """
import sys
from ntlbg_service import cli
for words in {commands}:
    sys.argv = ["ntlbg", *words]
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
heavy = ("torch", "ray", "mlflow", "matplotlib", "transformers", "pandas", "alembic")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""


def test_looking_and_submitting_import_nothing_heavy(service: Service, tmp_path: Path) -> None:
    config = {"model": {"base_model": "tiny"}, "evaluation": {"scoring": "option_words"}}
    config["training"] = {"max_steps": 4, "warmup_steps": 0, "global_batch": 8}  # type: ignore[dict-item]
    config["data"] = {"train": [], "evaluation": []}  # type: ignore[dict-item]
    (tmp_path / "main.json").write_text(json.dumps(config))
    group = {"description": "d", "baseline": "one", "variants": [{"name": "one", "overrides": {}}]}
    suite = {"name": "s", "config": "main.json", "seeds": [1], "groups": {"g": group}}
    file = tmp_path / "suite.json"
    file.write_text(json.dumps(suite))
    commands = [
        ["submit", str(file), "--parallel", "1"],
        ["status"],
        ["status", "s", "--json", "--events"],
        ["watch", "--once"],
        ["explain", "g/one:1", "--inventory", str(tmp_path / "nodes.json")],
        ["usage"],
        ["gc", "--dry-run"],
        ["users", "list"],
        ["cancel", "s"],
    ]
    nodes = {"profile": "cpu", "gpus": 1, "cores": 2, "host_memory_gib": 16}
    (tmp_path / "nodes.json").write_text(json.dumps({"name": "n", "groups": [nodes]}))
    program = COMMANDS.format(commands=commands)
    home = ["--home", str(service.workspace.home)]
    program = program.replace('["ntlbg", *words]', f'["ntlbg", *words, *{home}]')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
