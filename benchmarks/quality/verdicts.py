"""From answers to what may be said: accuracies, paired differences, corrected p-values."""

from dataclasses import dataclass
from typing import Any

from ntlbg_model.statistics import Observation, estimate, holm, paired_difference

Results = dict[tuple[str, int, str], dict[str, list["Answered"]]]
"""By split, frames and budget: each method's answers, in the same order."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One question answered from one selection."""

    question_id: str
    video_id: str
    category: str
    correct: bool
    recall: float | None


def endpoint(
    results: Results, primary: tuple[str, int, str], learned: str, oracle: str
) -> dict[str, Any]:
    """The primary comparisons (uncorrected, as declared) and all others (Holm, one family)."""
    tables = [_table(key, methods, learned) for key, methods in results.items()]
    secondary = [
        row
        for table in tables
        if (table["split"], table["frames"], table["budget"]) != primary
        for row in table["methods"]
        if row["p"] is not None
    ]
    for row, corrected in zip(secondary, holm([row["p"] for row in secondary]), strict=True):
        row["holm_p"] = corrected
    found = next(t for t in tables if (t["split"], t["frames"], t["budget"]) == primary)
    by_name = {row["method"]: row for row in found["methods"]}
    return {
        "primary": {
            "setting": primary,
            "p": {name: row["p"] for name, row in by_name.items() if row["p"] is not None},
            "points_below_oracle": -100 * by_name[oracle]["learned_minus_this"],
        },
        "tables": tables,
    }


def _table(
    key: tuple[str, int, str], methods: dict[str, list[Answered]], learned: str
) -> dict[str, Any]:
    split, frames, budget = key
    mine = _observations(methods[learned])
    questions = len(methods[learned])
    return {
        "split": split,
        "frames": frames,
        "budget": budget,
        "questions": questions,
        "videos": len({row.video_id for row in methods[learned]}),
        "methods": [_row(name, rows, mine, name == learned) for name, rows in methods.items()],
    }


def _row(
    name: str, rows: list[Answered], mine: dict[str, Observation], itself: bool
) -> dict[str, Any]:
    seen = _observations(rows)
    found = estimate(seen)
    difference = None if itself else paired_difference(mine, seen)
    recalls = [row.recall for row in rows if row.recall is not None]
    categories = sorted({row.category for row in rows})
    interval = None if found.interval is None else [found.interval.low, found.interval.high]
    return {
        "method": name,
        "accuracy": found.mean,
        "interval": interval,
        "recall": sum(recalls) / len(recalls),
        "by_category": {c: _share([r for r in rows if r.category == c]) for c in categories},
        "global_interval": _interval([row for row in rows if row.category == "global"]),
        "learned_minus_this": None if difference is None else difference.difference,
        "difference_interval": None
        if difference is None or difference.interval is None
        else [difference.interval.low, difference.interval.high],
        "p": None if difference is None else difference.p_value,
    }


def _observations(rows: list[Answered]) -> dict[str, Observation]:
    return {row.question_id: Observation(row.video_id, float(row.correct)) for row in rows}


def _share(rows: list[Answered]) -> float:
    return sum(row.correct for row in rows) / len(rows)


def _interval(rows: list[Answered]) -> list[float] | None:
    found = estimate(_observations(rows)).interval
    return None if found is None else [found.low, found.high]


def print_table(record: dict[str, Any]) -> None:
    """What a person reads."""
    for table in record["tables"]:
        print(
            f"\n{table['split']}, {table['frames']} frames, {table['budget']} kept: "
            f"{table['questions']} questions about {table['videos']} videos"
        )
        print(
            "  method          accuracy % (95 %)   recall   learned minus this       p    by type"
        )
        for row in table["methods"]:
            low, high = row["interval"] or (0, 0)
            types = " ".join(f"{c[:4]} {v:.2f}" for c, v in row["by_category"].items())
            gain = row["learned_minus_this"]
            against = "" if gain is None else f"{100 * gain:+6.1f} points"
            p = row.get("holm_p", row["p"])
            print(
                f"  {row['method']:15} {100 * row['accuracy']:5.1f} "
                f"({100 * low:4.1f} to {100 * high:4.1f})   {row['recall']:.3f}   {against:18} "
                f"{'' if p is None else format(p, '.4f'):>7}   {types}"
            )
    primary = record["primary"]
    print(f"\nprimary endpoint {primary['setting']}: p uncorrected, all others Holm")
    print(f"below the oracle by {primary['points_below_oracle']:.1f} points")
