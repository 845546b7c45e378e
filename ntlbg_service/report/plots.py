"""The report's figures. Each says the same in words, for who cannot see it."""

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from ntlbg_service.report import wording
from ntlbg_service.report.comparison import GroupComparison
from ntlbg_service.report.figures import Plot, Theme, plot

MARKERS = "osD^vPX*<>"
"""Variants differ by marker as well as by colour."""


def outcome_plot(group: GroupComparison, dataset: str) -> Plot | None:
    """What the suite is judged by: a dot and its interval per variant, every seed as a small
    dot."""
    measure = group.measure
    rows = [row for row in group.on(dataset) if row.judged.mean is not None]
    means = [row.judged.mean for row in rows if row.judged.mean is not None]
    if not rows:
        return None

    def draw(axes: Axes, theme: Theme) -> None:
        for place, (row, mean) in enumerate(zip(rows, means, strict=True)):
            interval = row.judged.interval
            colour, marker = _look(group, row.variant, theme)
            if interval:
                axes.plot([interval.low, interval.high], [place, place], color=colour, lw=2)
            axes.plot(mean, place, marker, color=colour, ms=8, zorder=3)
            seeds = [value for _, value in row.seed_values if value is not None]
            offsets = [
                place + 0.2 + 0.2 * nth / max(1, len(seeds) - 1) for nth in range(len(seeds))
            ]
            axes.plot(seeds, offsets, ".", color=theme.muted, ms=5)
            if row.is_baseline:
                axes.axvline(mean, color=theme.muted, lw=1, ls=(0, (4, 3)), zorder=0)
        labels = [row.variant + (" (baseline)" if row.is_baseline else "") for row in rows]
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        if measure.is_share:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel(measure.words if measure.is_share else f"{measure.words}, {measure.unit}")
        axes.grid(axis="y", visible=False)

    facts = "; ".join(f"{row.variant} {wording.estimate_text(measure, row.judged)}" for row in rows)
    over = "runs" if measure.by_run else "videos"
    return plot(
        measure.words.capitalize(),
        draw,
        alt=f"{measure.words.capitalize()} with 95 % interval: {facts}.",
        note=f"Large mark: mean over seeds with its 95 % interval over {over}. Small dots: the "
        "seeds one by one. Dashed line: the baseline.",
        height=1.1 + 0.5 * len(rows),
    )


def recall_plot(group: GroupComparison, dataset: str) -> Plot | None:
    """Needle recall against accuracy."""
    rows = [
        (row, row.needle_recall.mean, row.accuracy.mean)
        for row in group.on(dataset)
        if row.needle_recall.mean is not None and row.accuracy.mean is not None
    ]
    if not rows or not (group.shows("needle_recall") and group.shows("accuracy")):
        return None

    def draw(axes: Axes, theme: Theme) -> None:
        for row, x, y in rows:
            colour, marker = _look(group, row.variant, theme)
            across, up = row.needle_recall.interval, row.accuracy.interval
            if across:
                axes.plot([across.low, across.high], [y, y], color=colour, lw=1.2)
            if up:
                axes.plot([x, x], [up.low, up.high], color=colour, lw=1.2)
            axes.plot(x, y, marker, color=colour, ms=8, label=row.variant)
        axes.set_xlabel("needle recall")
        axes.set_ylabel("accuracy")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _legend(axes, theme)

    facts = "; ".join(
        f"{row.variant} recall {wording.percent(x)}, accuracy {wording.percent(y)}"
        for row, x, y in rows
    )
    return plot(
        "Needle recall and accuracy",
        draw,
        alt=f"Needle recall against accuracy: {facts}.",
        note="Recall is the share of gold moments with at least one kept frame. Strokes are 95 % "
        "intervals over videos.",
        height=3.9,
    )


def loss_plot(group: GroupComparison) -> Plot | None:
    """Training loss of every run."""
    lines = [line for line in group.runs if line.run.loss_curve]
    if not lines:
        return None

    def draw(axes: Axes, theme: Theme) -> None:
        named = set()
        for line in lines:
            colour, marker = _look(group, line.variant, theme)
            steps, losses = zip(*line.run.loss_curve, strict=True)
            label = None if line.variant in named else line.variant
            named.add(line.variant)
            every = max(1, len(steps) // 6)
            axes.plot(
                steps, losses, color=colour, lw=1.1, alpha=0.85,
                marker=marker, ms=4, markevery=every, label=label,
            )  # fmt: skip
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("training loss")
        _legend(axes, theme)

    facts = "; ".join(
        f"{line.variant} seed {line.run.seed} ends at {line.run.loss_curve[-1][1]:.3f}"
        for line in lines
    )
    return plot(
        "Training loss",
        draw,
        alt=f"Training loss by optimizer step: {facts}.",
        note="One line per run; the seeds of a variant share colour and mark.",
        height=3.9,
    )


def memory_plot(group: GroupComparison) -> Plot | None:
    """Predicted against measured peak memory."""
    pairs = [
        (line, line.run.predicted_memory_mib, line.run.peak_memory_mib)
        for line in group.runs
        if line.run.predicted_memory_mib is not None and line.run.peak_memory_mib is not None
    ]
    if not pairs:
        return None

    def draw(axes: Axes, theme: Theme) -> None:
        named = set()
        for line, predicted, measured in pairs:
            colour, marker = _look(group, line.variant, theme)
            label = None if line.variant in named else line.variant
            named.add(line.variant)
            axes.plot(predicted, measured, marker, color=colour, ms=7, label=label)
        values = [value for _, *both in pairs for value in both if value is not None]
        margin = 0.08 * (max(values) - min(values)) or 1.0
        ends = [min(values) - margin, max(values) + margin]
        axes.plot(ends, ends, color=theme.muted, lw=1, ls=(0, (4, 3)), zorder=0)
        axes.set_xlabel("predicted peak, MiB")
        axes.set_ylabel("measured peak, MiB")
        _legend(axes, theme)

    facts = "; ".join(
        f"{line.variant} seed {line.run.seed} predicted {wording.quantity(predicted)}, measured "
        f"{wording.quantity(measured)}"
        for line, predicted, measured in pairs
    )
    return plot(
        "Memory, predicted and measured",
        draw,
        alt=f"Predicted against measured peak memory in MiB: {facts}.",
        note="On the dashed line the prediction is exact; above it, the run needed more.",
        height=3.9,
    )


def _look(group: GroupComparison, variant: str, theme: Theme) -> tuple[str, str]:
    place = group.variants.index(variant)
    return theme.series[place % len(theme.series)], MARKERS[place % len(MARKERS)]


def _legend(axes: Axes, theme: Theme) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False,
        fontsize=9, labelcolor=theme.ink, borderaxespad=0.2, handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip
