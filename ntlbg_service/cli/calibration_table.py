"""Predicted and measured peaks of each shape of run, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ntlbg_service.domain.fitting.calibration import Peak, by_shape


def shape_rows(peaks: Sequence[Peak]) -> list[dict[str, Any]]:
    """One row a shape, the largest prediction first. GiB."""
    rows = [
        {
            "runs": len(alike),
            "ran_out": sum(peak.ran_out for peak in alike),
            "standing_gib": alike[0].standing_gib,
            "moving_gib": alike[0].moving_gib,
            "predicted_gib": alike[0].predicted_gib,
            "lowest_gib": min(peak.measured_gib for peak in alike),
            "highest_gib": max(peak.measured_gib for peak in alike),
            "factor": max(peak.factor for peak in alike),
        }
        for alike in by_shape(peaks)
    ]
    return sorted(rows, key=lambda row: -row["predicted_gib"])


def table_of(profile: str, peaks: Sequence[Peak]) -> Table:
    """The rows as a table."""
    table = Table(title=f"{profile}, GiB", title_justify="left", box=None, pad_edge=False)
    for heading in ("runs", "predicted", "of which moves", "measured", "/ predicted", "factor"):
        table.add_column(heading, justify="right")
    for row in shape_rows(peaks):
        lowest, highest = row["lowest_gib"], row["highest_gib"]
        measured = f"{highest:.3f}" if lowest == highest else f"{lowest:.3f} to {highest:.3f}"
        short = f" ({row['ran_out']} out of memory)" if row["ran_out"] else ""
        table.add_row(
            f"{row['runs']}{short}",
            f"{row['predicted_gib']:.3f}",
            f"{row['moving_gib']:.3f}",
            measured,
            f"{highest / row['predicted_gib']:.2f}",
            f"{row['factor']:.2f}",
        )
    return table
