"""`ntlbg ask`: one question about one video."""

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_model.streaming_qa.videoqa import Answer, NTLBGVideoQA

NAMED = 6
"""Times that are printed; the strip shows more."""


@click.command()
@click.argument("video", type=FILE)
@click.argument("question")
@click.option(
    "--model",
    default="tiny",
    show_default=True,
    help="'tiny', a hub name, a Qwen2-VL folder, or a checkpoint folder of a run.",
)
@click.option("--option", "options", multiple=True, help="A possible answer. Repeatable.")
@click.option("--frames", type=int, help="Frames kept. [default: 12.5 %, at most 512]")
@click.option("--strip", type=FILE, help="Write a picture of the kept frames (PNG).")
@workspace_options
def command(
    video: Path,
    question: str,
    model: str,
    options: tuple[str, ...],
    frames: int | None,
    strip: Path | None,
    workspace: Workspace,
) -> None:
    """Answer QUESTION about the file VIDEO, of any length, from the frames worth looking at.

    \b
    The tiny model knows rendered videos (`ntlbg data needles`) and five kinds of question:
      what colour is the star that flashed?    how many times did the star flash?
      how many symbols flashed in all?         which shape flashed right after the star?
      which background colour lasts longest?

    A second question about the same video does not decode it again.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from ntlbg_model.data.video import VideoError
    from ntlbg_model.selection.image_text import EncoderError
    from ntlbg_model.streaming_qa.videoqa import QuestionError
    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.report.answer_strip import draw_answer

    if strip is not None and not strip.parent.is_dir():
        raise UserError(f"--strip: no folder {strip.parent}")
    _check_video(video)
    loaded = _load(model, workspace)
    try:
        with Progress(console=DataConsole(stderr=True), transient=True) as bar:
            task = bar.add_task(escape(f"reading {video.name}"), total=None, visible=False)
            answer = loaded.answer(
                video,
                question,
                options or None,
                frames=frames,
                progress=lambda done, all_: bar.update(
                    task, completed=done, total=all_, visible=True
                ),
            )
        if strip is not None:
            draw_answer(answer, video, question, strip)
    except VideoError as error:
        raise UserError(str(error)) from None
    except EncoderError as error:
        raise UserError(str(error)) from None
    except QuestionError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"--strip: {strip}: {error.strerror or error}") from None
    _print(answer, options, strip)


def _check_video(video: Path) -> None:
    """Raise UserError where there is no file, before a model is waited for."""
    from ntlbg_service.domain.errors import UserError

    try:
        mode = video.stat().st_mode
    except OSError as error:
        raise UserError(f"{video}: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{video}: is a folder")


def _load(model: str, workspace: Workspace) -> "NTLBGVideoQA":
    """The model; a run's checkpoint with the selection and scoring it was trained with.

    Raises UserError where there is none.
    """
    from transformers.utils import logging

    from ntlbg_model.backbone.model import BackboneError
    from ntlbg_model.selection.image_text import EncoderError
    from ntlbg_model.streaming_qa.videoqa import NTLBGVideoQA
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.results.attempts import config_of_checkpoint

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if not model.strip():
        raise UserError("--model: is empty")
    try:
        config = config_of_checkpoint(Path(model))
        return NTLBGVideoQA.from_pretrained(
            model,
            config=config,
            base=config.model.base_model if config else None,
            cache=workspace.cache,
        )
    except (BackboneError, EncoderError) as error:
        raise UserError(str(error).replace("model.base_model", "--model", 1)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"--model: {model}: {why}") from None


def _print(answer: "Answer", options: tuple[str, ...], strip: Path | None) -> None:
    from ntlbg_service.report.answer_strip import best_pairs, clock

    click.echo(f"{answer.text}  ({answer.confidence:.0%})")
    if answer.options:
        ranked = sorted(zip(answer.options, options, strict=True), reverse=True)
        click.echo("options   " + ", ".join(f"{word} {share:.0%}" for share, word in ranked))
    click.echo(
        f"looked at {len(answer.frames)} of {answer.total_frames} frames"
        + (f" ({answer.candidates} sampled)" if answer.candidates < answer.total_frames else "")
    )
    best = best_pairs(answer, NAMED)
    if best:
        click.echo("stand out " + ", ".join(clock(answer.times[place]) for place in best))
    spent = ", ".join(f"{name.replace('_', ' ')} {s:.2f}" for name, s in answer.seconds.items())
    click.echo(f"seconds   {spent}")
    if strip is not None:
        click.echo(f"frames    {strip}")
