"""News delivered to a real receiver: at least once, in order, never in the way of leading."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from ntlbg_service.controller.service import SAID_AGAIN, Service
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.states import DesiredState, RunState
from ntlbg_service.ledger.backup import back_up
from ntlbg_service.ledger.integrity import check
from ntlbg_service.ledger.restore import restore
from ntlbg_service.notifications.notifier import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Notifier
from ntlbg_service.notifications.webhook import Webhook
from tests.support.builders import SUITE, new_run
from tests.support.faults.schedules import LEASE, Died, Life
from tests.support.receiver import Receiver, a_receiver

LONG = 60.0
"""Seconds that a test waits for a receiver of this machine."""
ENDS = [("suite", "finished")]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver is on this machine."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as made:
        yield made


class Home(Life):
    """A ledger with three runs and places for two; its controllers notify."""

    def __init__(self, folder: Path, url: str, receiver: Receiver) -> None:
        super().__init__(folder, url, seed=1)
        self.tracker.fails = lambda: None
        self.receiver = receiver
        self.said: list[str] = []

    def notifying(self, holder: str = "c", dies_at: str = "") -> Service:
        """A controller that leads; it may die before an effect."""
        service = self.service(holder, None)

        def at_point(name: str) -> None:
            if dies_at and name.startswith(dies_at):
                raise Died

        service.at_point = at_point
        service.webhook = Webhook(self.receiver.url(), "--notify")
        service.note = self.said.append
        return service

    def run_all(self, service: Service) -> None:
        """Every run to its end; whatever the receiver does, none waits for it."""
        while service.step():
            for spec in list(self.executor.running.values()):
                self.executor.complete(spec.run_id)

    def stands_by(self, service: Service) -> Service:
        """It has seen another's lease for as long as that lasts; with its next step it leads."""
        assert service.step() and not service.leads
        self.clock.now += LEASE + 1
        return service

    @property
    def left(self) -> int:
        """Notices that were not delivered."""
        return check(self.engine).notices


def notifier_of(service: Service) -> Notifier:
    assert service.notifier is not None
    return service.notifier


def sends(service: Service) -> bool:
    """Let it send what it would, however long that takes; whether nothing is left."""
    return notifier_of(service).flush(LONG)


@pytest.fixture
def home(ledger_url: str, tmp_path: Path, receiver: Receiver) -> Iterator[Home]:
    made = Home(tmp_path, ledger_url, receiver)
    yield made
    made.engine.dispose()


def test_each_change_is_told_once_and_in_order(home: Home, receiver: Receiver) -> None:
    service = home.notifying()
    home.run_all(service)
    assert sends(service)
    for run_id in home.run_ids:
        mine = [each for each in receiver.taken if each.get("run_id") == run_id]
        assert [(each["before"], each["state"]) for each in mine] == [
            ("queued", "running"),
            ("running", "finished"),
        ]
    assert receiver.states[-1:] == ENDS and len(receiver.taken) == 7
    assert len({each["id"] for each in receiver.taken}) == 7
    assert receiver.taken[-1]["runs"] == {"finished": 3}
    assert receiver.taken[-1]["text"] == "s (ada) has ended: 3 finished"
    first = receiver.taken[0]
    assert first["text"] == f"s: g/ntlbg seed {first['seed']} (ada) runs"
    assert (first["suite"], first["submitter"], first["group"]) == ("s", "ada", "g")
    assert home.left == 0


def test_a_receiver_that_is_down_costs_lateness_alone(home: Home, receiver: Receiver) -> None:
    receiver.stop()
    service = home.notifying()
    home.run_all(service)
    assert not sends(service)
    assert {home.ledger.run(run_id).state for run_id in home.run_ids} == {RunState.FINISHED}
    assert receiver.came == [] and home.left == 7
    told = [words for words in home.said if words.startswith("notices: ")]
    assert told == [
        f"notices: http://127.0.0.1:{receiver.port} does not answer: Connection refused; "
        "tried again"
    ]
    receiver.start()
    assert not sends(service) and receiver.came == []  # It is left alone for a while.
    home.clock.now += LONGEST_WAIT_SECONDS
    assert sends(service)
    assert len(receiver.taken) == 7 and receiver.states[-1:] == ENDS


