"""The frames that one run kept, as a PNG for MLflow."""

from collections.abc import Sequence
from pathlib import Path

from ntlbg_service.report.strips import SHOWN, FrameStrip, shown_frames


def draw_kept_frames(strips: Sequence[FrameStrip], path: Path) -> None:
    """One band a strip: its question, a timeline of kept and gold frames, thumbnails in time.

    Gold frames have a thick border and a label, so that they are visible without colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 2.1 * len(strips)), layout="constrained")
    FigureCanvasAgg(figure)
    bands = figure.subfigures(len(strips), 1, squeeze=False)
    for (band,), strip in zip(bands, strips, strict=True):
        _draw(band, strip)
    figure.savefig(path, dpi=110)


def _draw(band: "object", strip: FrameStrip) -> None:
    from matplotlib.figure import SubFigure

    assert isinstance(band, SubFigure)
    (kept,) = strip.variants.values()
    answer = "failed" if kept.answer is None else strip.candidates[kept.answer]
    right = "" if strip.gold is None else f", right is {strip.candidates[strip.gold]}"
    band.suptitle(
        f"{strip.question}  answered {answer}{right}",
        fontsize=9,
        x=0.01,
        ha="left",
        parse_math=False,
    )
    axes = band.subplots(2, SHOWN, height_ratios=(1, 6))
    grid = axes[0, 0].get_gridspec()
    for axis in axes[0]:
        axis.remove()
    line = band.add_subplot(grid[0, :])
    line.vlines(list(strip.gold_frames), 0, 1, color="#d55e00", linewidth=4, label="gold")
    line.vlines(list(kept.frames), 0, 0.6, color="#0072b2", linewidth=1, label="kept")
    line.set(xlim=(0, strip.total_frames), ylim=(0, 1), yticks=[])
    line.tick_params(labelsize=6)
    gold = set(strip.gold_frames)
    shown = shown_frames(kept, gold)
    for axis, frame in zip(axes[1], shown, strict=False):
        axis.imshow(kept.thumbnails[frame])
        axis.set_title(f"{frame} gold" if frame in gold else str(frame), fontsize=7)
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(linewidth=3 if frame in gold else 0.3)
    for axis in axes[1, len(shown) :]:
        axis.remove()
