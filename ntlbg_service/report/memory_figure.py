"""One picture of memory: the peak of each category on each kind of GPU, item by item."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntlbg_service.domain.analysis import TUNINGS, Cell
from ntlbg_service.domain.fit import Fit
from ntlbg_service.report.figures import LIGHT, PIXELS_PER_INCH, Theme, dress

ITEMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("weights", ("parameters",)),
    ("optimizer", ("optimizer",)),
    ("gradients", ("gradients",)),
    ("activations", ("activations",)),
    ("temporaries, logits", ("temporaries", "logits")),
    ("vision", ("vision",)),
    ("communication", ("communication",)),
    ("allocator, driver", ("reserve", "context", "vision_cache")),
)
"""Parts of a bar, from below, and the items of a footprint that each stands for."""
TITLES = {"lora": "LoRA", "full": "Full tuning"}
BAR = 0.26
"""Width of a bar; kinds of GPU are 1 apart."""


def draw_memory(cells: Sequence[Cell], file: Path) -> None:
    """Draw the cells into `file`, whose ending says the format."""
    figure = Figure(figsize=(13, 9), layout="constrained", facecolor="white")
    kinds = sorted({cell.profile.name: cell.profile.usable_gib for cell in cells}.items(), key=_by)
    axes = figure.subplots(len(TUNINGS), 1)
    for part, tuning in zip(axes, TUNINGS, strict=True):
        dress(part, LIGHT)
        _panel(part, [cell for cell in cells if cell.tuning == tuning], [name for name, _ in kinds])
        part.set_title(TITLES[tuning], loc="left", color=LIGHT.ink, fontsize=12, weight="bold")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=len(labels), frameon=False,
        fontsize=9.5, labelcolor=LIGHT.ink, handlelength=1.2, columnspacing=1.3,
    )  # fmt: skip
    figure.savefig(file, dpi=PIXELS_PER_INCH, metadata=_metadata(file))


def _by(kind: tuple[str, float]) -> tuple[float, str]:
    return kind[1], kind[0]


def _metadata(file: Path) -> dict[str, str | None]:
    """Without the time of drawing, so that the same numbers are the same file."""
    return {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[
        file.suffix
    ]


def _panel(axes: Axes, cells: Sequence[Cell], kinds: Sequence[str]) -> None:
    names = list(dict.fromkeys(cell.category for cell in cells))
    places = {
        (kind, name): at + (nth - (len(names) - 1) / 2) * (BAR + 0.04)
        for at, kind in enumerate(kinds)
        for nth, name in enumerate(names)
    }
    reach = (BAR + 0.04) * len(names) / 2 + 0.02
    for at, kind in enumerate(kinds):
        limit = _limit(cells, kind)
        if limit is not None:
            axes.plot(
                [at - reach, at + reach], [limit, limit], color=LIGHT.ink, lw=1.6,
                label="limit" if at == 0 else None, solid_capstyle="butt",
            )  # fmt: skip
    _bars(axes, cells, places)
    for cell in cells:
        _told(axes, cell, places[cell.profile.name, cell.category])
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.55, len(kinds) - 0.45)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("predicted peak, GiB")


def _limit(cells: Sequence[Cell], kind: str) -> float | None:
    fits = [cell.found for cell in cells if cell.profile.name == kind]
    return next((found.limit_gib for found in fits if isinstance(found, Fit)), None)


def _bars(axes: Axes, cells: Sequence[Cell], places: dict[tuple[str, str], float]) -> None:
    fits = [(cell, cell.found) for cell in cells if isinstance(cell.found, Fit)]
    at = [places[cell.profile.name, cell.category] for cell, _ in fits]
    below = [0.0] * len(fits)
    for nth, (label, items) in enumerate(ITEMS):
        heights = [sum(found.memory.get(item, 0.0) for item in items) for _, found in fits]
        axes.bar(
            at, heights, BAR, below, color=LIGHT.series[nth], label=label,
            edgecolor="white", linewidth=0.3,
        )  # fmt: skip
        below = [low + height for low, height in zip(below, heights, strict=True)]


def _told(axes: Axes, cell: Cell, place: float) -> None:
    """The category below a bar, and how it fits inside or above it."""
    found, theme = cell.found, LIGHT
    top = found.predicted_gib if isinstance(found, Fit) else 0.0
    axes.annotate(
        f"{cell.category}: {_how(found) if isinstance(found, Fit) else 'does not fit'}",
        (place, top), xytext=(0, 4), textcoords="offset points", rotation=90,
        ha="center", va="bottom", fontsize=7, color=theme.ink if top else theme.muted,
    )  # fmt: skip


def _how(found: Fit) -> str:
    """'2x16x1 ckpt Z3 offload'."""
    words = [f"{found.micro_batch}x{found.accumulation}x{found.workers}"]
    words += ["ckpt"] if found.gradient_checkpointing else []
    words += [f"Z{found.zero_stage}"] if found.zero_stage else []
    words += ["offload"] if found.offload != "none" else []
    return " ".join(words)
