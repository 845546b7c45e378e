"""PNG of the frames that an answer is based on: a timeline with scores, then the frames."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ntlbg_model.config import PAIR
from ntlbg_model.data.stream import Picture
from ntlbg_model.data.video import probe, read_frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ntlbg_model.streaming_qa.videoqa import Answer

SHOWN = 32
"""Number of frames in the picture, one per pair."""
COLUMNS = 8
HEIGHT = 144
"""Height of a frame in the picture, in pixels."""
MARKED = 6
"""Number of frames with a thick border, those with the highest scores."""
BLUE, ORANGE = "#0072b2", "#d55e00"


def draw_answer(answer: "Answer", video: Path, question: str, path: Path) -> None:
    """Write the strip of an answer to `path`. Raises VideoError, OSError.

    At most `SHOWN` pairs are drawn, those with the highest scores, or evenly spread ones where
    the selection has no scores; of each the frame with more contrast. The highest `MARKED` have a
    thick border and a star.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = sorted(best_pairs(answer, SHOWN) or _spread(len(answer.frames) // PAIR))
    rows = math.ceil(len(shown) / COLUMNS)
    figure = Figure(figsize=(14, 1.6 + 1.75 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    said = f"{answer.text}  ({answer.confidence:.0%})"
    drawn = f"{len(shown)} of {len(answer.frames) // PAIR} kept pairs"
    title = f"{question}   {said}\n{video.name}, {drawn}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    grid = figure.add_gridspec(rows + 1, COLUMNS, height_ratios=(0.55, *[1.0] * rows))
    marked = set(best_pairs(answer, MARKED))
    line = figure.add_subplot(grid[0, :])
    _timeline(line, answer, marked)
    for number, (place, picture) in enumerate(_pictures(video, answer, shown)):
        axis = figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS])
        axis.imshow(picture)
        best = place in marked
        axis.set_title(clock(answer.times[place]) + (" *" if best else ""), fontsize=8)
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(linewidth=3 if best else 0.3, color=ORANGE if best else "black")
    figure.savefig(path, dpi=110, format="png")


def _pictures(video: Path, answer: "Answer", shown: list[int]) -> Iterator[tuple[int, Picture]]:
    """Yield the places of the pairs, each with the frame of the pair that has more contrast."""
    info = probe(video)
    width = max(1, round(HEIGHT * info.width / info.height))
    frames = [answer.frames[place + half] for place in shown for half in range(PAIR)]
    pixels = read_frames(video, frames, (HEIGHT, width)).pixels
    for place, pair in zip(shown, pixels.reshape(-1, PAIR, HEIGHT, width, 3), strict=True):
        yield place, pair[int(pair.std(axis=(1, 2, 3)).argmax())]


def best_pairs(answer: "Answer", count: int) -> list[int]:
    """Return places in `answer.frames` of the first frames of the best-scored pairs.

    Highest first; empty where the selection has no scores.
    """
    if len(set(answer.scores)) < 2:
        return []
    firsts = range(0, len(answer.frames), PAIR)
    return sorted(firsts, key=lambda place: -answer.scores[place])[:count]


def clock(seconds: float) -> str:
    """Format seconds as m:ss.s, or h:mm:ss.s."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    tail = f"{rest // 10:02d}.{rest % 10}"
    if minutes < 60:
        return f"{minutes}:{tail}"
    return f"{minutes // 60}:{minutes % 60:02d}:{tail}"


def _spread(pairs: int) -> list[int]:
    """Return the places of at most `SHOWN` pairs, evenly spread."""
    kept = min(pairs, SHOWN)
    return [PAIR * ((2 * place + 1) * pairs // (2 * kept)) for place in range(kept)]


def _timeline(line: "Axes", answer: "Answer", marked: set[int]) -> None:
    """Draw a mark at each kept pair, as high as its score."""
    least, most = min(answer.scores), max(answer.scores)
    for place in range(0, len(answer.frames), PAIR):
        share = (answer.scores[place] - least) / (most - least) if most > least else 1.0
        colour = ORANGE if place in marked else BLUE
        line.vlines(answer.times[place], 0, 0.15 + 0.85 * share, color=colour, linewidth=1.5)
    line.set(xlim=(0, max(answer.times[-1], 1e-3)), ylim=(0, 1.05), yticks=[])
    line.set_ylabel("score", fontsize=8)
    line.set_xlabel("seconds", fontsize=8)
    line.tick_params(labelsize=7)
