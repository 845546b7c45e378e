"""What a process writes has no secret of its environment in it, however it is written."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntlbg_service.cli import main
from ntlbg_service.config_files.json_files import read_json
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.secret_shapes import HIDDEN
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.process import redaction
from ntlbg_service.process.redaction import RedactedBytes
from ntlbg_service.runner.failures import classify
from ntlbg_service.tracking import limits
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, new_ledger, new_run

TOKEN = "hf_" + "Ab3" * 10
LAB = "kB7wqz0LmPq2"


@pytest.fixture(autouse=True)
def lab_secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LAB is known from the environment; it looks like nothing."""
    monkeypatch.setenv("LAB_PASSWORD", LAB)
    redaction.known.cache_clear()
    yield
    redaction.known.cache_clear()


def test_a_secret_written_in_pieces_is_seen_when_its_line_is_whole() -> None:
    behind = io.BytesIO()
    output = RedactedBytes(behind)
    for piece in ("step 1\nlab said ", LAB[:5], LAB[5:], " and\xff".encode("latin-1")):
        output.write(piece.encode() if isinstance(piece, str) else piece)
    assert behind.getvalue() == b"step 1\n"
    output.flush()
    assert behind.getvalue() == f"step 1\nlab said {HIDDEN} and".encode() + b"\xff"


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "LONGEST", 100)
    behind = io.BytesIO()
    output = RedactedBytes(behind)
    for _ in range(50):
        output.write(f"word {LAB} ".encode())
    assert len(behind.getvalue()) > 400
    output.flush()
    assert LAB.encode() not in behind.getvalue()
    assert behind.getvalue().count(HIDDEN.encode()) == 50


def test_the_command_line_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ntlbg", "config", "validate", f"{LAB}/{TOKEN}.json"])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = "".join(capfd.readouterr())
    assert ended.value.code == 2
    assert shown.startswith("ntlbg: [redacted]/[redacted].json: no such file")


def test_a_closed_pipe_ends_without_a_word() -> None:
    code = "import sys; sys.argv = ['ntlbg', '--help']; from ntlbg_service.cli import main; main()"
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert done.stderr == b""


def test_a_config_that_holds_a_secret_is_refused_by_its_place(tmp_path: Path) -> None:
    file = tmp_path / "main.json"
    file.write_text(f'{{"model": {{"base_model": "https://ada:{LAB}@hub/x"}}}}')
    with pytest.raises(UserError, match=r"main.json: model.base_model: looks like a secret"):
        read_json(file)
    file.write_text('{"wandb": {"api_key": "9f8a31c07be2d456"}}')
    with pytest.raises(UserError, match=r"main.json: wandb.api_key: looks like a secret"):
        read_json(file)


def test_the_ledger_keeps_no_secret(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    run = new_run()
    ledger.submit(SUITE, [run])
    found = ledger.run(run.identity.run_id)
    attempt = start_attempt(ledger, found, found.fits[0], None, "local", f"because {TOKEN}")
    said = f"cannot log in with {LAB}"
    ledger.end_attempt(
        attempt,
        AttemptState.FAILED,
        RunState.FAILED,
        failure=FailureClass.BUG,
        message=said,
        reason=said,
    )
    ledger.drain("node-1", "ada", f"its token was {TOKEN}")
    ledger.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert HIDDEN.encode() in kept
    assert LAB.encode() not in kept
    assert TOKEN.encode() not in kept


def test_the_exit_record_and_mlflow_get_no_secret() -> None:
    _, message = classify(RuntimeError(f"401 for token {TOKEN} of {LAB}"))
    assert message == f"RuntimeError: 401 for token {HIDDEN} of {HIDDEN}"
    assert limits.text(f"see {TOKEN}") == f"see {HIDDEN}"
    assert limits.key(f"glitch/{TOKEN}") == "glitch/_redacted_"


def test_the_token_of_ray_is_known_by_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("0f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
    monkeypatch.setenv(redaction.TOKEN_FILE, str(tmp_path / "token"))
    redaction.known.cache_clear()
    assert redaction.redacted("is 0f1e2d3c4b5a69788796a5b4c3d2e1f0.") == f"is {HIDDEN}."
    monkeypatch.setenv(redaction.TOKEN_FILE, str(tmp_path / "none"))
    redaction.known.cache_clear()
    assert redaction.redacted("plain") == "plain"
