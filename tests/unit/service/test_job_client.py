"""Ray's job API: every answer in bounded time, and nothing forgotten that still computes."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ntlbg_service.executors import job_client
from ntlbg_service.executors.job_client import ClusterAwayError, JobClient, dashboard_of


def test_a_head_that_never_answers_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own client of a GCS waits for ever."""
    monkeypatch.setattr(
        job_client, "ASK_FOR_DASHBOARD", "import threading; threading.Event().wait()"
    )
    monkeypatch.setattr(job_client, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ClusterAwayError, match=r"Ray at head:6379: no answer within 0\.5 s"):
        dashboard_of("head:6379")


def test_what_ray_says_of_a_head_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_client, "ASK_FOR_DASHBOARD", "raise SystemExit('the GCS is down')")
    with pytest.raises(ClusterAwayError, match="Ray at head:6379: the GCS is down"):
        dashboard_of("head:6379")
    monkeypatch.setattr(job_client, "ASK_FOR_DASHBOARD", "print('http://head:8265')")
    assert dashboard_of("head:6379") == "http://head:8265"


class Job:
    """A job that Ray counts as stopped."""

    status = "STOPPED"
    job_id = "0a000000"


class Answer:
    """What Ray's state API says."""

    def __init__(self, actors: list[dict[str, str]]) -> None:
        self.actors = actors

    def raise_for_status(self) -> None:
        return

    def json(self) -> Any:
        return {"data": {"result": {"result": self.actors}}}


class Head:
    """A head on which a stopped job's worker lives for a few looks more."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.asked: list[str] = []

    def stop_job(self, _: str) -> None:
        return

    def get_job_info(self, _: str) -> Job:
        return Job()

    def _do_request(self, _: str, endpoint: str) -> Answer:
        self.asked.append(endpoint)
        kinds = [
            "WorkerGroupCleaner",
            *(["RayTrainWorker"] if len(self.asked) < self.looks else []),
        ]
        return Answer([{"class_name": kind} for kind in kinds])


def test_a_submission_waits_a_bounded_time_for_an_agent() -> None:
    """However long the head takes to say that it has none."""
    now = [0.0]

    class NoAgent:
        tries = 0

        def submit_job(self, **_: Any) -> None:
            NoAgent.tries += 1
            now[0] += 4.0
            raise RuntimeError("No available agent to submit job")

        def get_job_info(self, _: str) -> None:
            raise RuntimeError("Request failed with status code 404")

    client = JobClient("head", lambda _: NoAgent(), lambda _: None, lambda: now[0])
    with pytest.raises(ClusterAwayError, match="has no agent that starts jobs"):
        client.submit("run-0001")
    assert NoAgent.tries == 3


def test_a_stop_waits_for_the_workers_and_not_for_cleaners() -> None:
    head = Head(looks=3)
    JobClient("head", connect=lambda _: head, pause=lambda _: None).stop("run-0001")
    assert len(head.asked) == 3
    query = parse_qs(urlsplit(head.asked[0]).query)
    assert query["filter_keys"] == ["job_id", "state"]
    assert query["filter_predicates"] == ["=", "!="]
    assert query["filter_values"] == ["0a000000", "DEAD"]