def test_a_receiver_that_fails_is_tried_again_ever_more_rarely(
    home: Home, receiver: Receiver
) -> None:
    receiver.answer = lambda _: (500, {})
    service = home.notifying()
    home.run_all(service)
    asked = []
    for _ in range(12):
        sends(service)
        before = len(receiver.came)
        waited = 0.0
        while len(receiver.came) == before:
            home.clock.now += FIRST_WAIT_SECONDS
            waited += FIRST_WAIT_SECONDS
            sends(service)
        asked.append(waited)
    assert asked[0] <= 2 * FIRST_WAIT_SECONDS and asked == sorted(asked)
    assert asked[-1] == LONGEST_WAIT_SECONDS
    assert len({content["id"] for _, _, content in receiver.came}) == 1
    assert receiver.taken == [] and home.left == 7
    receiver.answer = lambda _: (200, {})
    home.clock.now += LONGEST_WAIT_SECONDS
    assert sends(service) and len(receiver.taken) == 7


def test_it_keeps_away_for_as_long_as_it_is_asked_to(home: Home, receiver: Receiver) -> None:
    receiver.answer = lambda _: (429, {"Retry-After": "120"})
    service = home.notifying()
    service.step()
    assert not sends(service) and len(receiver.came) == 1
    receiver.answer = lambda _: (200, {})
    home.clock.now += 119
    assert not sends(service) and len(receiver.came) == 1
    home.clock.now += 1
    assert sends(service)


@pytest.mark.parametrize("code", [404, 302])
def test_one_that_is_refused_stays_and_holds_no_other_up(
    home: Home, receiver: Receiver, code: int
) -> None:
    elsewhere = {"Location": receiver.url("/elsewhere")}
    receiver.answer = lambda each: (code if each["state"] == "running" else 200, elsewhere)
    service = home.notifying()
    home.run_all(service)
    for _ in range(8):
        sends(service)
        home.clock.now += LONGEST_WAIT_SECONDS
    if code == 302:  # Not a word against this one: the receiver is not what it was.
        assert receiver.taken == [] and home.left == 7
    else:
        assert len(receiver.taken) == 4 and home.left == 3
    assert {path for path, _, _ in receiver.came} == {"/hook"}
    receiver.answer = lambda _: (200, {})
    assert sends(service) and home.left == 0
    assert len({each["id"] for each in receiver.taken}) == 7


def test_what_was_sent_and_not_struck_off_comes_again_with_its_id(
    home: Home, receiver: Receiver
) -> None:
    dies = home.notifying("dies", dies_at="before notified")
    with pytest.raises(Died):
        home.run_all(dies)
        sends(dies)
    sent = [each["id"] for each in receiver.taken]
    assert sent and home.left >= len(sent)
    after = home.stands_by(home.notifying("next"))
    home.run_all(after)
    assert sends(after)
    ids = [each["id"] for each in receiver.taken]
    assert set(sent) < set(ids) and len(set(ids)) == 7
    assert len(ids) == 7 + len(sent)


def test_a_receiver_that_says_nothing_holds_nobody_up(home: Home, receiver: Receiver) -> None:
    asked, release = Event(), Event()

    def silent(_: object) -> tuple[int, dict[str, str]]:
        asked.set()
        assert release.wait(LONG)
        return 200, {}

    receiver.answer = silent
    service = home.notifying()
    service.step()
    assert asked.wait(LONG)
    home.run_all(service)
    assert not release.is_set() and len(receiver.came) == 1
    assert {home.ledger.run(run_id).state for run_id in home.run_ids} == {RunState.FINISHED}
    release.set()
    assert sends(service) and len(receiver.taken) == 7


def test_trouble_elsewhere_holds_no_news_up(home: Home, receiver: Receiver) -> None:
    def away() -> None:
        raise InfrastructureError("MLflow's disk is full")

    home.tracker.fails = away
    service = home.notifying()
    service.step()
    assert sends(service)
    assert receiver.states == [("run", "running")] * 2
    assert home.said[-1] == "MLflow's disk is full; tried again"


def test_trouble_that_goes_on_is_said_once_a_minute(home: Home) -> None:
    def away() -> None:
        raise InfrastructureError("MLflow's disk is full")

    home.tracker.fails = away
    service = home.notifying()
    for _ in range(int(SAID_AGAIN) + 15):
        home.clock.now += 1.0
        service.step()
    assert home.said.count("MLflow's disk is full; tried again") == 2


def test_a_deposed_controller_strikes_nothing_off(home: Home, receiver: Receiver) -> None:
    first = home.notifying("first")
    first.step()
    assert notifier_of(first)._flight is not None
    second = home.stands_by(home.notifying("second"))
    second.step()
    before = home.left
    assert first.step() and not first.leads
    assert home.left == before > 0
    home.run_all(second)
    assert sends(second) and home.left == 0
    assert len({each["id"] for each in receiver.taken}) == 7


