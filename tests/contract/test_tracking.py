"""The tracker against a real MLflow on SQLite."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from ntlbg_service.tracking import LoggedMetrics, RefusedError, Tracker, TrackingError

ROWS = [
    LoggedMetrics(step=10, seconds=1_700_000_010.25, values={"loss": 1.5, "learning_rate": 1e-4}),
    LoggedMetrics(step=20, seconds=1_700_000_020.5, values={"loss": float("nan")}),
]


class Store:
    """A fresh suite in a shared MLflow; what is in it is read with MLflow's own client."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.artifacts = f"{folder}/artifacts"
        self.suite_key = uuid4().hex
        self.run_id = uuid4().hex
        self.tracker = Tracker(self.uri, self.artifacts)

    def suite(self, name: str = "quickstart") -> str:
        return self.tracker.suite(self.suite_key, name, {"ntlbg.submitter": "ada"})

    def started(self, **params: str | int | float | bool | None) -> Run:
        self.suite()
        self.tracker.run_started(
            self.suite_key,
            self.run_id,
            "ntlbg/seed1",
            params or {"training.learning_rate": 5e-5},
            {"ntlbg.variant": "ntlbg", "ntlbg.attempts": "1", "mlflow.user": "ada"},
        )
        return self.run(self.run_id)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def runs(self, tag: str, value: str) -> list[Run]:
        everywhere = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return self.client.search_runs(everywhere, f"tags.`{tag}` = '{value}'", ViewType.ALL)

    def run(self, run_id: str) -> Run:
        (run,) = self.runs("ntlbg.run_id", run_id)
        return run

    def history(self, name: str) -> list[tuple[int, int, str]]:
        points = self.client.get_metric_history(self.run(self.run_id).info.run_id, name)
        return [(point.step, point.timestamp, str(point.value)) for point in points]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    store.suite()
    yield store


def test_a_suite_said_twice_is_one_parent_run(store: Store) -> None:
    first, second = store.suite(), Tracker(store.uri).suite(store.suite_key, "quickstart", {})
    assert first == second
    (parent,) = store.runs("ntlbg.suite_key", store.suite_key)
    assert parent.info.run_name == "quickstart (suite)"
    assert parent.data.tags["ntlbg.submitter"] == "ada"


def test_suites_of_one_name_share_an_experiment(store: Store) -> None:
    again = Store(Path(store.artifacts).parent)
    parents = [store.client.get_run(item.suite()) for item in (store, again)]
    assert len({parent.info.run_id for parent in parents}) == 2
    assert len({parent.info.experiment_id for parent in parents}) == 1


def test_a_deleted_experiment_is_brought_back(folder: Path) -> None:
    store = Store(folder)
    experiment = store.client.get_run(store.suite("deleted")).info.experiment_id
    store.client.delete_experiment(experiment)
    again = Store(folder)
    assert store.client.get_run(again.suite("deleted")).info.experiment_id == experiment


def test_a_run_lies_below_its_suite_with_its_config(store: Store) -> None:
    run = store.started(**{"model.tuning": "lora", "video.k": None, "on": True, "rate": 5e-5})
    assert run.info.run_name == "ntlbg/seed1"
    assert run.info.status == "RUNNING"
    assert run.data.tags["mlflow.parentRunId"] == store.suite()
    assert run.data.tags["ntlbg.variant"] == "ntlbg"
    assert run.data.tags["mlflow.user"] == "ada"
    assert run.data.params == {
        "model.tuning": "lora",
        "video.k": "null",
        "on": "true",
        "rate": "5e-05",
    }


def test_a_run_said_twice_is_one_run_and_tags_are_the_newest(store: Store) -> None:
    first = store.started()
    other = Tracker(store.uri)
    other.run_started(
        store.suite_key, store.run_id, "renamed", {"seed": 2}, {"ntlbg.attempts": "2"}
    )
    run = store.run(store.run_id)
    assert run.info.run_id == first.info.run_id
    assert run.data.tags["ntlbg.attempts"] == "2"
    assert run.data.params == {"training.learning_rate": "5e-05", "seed": "2"}


