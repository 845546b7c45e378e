"""How a figure is drawn: once for a light page, once for a dark one, as PNG in the page itself."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PIXELS_PER_INCH = 200


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of one page."""

    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]


LIGHT = Theme(
    ink="#1c2430",
    muted="#5d6876",
    grid="#dfe3e8",
    series=("#0060a8", "#c24e00", "#00805f", "#9a3f86", "#7a6200", "#2f8fc4", "#b3263a", "#555e6b"),
)
DARK = Theme(
    ink="#e8ecf1",
    muted="#9aa5b1",
    grid="#313a45",
    series=("#62b5f0", "#ff9a57", "#3fcf9f", "#e08fcd", "#d9bf45", "#9fd8fb", "#ff8291", "#b8c1cc"),
)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One figure of the page."""

    title: str
    light: str
    """A data URL."""
    dark: str
    alt: str
    """What it shows, in words."""
    note: str
    """How to read it."""
    width: int
    height: int


Draw = Callable[[Axes, Theme], None]


def plot(title: str, draw: Draw, *, alt: str, note: str, height: float = 3.2) -> Plot:
    """Draw a figure of 5.4 inches' width and the given height for both pages."""
    size = (5.4, height)
    return Plot(
        title=title,
        light=_png(draw, LIGHT, size),
        dark=_png(draw, DARK, size),
        alt=alt,
        note=note,
        width=int(size[0] * 100),
        height=int(size[1] * 100),
    )


def _png(draw: Draw, theme: Theme, size: tuple[float, float]) -> str:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    dress(axes, theme)
    file = BytesIO()
    # A name may have dollar signs; it is no formula.
    with rc_context({"text.parse_math": False}):
        draw(axes, theme)
        figure.savefig(
            file, format="png", dpi=PIXELS_PER_INCH, transparent=True, metadata={"Software": None}
        )
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()


def dress(axes: Axes, theme: Theme) -> None:
    """Give axes the page's look: a quiet grid, no frame."""
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=10, length=0)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.ink)
        label.set_fontsize(10)
    axes.grid(visible=True, color=theme.grid, lw=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