def test_without_a_receiver_nothing_piles_up(home: Home, receiver: Receiver) -> None:
    home.run_all(home.notifying("first"))
    silent = home.stands_by(home.service("silent", None))
    run_ids = home.ledger.submit(SUITE, [new_run(seed=9)]).new
    before = home.left
    home.run_all(silent)
    assert silent.notifier is None and home.left == before
    third = home.stands_by(home.notifying("third"))
    third.step()
    assert sends(third)
    assert run_ids[0] not in {each.get("run_id") for each in receiver.taken}


def test_only_the_states_that_are_wanted_are_told(home: Home, receiver: Receiver) -> None:
    service = home.notifying()
    service.notify_on = {RunState.FAILED, RunState.CANCELLED}
    service.step()
    for run_id in home.run_ids:
        home.ledger.request(run_id, DesiredState.CANCEL, "ada")
    home.run_all(service)
    assert sends(service) and home.left == 0
    assert receiver.states == [*[("run", "cancelled")] * 3, ("suite", "cancelled")]
    assert "(ada) was cancelled" in receiver.taken[0]["text"]


def test_what_people_do_without_a_controller_is_told_by_the_next(
    home: Home, receiver: Receiver
) -> None:
    home.notifying("first").step()
    (run_id,) = (run.run_id for run in home.ledger.queued())
    home.ledger.request(run_id, DesiredState.CANCEL, "ada")
    after = home.stands_by(home.notifying("next"))
    after.step()
    assert sends(after)
    (told,) = (each for each in receiver.taken if each.get("run_id") == run_id)
    assert (told["state"], told["reason"]) == ("cancelled", "by ada")


def test_a_reason_calls_nobody(home: Home, receiver: Receiver) -> None:
    service = home.notifying()
    service.step()
    (waits,) = home.ledger.queued()
    home.ledger.cancel(waits.run_id, "a <!channel> & more\n" + "x" * 5000)
    service.step()
    assert sends(service)
    (told,) = (each for each in receiver.taken if each["state"] == "cancelled")
    assert "was cancelled: a &lt;!channel&gt; &amp; more xxx" in told["text"]
    assert "\n" not in told["text"] and len(told["text"]) < 1200
    assert told["reason"].startswith("a <!channel> & more\n")


def test_the_secret_of_an_address_is_nowhere_but_in_the_request(
    home: Home, receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = receiver.url("/services/T0K3N?key=T0K3N", word="bot:T0K3N@")
    service = home.notifying()
    service.webhook = Webhook(url, "--notify")
    service.step()
    assert sends(service)
    path, headers, _ = receiver.came[0]
    assert path == "/services/T0K3N?key=T0K3N"
    assert headers["Authorization"] == "Basic Ym90OlQwSzNO"
    receiver.answer = lambda _: (500, {})
    home.run_all(service)
    sends(service)
    receiver.stop()
    home.clock.now += LONGEST_WAIT_SECONDS
    sends(service)
    back_up(home.engine, tmp_path / "all.jsonl")
    shown = (repr(service.webhook), repr(service), *home.said, *capfd.readouterr())
    assert not any("T0K3N" in words for words in (*shown, (tmp_path / "all.jsonl").read_text()))
    assert service.webhook.shown == f"http://127.0.0.1:{receiver.port}"
    assert any("answered 500" in words for words in home.said)


def test_a_restored_ledger_numbers_on(home: Home, receiver: Receiver, tmp_path: Path) -> None:
    receiver.stop()
    service = home.notifying()
    service.step()
    before = home.ledger.waiting_notices(9)
    back_up(home.engine, tmp_path / "all.jsonl")
    restore(home.engine, tmp_path / "all.jsonl", force=True)
    assert home.ledger.waiting_notices(9) == before
    home.run_all(home.notifying("next"))
    assert len(home.ledger.waiting_notices(9)) == 7


def test_a_suite_ends_as_its_worst_run(home: Home, receiver: Receiver) -> None:
    service = home.notifying()
    home.executor.outcome = lambda spec: None
    for _ in range(100):
        service.step()
        for spec in list(home.executor.running.values()):
            home.executor.complete(spec.run_id)
        home.clock.now += 600
    assert sends(service)
    assert receiver.taken[-1]["runs"] == {"lost": 3}
    assert receiver.states[-1] == ("suite", "lost")
    again = [each for each in receiver.taken if each["state"] == "queued"]
    assert again and all(
        "waits for its next attempt: lost to the" in each["text"] for each in again
    )
