"""`ntlbg ask`: an answer, its times and a picture; a mistake is one line and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import av
import matplotlib.image
import pytest

from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.write import encode
from ntlbg_service import cli
from ntlbg_service.report.answer_strip import clock

PLAN = sample_video(NeedlesSpec(split="clean", videos=1, seed=8, resolution=56), 0)
NEEDLE = PLAN.needles[0]
QUESTION = f"what colour is the {NEEDLE.shape} that flashed?"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ask") / "flashes.mp4"
    encode(render(PLAN), path)
    return path


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def ask(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Exit code of `ntlbg ask` as a person runs it."""
    monkeypatch.setattr(sys, "argv", ["ntlbg", "ask", *map(str, words)])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_an_answer_with_options_and_a_strip(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    video: Path,
    tmp_path: Path,
) -> None:
    wrong = "white" if NEEDLE.colour != "white" else "red"
    picture = tmp_path / "strip.png"
    options = ("--option", wrong, "--option", NEEDLE.colour, "--strip", picture)
    assert ask(monkeypatch, video, QUESTION, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{NEEDLE.colour}  (")
    assert lines[1].startswith(f"options   {NEEDLE.colour} ") and wrong in lines[1]
    assert lines[2] == "looked at 64 of 512 frames"
    assert lines[3].startswith("stand out ") and lines[3].count(", ") == 5
    assert "vision tower" in lines[4]
    assert lines[5] == f"frames    {picture}"
    height, width, _ = matplotlib.image.imread(picture).shape
    assert width > height > 500


def test_the_second_question_finds_the_first_one_s_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], video: Path
) -> None:
    opened: list[str] = []
    open_video = av.open

    def watched(file: str, *options: object, **named: object) -> object:
        opened.append(file)
        return open_video(file, *options, **named)

    monkeypatch.setattr(av, "open", watched)
    assert ask(monkeypatch, video, QUESTION) == 0
    assert opened
    opened.clear()
    assert ask(monkeypatch, video, "how many symbols flashed in all?", "--frames", "32") == 0
    assert opened == [] and "looked at 32 of 512 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.mp4", QUESTION), "missing.mp4: No such file or directory"),
        ((Path(__file__), QUESTION), "test_cli_ask.py: Invalid data"),
        (("VIDEO", "what color is it"), "'color'; did you mean 'colour'?"),
        (("VIDEO", QUESTION, "--option", "red"), "one option is no choice"),
        (("VIDEO", QUESTION, "--frames", "1"), "at least 2, got 1"),
        (("VIDEO", QUESTION, "--model", "no/body"), "--model 'no/body' cannot be loaded"),
        (("VIDEO", QUESTION, "--model", " "), "--model: is empty"),
        (("VIDEO", QUESTION, "--model", "x" * 300), "File name too long"),
        ((Path(__file__).parent, QUESTION), "is a folder"),
        (("VIDEO", QUESTION, "--strip", "nowhere/strip.png"), "--strip: no folder nowhere"),
        (("VIDEO",), "Missing argument 'QUESTION'"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    video: Path,
    words: tuple[str | Path, ...],
    said: str,
) -> None:
    assert ask(monkeypatch, *(video if word == "VIDEO" else word for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and said in captured.err and "Traceback" not in captured.err


def test_a_checkpoint_of_a_run_brings_its_own_selection(tmp_path: Path) -> None:
    from ntlbg_service.results.attempts import config_of_checkpoint

    assert config_of_checkpoint(tmp_path / "anything") is None
    attempt = tmp_path / "runs" / "r" / "attempt-0002"
    checkpoint = attempt / "train" / "train" / "step-00000060"
    checkpoint.mkdir(parents=True)
    fit = {
        "profile": "cpu",
        "workers": 1,
        "precision": "fp32",
        "micro_batch": 1,
        "accumulation": 1,
        "attention": "sdpa",
        "gradient_checkpointing": False,
        "predicted_gib": 1.0,
        "limit_gib": 2.0,
        "hours": 0.1,
        "memory": {},
        "reasons": [],
    }
    spec = {
        "launch_id": "l",
        "run_id": "r",
        "attempt": 2,
        "work": "train",
        "config": {"selection": {"method": "uniform"}, "model": {"base_model": "tiny"}},
        "seed": 1,
        "fit": fit,
        "storage": "s",
        "data_root": "d",
        "cache": "c",
    }
    (attempt / "spec.json").write_text(json.dumps(spec))
    config = config_of_checkpoint(checkpoint)
    assert config is not None
    assert (config.selection.method, config.model.base_model) == ("uniform", "tiny")


def test_the_command_line_stays_light() -> None:
    code = (
        "import sys, ntlbg_service.cli\n"
        "from ntlbg_service.cli import ask\n"
        "sys.exit(sorted({'torch', 'transformers', 'av', 'matplotlib', 'rich'} & set(sys.modules))"
        " or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (83.25, "1:23.2"), (3723.4, "1:02:03.4")],
)
def test_times_as_a_person_reads_them(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
