"""`--notify` on the command line: a secret that is in no error, and a receiver that is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.states import DesiredState
from ntlbg_service.executors.environment import cluster_driver, local_driver
from ntlbg_service.notifications.webhook import Webhook
from tests.support.builders import SUITE, Service, new_run
from tests.support.faults.world import FakeTracker
from tests.support.life import Command, command_on
from tests.support.receiver import Receiver, a_receiver

TOKEN = "T0K3N"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "*")
    with a_receiver() as made:
        yield made


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """One run that waits, on a ledger whose controller passed news on."""
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run()])
    service.ledger.pass_on_notices(True)
    return service


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setattr("ntlbg_service.tracking.Tracker", lambda *_: FakeTracker())
    return command_on(service, monkeypatch, capsys)


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://host/{TOKEN}",
        f"hooks.slack.com/services/{TOKEN}",
        f"http://[{TOKEN}/x",
        f"http://host:{TOKEN}/x",
        f"https:///{TOKEN}",
        f"https://host/{TOKEN} x",
        f"https://host/{TOKEN}\x1b[0m",
        f"https://höst/{TOKEN}",
    ],
)
@pytest.mark.parametrize("how", ["option", "variable", "file"])
def test_an_address_that_is_none_is_one_line_without_it(
    ntlbg: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, how: str
) -> None:
    file = tmp_path / "hook"
    file.write_text(url + "\n")
    if how == "variable":
        monkeypatch.setenv("NTLBG_NOTIFY", url)
    given_as = {"option": ("--notify", url), "variable": (), "file": ("--notify", f"@{file}")}
    said = ntlbg("controller", "--until-idle", *given_as[how])
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("ntlbg: --notify: ") and "is no address; valid: https://" in said.err
    assert TOKEN not in said.err
    assert (str(file) in said.err) == (how == "file")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--notify", "@missing"), "--notify: missing: No such file or directory"),
        (("--notify", "@."), "--notify: .: Is a directory"),
        (("--notify-on", "finish"), "unknown state 'finish'; did you mean 'finished'?"),
    ],
)
def test_a_mistake_is_one_line(ntlbg: Command, words: tuple[str, ...], said: str) -> None:
    done = ntlbg("controller", "--until-idle", *words)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert said in done.err


@given(url=st.text() | st.from_regex(r"https?://\S{0,20}", fullmatch=True))
def test_any_text_is_an_address_or_refused_without_it(url: str) -> None:
    try:
        webhook = Webhook(url, "here")
    except UserError as error:
        assert str(error).startswith("here: is no address; valid: ")
        return
    assert webhook.shown.startswith(("http://", "https://")) and "@" not in webhook.shown


def test_a_controller_tells_what_waits_before_it_ends(
    service: Service, ntlbg: Command, receiver: Receiver, tmp_path: Path
) -> None:
    (run,) = service.ledger.queued()
    service.ledger.request(run.run_id, DesiredState.CANCEL, "ada")
    assert "notices that wait for a receiver: 2" in ntlbg("db", "check").out
    file = tmp_path / "hook"
    file.write_text(receiver.url(f"/{TOKEN}"))
    said = ntlbg("controller", "--until-idle", "--notify", f"@{file}", "--notify-on", "cancelled")
    assert said.code == 0 and said.out.endswith("nothing is left to do\n")
    assert receiver.states == [("run", "cancelled"), ("suite", "cancelled")]
    assert receiver.came[0][0] == f"/{TOKEN}"
    assert TOKEN not in said.out + said.err
    assert "notices" not in ntlbg("db", "check").out


def test_a_receiver_that_is_away_lets_the_controller_end(
    service: Service, ntlbg: Command, receiver: Receiver
) -> None:
    receiver.stop()
    (run,) = service.ledger.queued()
    service.ledger.request(run.run_id, DesiredState.CANCEL, "ada")
    said = ntlbg("controller", "--until-idle", "--notify", receiver.url(f"/{TOKEN}"))
    assert said.code == 0 and TOKEN not in said.out + said.err
    assert "does not answer: Connection refused; tried again" in said.out
    assert "2 notices stay for the next controller that has --notify" in said.out


def test_no_driver_is_given_the_address(tmp_path: Path) -> None:
    environment = {"NTLBG_NOTIFY": f"https://host/{TOKEN}", "HF_HOME": "/hf"}
    for driver in (local_driver(environment, tmp_path / "token"), cluster_driver(environment)):
        assert driver["HF_HOME"] == "/hf"
        assert not any(TOKEN in value for value in driver.values())