def test_a_known_param_never_changes(store: Store) -> None:
    store.started(seed=1)
    assert store.started(seed=2).data.params == {"seed": "1"}


def test_many_and_long_params_and_odd_names_are_taken(store: Store) -> None:
    many = {f"section.key{place}": place for place in range(250)}
    run = store.started(**many, **{"long": "x" * 9000, "odd (name)//é": 1})
    assert len(run.data.params) == 252
    assert run.data.params["long"].endswith("x ... [shortened, 9000 characters]")
    assert len(run.data.params["long"]) == 5000
    assert run.data.params["odd _name_/é"] == "1"


@pytest.mark.parametrize(
    "value",
    [
        "ada's suite",
        'the "best" suite',
        "both ' and \"",
        "' OR '1'='1",
        "a\\",
        "a\\'b\"",
        "100% _",
        "two\nlines",
        "\x1b[31mred\0",
        "名前 é",
        "x" * 5000,
        "y" * 5001,
        "`;--/*",
        "",
    ],
)
def test_a_run_is_found_by_any_value(store: Store, value: str) -> None:
    key = f"{store.suite_key}{value}"
    first = store.tracker.suite(key, f"name {value}"[:120], {})
    assert Tracker(store.uri).suite(key, f"name {value}"[:120], {}) == first
    store.tracker.run_started(key, store.run_id, value, {value: value}, {value: value})
    assert Tracker(store.uri).statuses(key) == {store.run_id: ["running"]}
    tags = store.client.get_run(first).data.tags
    whole = value == tags["ntlbg.suite_key"].removeprefix(store.suite_key)
    assert ("ntlbg.suite_key.sha256" in tags) == (not whole or {"'", '"'} <= set(value))


def test_what_is_no_time_and_no_step_is_left_out(store: Store) -> None:
    store.started()
    times = (float("nan"), float("inf"), 1e300, -1.0)
    odd = [LoggedMetrics(step=1, seconds=time, values={"loss": 1.0}) for time in times]
    odd += [LoggedMetrics(step=10**20, seconds=1.0, values={"loss": 1.0})]
    values = {"loss": float("inf"), "a\nb" * 100: 1.0}
    store.tracker.run_metrics(
        store.run_id, [*odd, LoggedMetrics(step=2, seconds=3.0, values=values)]
    )
    assert [step for step, *_ in store.history("loss")] == [2]


def test_what_would_make_a_request_too_large_is_sent_in_several(store: Store) -> None:
    run = store.started(**{f"key{place}": "é" * 4000 for place in range(60)})
    assert len(run.data.params) == 60


def test_metric_lines_said_twice_are_there_once(store: Store) -> None:
    store.started()
    store.tracker.run_metrics(store.run_id, ROWS[:1])
    for tracker in (store.tracker, Tracker(store.uri)):
        tracker.run_metrics(store.run_id, ROWS)
    assert store.history("loss") == [
        (10, 1_700_000_010_250, "1.5"),
        (20, 1_700_000_020_500, "nan"),
    ]
    assert store.history("learning_rate") == [(10, 1_700_000_010_250, "0.0001")]


def test_many_metric_lines_are_taken(store: Store) -> None:
    store.started()
    rows = [LoggedMetrics(step=n, seconds=n, values={"loss": n, "norm": n}) for n in range(1200)]
    store.tracker.run_metrics(store.run_id, rows)
    assert [step for step, *_ in store.history("norm")] == list(range(1200))


def test_a_run_ends_once(store: Store, tmp_path: Path) -> None:
    store.started()
    file = tmp_path / "7f3a"
    file.write_text('{"answer": 1}')
    metrics, files = {"needles/accuracy": 0.75}, {"predictions/needles.jsonl": file}
    store.tracker.run_finished(store.run_id, "finished", metrics, files, ended_at=1_800_000_000)
    first = store.run(store.run_id)
    Tracker(store.uri).run_finished(store.run_id, "finished", metrics, files)
    run = store.run(store.run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_800_000_000_000)
    assert first.to_dictionary() == run.to_dictionary()
    assert store.history("needles/accuracy") == [(0, 1_800_000_000_000, "0.75")]
    (artifact,) = store.client.list_artifacts(run.info.run_id, "predictions")
    assert artifact.path == "predictions/needles.jsonl"
    assert artifact.file_size == len('{"answer": 1}')


def test_saying_again_that_a_finished_run_started_does_not_reopen_it(store: Store) -> None:
    store.started()
    store.tracker.run_finished(store.run_id, "killed", {}, {})
    assert store.started().info.status == "KILLED"


def test_metrics_that_come_after_the_end_are_still_taken(store: Store) -> None:
    store.started()
    store.tracker.run_finished(store.run_id, "failed", {}, {})
    store.tracker.run_metrics(store.run_id, ROWS[:1])
    assert len(store.history("loss")) == 1


def test_a_suite_ends_with_its_report(store: Store, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<html></html>")
    for _ in range(2):
        store.tracker.suite_finished(store.suite_key, "failed", {"report.html": report})
    (parent,) = store.runs("ntlbg.suite_key", store.suite_key)
    assert parent.info.status == "FAILED"
    assert [item.path for item in store.client.list_artifacts(parent.info.run_id)] == [
        "report.html"
    ]


def test_a_trial_lies_below_its_sweep(store: Store) -> None:
    sweep = store.started()
    trial = f"{store.run_id}/trial-003"
    store.tracker.run_started(
        store.suite_key, trial, "trial-003", {}, {"ntlbg.trial_of": store.run_id}
    )
    tags = store.run(trial).data.tags
    assert tags["mlflow.parentRunId"] == sweep.info.run_id
    assert (tags["ntlbg.kind"], tags["ntlbg.suite"]) == ("trial", store.suite_key)


def test_a_run_that_was_deleted_by_hand_is_made_again(store: Store) -> None:
    store.client.delete_run(store.started().info.run_id)
    with pytest.raises(TrackingError):
        store.tracker.run_metrics(store.run_id, ROWS)
    store.tracker.run_started(store.suite_key, store.run_id, "ntlbg/seed1", {}, {})
    store.tracker.run_metrics(store.run_id, ROWS)
    states = [run.info.lifecycle_stage for run in store.runs("ntlbg.run_id", store.run_id)]
    assert sorted(states) == ["active", "deleted"]


def test_what_is_not_there_is_an_error_that_names_it(store: Store) -> None:
    with pytest.raises(RefusedError, match=r"no run has ntlbg\.run_id 77"):
        store.tracker.run_metrics("77", ROWS)
    with pytest.raises(TrackingError, match=r"no run has ntlbg\.suite_key 77"):
        store.tracker.run_started("77", "8", "x", {}, {})


def test_a_server_that_is_away_is_one_error_without_its_password() -> None:
    tracker = Tracker("http://ada:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"^MLflow at http://127.0.0.1:9: ") as caught:
        tracker.suite("key", "name", {})
    assert "secret" not in str(caught.value)


def test_only_a_server_has_pages(store: Store) -> None:
    assert store.tracker.link(store.run_id) is None
    assert store.tracker.suite_link(store.suite_key) is None


def test_files_are_found_and_added_where_a_home_was_copied_to(store: Store, tmp_path: Path) -> None:
    # Not by a client: MLflow's remembers for each run, in this process, where its files lie.
    before = Path(store.started().info.artifact_uri)
    before.mkdir(parents=True)
    file = before / "a.txt"
    file.write_text("before")
    moved = Store(Path(shutil.copytree(Path(store.artifacts).parent, tmp_path / "moved")))
    moved.suite_key, moved.run_id = store.suite_key, store.run_id
    moved.tracker.run_finished(store.run_id, "finished", {}, {"b.txt": file})

    run = moved.run(store.run_id).info
    assert run.artifact_uri == f"{moved.artifacts}/{run.run_id}/artifacts"
    assert {row.path for row in moved.client.list_artifacts(run.run_id)} == {"a.txt", "b.txt"}
    assert [path.name for path in before.iterdir()] == ["a.txt"]
    fresh = moved.client.create_run(run.experiment_id).info.artifact_uri
    assert fresh is not None and fresh.startswith(moved.artifacts)
