"""One picture of memory: the peak of each category on each kind of GPU, item by item."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ntlbg_service.domain.fitting.analysis import TUNINGS, Cell
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.report.figures import LIGHT, dress

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
"""Parts of a bar, from the left, and the items of a footprint that each stands for."""
TITLES = {"lora": "LoRA", "full": "Full tuning"}
DOTS_PER_INCH = 110
BAR = 0.8
"""Height of a bar; categories are 1 apart."""
GAP = 0.7
"""Between kinds of GPU."""
NOTE = (
    "Each bar: one GPU's predicted peak as a share of its limit (97 % of the card), with the fit's "
    "settings: micro-batch x accumulation x GPUs; ckpt: activations computed again; Z2, Z3: "
    "DeepSpeed's stage; offload: states in host memory."
)


def draw_memory(cells: Sequence[Cell], file: Path) -> None:
    """Draw the cells into `file`, whose ending says the format."""
    places = _places(cells)
    rows = max(places.values()) + 1
    figure = Figure(figsize=(15, 1.6 + 0.24 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(TUNINGS), sharey=True)
    for axes, tuning in zip(panels, TUNINGS, strict=True):
        dress(axes, LIGHT)
        _panel(axes, [cell for cell in cells if cell.tuning == tuning], places)
        axes.set_title(TITLES[tuning], loc="left", color=LIGHT.ink, fontsize=12, weight="bold")
    _names(panels[0], places)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=len(labels), frameon=False,
        fontsize=10, labelcolor=LIGHT.ink, handlelength=1.2, columnspacing=1.3,
    )  # fmt: skip
    figure.supxlabel(NOTE, fontsize=9, color=LIGHT.muted, x=0.01, ha="left")
    figure.savefig(file, dpi=DOTS_PER_INCH, metadata=METADATA[file.suffix])


METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""By ending: without the time of drawing, so that the same numbers are the same file."""


def _places(cells: Sequence[Cell]) -> dict[tuple[str, str], float]:
    """Height of each kind's categories: the smallest card on top."""
    kinds = sorted({(cell.profile.usable_gib, cell.profile.name) for cell in cells})
    names = list(dict.fromkeys(cell.category for cell in cells))
    return {
        (kind, name): at * (len(names) + GAP) + nth
        for at, (_, kind) in enumerate(kinds)
        for nth, name in enumerate(names)
    }


def _names(axes: Axes, places: Mapping[tuple[str, str], float]) -> None:
    """Categories beside the bars, their kind of GPU in front of the first."""
    axes.set_yticks(list(places.values()), [name for _, name in places])
    axes.set_ylim(max(places.values()) + 0.7, -0.7)
    kinds = {kind: place for (kind, _), place in reversed(list(places.items()))}
    for kind, place in kinds.items():
        axes.annotate(
            kind, (0, place), xytext=(-92, 0), textcoords="offset points", ha="right",
            va="center", fontsize=10, weight="bold", color=LIGHT.ink, annotation_clip=False,
        )  # fmt: skip


def _panel(axes: Axes, cells: Sequence[Cell], places: Mapping[tuple[str, str], float]) -> None:
    fits = [(cell, cell.found) for cell in cells if isinstance(cell.found, Fit)]
    at = [places[cell.profile.name, cell.category] for cell, _ in fits]
    left = [0.0] * len(fits)
    for nth, (label, items) in enumerate(ITEMS):
        widths = [
            sum(found.memory.get(item, 0.0) for item in items) / found.limit_gib
            for _, found in fits
        ]
        axes.barh(
            at, widths, BAR, left, color=LIGHT.series[nth], label=label,
            edgecolor="white", linewidth=0.3,
        )  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for cell in cells:
        _told(axes, cell, places[cell.profile.name, cell.category])
    axes.axvline(1.0, color=LIGHT.ink, lw=1.4, label="limit")
    axes.set_xlim(0, 1.8)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", visible=False)


def _told(axes: Axes, cell: Cell, place: float) -> None:
    """What a bar is in GiB and how it came to fit, beyond the limit."""
    found = cell.found
    fits = isinstance(found, Fit)
    axes.annotate(
        _how(found) if isinstance(found, Fit) else "does not fit", (1.02, place), va="center",
        fontsize=8.5, color=LIGHT.ink if fits else LIGHT.series[6],
    )  # fmt: skip


def _how(found: Fit) -> str:
    """'28.3 of 30.7 GiB  2x16x1 ckpt Z3 offload'."""
    words = [f"{found.micro_batch}x{found.accumulation}x{found.workers}"]
    words += ["ckpt"] if found.gradient_checkpointing else []
    words += [f"Z{found.zero_stage}"] if found.zero_stage else []
    words += ["offload"] if found.offload != "none" else []
    return f"{found.predicted_gib:.1f} of {found.limit_gib:.1f} GiB   {' '.join(words)}"
