"""Runs as a live table: those that run first, no more than a terminal holds."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from ntlbg_service.cli.plan_words import duration
from ntlbg_service.domain.states import RunState
from ntlbg_service.results.run_status import RunStatus

SHOWN_FIRST = (
    RunState.RUNNING,
    RunState.QUEUED,
    RunState.FAILED,
    RunState.CANCELLED,
    RunState.FINISHED,
)
MIB = 1024
NAMED = 6
"""Suites that a title names."""


def table_of(
    seen: Sequence[RunStatus],
    title: str,
    rows: int,
    *,
    suites: bool = False,
    counts: Mapping[RunState, int] | None = None,
) -> Table:
    """At most `rows` of the runs, and how many more there are of each state: of those seen, or of
    `counts`. Whose they are is said where they are not all one user's."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    shared = len({each.run.submitter for each in seen}) > 1
    shown = {"suite": suites, "run": True, "user": shared}
    first = [heading for heading, is_so in shown.items() if is_so]
    for heading in (*first, "attempt", "on", "peak / predicted", "alive", "training left", "now"):
        table.add_column(heading)
    places = {state: place for place, state in enumerate(SHOWN_FIRST)}
    ordered = sorted(seen, key=lambda each: places.get(each.run.state, len(places)))
    for each in ordered[:rows]:
        run = each.run
        named = {"suite": run.suite_key, "run": run.label, "user": run.submitter}
        names = [named[heading] for heading in first]
        table.add_row(*names, *_cells(each))
    shown_rows = Counter(each.run.state for each in ordered[:rows])
    every = Counter(each.run.state for each in ordered) if counts is None else Counter(counts)
    left_out = every - shown_rows
    if left_out:
        words = ", ".join(f"{count} {state}" for state, count in left_out.items())
        table.add_row(f"and {words}")
    return table


def _cells(each: RunStatus) -> tuple[str, ...]:
    attempt = each.attempt
    return (
        str(attempt.number) if attempt else "-",
        attempt.fit.profile if attempt else "-",
        _memory(each),
        _seconds(each.heartbeat_age, "ago"),
        _seconds(each.training_left, ""),
        each.doing,
    )


def _memory(each: RunStatus) -> str:
    if each.attempt is None:
        return "-"
    predicted = each.attempt.fit.predicted_gib
    peak = "-" if each.peak_mib is None else f"{each.peak_mib / MIB:.1f}"
    return f"{peak} / {predicted:.1f} GiB"


def _seconds(seconds: float | None, word: str) -> str:
    return "-" if seconds is None else f"{duration(seconds / 3600)} {word}".rstrip()
