"""Numbers and findings in words, the same in the terminal and in the HTML report."""

from ntlbg_model.statistics import Estimate, Interval
from ntlbg_service.domain.measures import Measure
from ntlbg_service.report.comparison import SIGNIFICANCE, GroupComparison, Row

NOT_MEASURED = "not measured"
NOT_ESTIMABLE = "not estimable"
MINUS = "−"


def percent(share: float | None) -> str:
    """0.719 -> '71.9 %'."""
    return NOT_MEASURED if share is None else f"{100 * share:.1f} %"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points: -0.052 -> '−5.2'."""
    if difference is None:
        return NOT_MEASURED
    return f"{100 * difference:+.1f}".replace("-", MINUS).replace("+0.0", "0.0")


def percent_interval(interval: Interval | None) -> str:
    """'63.0 to 80.1'."""
    if interval is None:
        return NOT_ESTIMABLE
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def p_value(p: float | None) -> str:
    """'0.034', '< 0.001'."""
    if p is None:
        return NOT_ESTIMABLE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def quantity(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A number with thousands apart: '12 345 MiB'."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}") + (unit and f" {unit}")


def seconds(value: float | None) -> str:
    """Wall time with three significant figures or so: '0.042 s', '12.3 s'."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.3f} s" if value < 1 else quantity(value, "s", 1)


def runs(row: Row) -> str:
    """'3', or '2 of 3' where a run has not finished."""
    return str(row.runs_wanted) if row.complete else f"{row.runs_finished} of {row.runs_wanted}"


def amount(measure: Measure, value: float | None) -> str:
    """A value of a measure: '71.9 %', '0.042 s', '1 066 MiB'."""
    if value is None or measure.is_share:
        return percent(value)
    return seconds(value) if measure.unit == "s" else quantity(value, measure.unit)


def gap(measure: Measure, value: float) -> str:
    """A difference of a measure, with its sign and without its unit: '−5.2', '+0.013'."""
    if measure.is_share:
        return points(value)
    text = f"{value:+,.{3 if measure.unit == 's' else 0}f}".replace(
        ",", "\N{NARROW NO-BREAK SPACE}"
    )
    return text.replace("-", MINUS) if text.strip("+-0.") else text.lstrip("+-")


def gap_unit(measure: Measure) -> str:
    """Of a difference."""
    return "points" if measure.is_share else measure.unit


def amounts(measure: Measure, interval: Interval | None) -> str:
    """'63.0 to 80.1', '0.041 s to 0.046 s'."""
    if interval is None or measure.is_share:
        return percent_interval(interval)
    return f"{amount(measure, interval.low)} to {amount(measure, interval.high)}"


def gaps(measure: Measure, interval: Interval | None) -> str:
    """'−9.1 to +1.2'."""
    if interval is None:
        return NOT_ESTIMABLE
    return f"{gap(measure, interval.low)} to {gap(measure, interval.high)}"


def estimate_text(measure: Measure, seen: Estimate) -> str:
    """'71.9 % (63.0 to 80.1)'."""
    if seen.mean is None:
        return NOT_MEASURED
    return f"{amount(measure, seen.mean)} ({amounts(measure, seen.interval)})"


def seed_text(measure: Measure, value: float | None) -> str:
    """The value of one seed, without its unit: '71.9'; '–' where there is none."""
    if value is None:
        return "–"
    if measure.is_share:
        return f"{100 * value:.1f}"
    return f"{value:.3f}" if measure.unit == "s" else quantity(value)


def difference_text(measure: Measure, row: Row) -> str:
    """The difference with its interval; the baseline says that it is one."""
    if row.is_baseline:
        return "baseline"
    if row.difference is None or row.difference.difference is None:
        return NOT_MEASURED
    return f"{gap(measure, row.difference.difference)} ({gaps(measure, row.difference.interval)})"


def p_text(row: Row) -> str:
    """The corrected p; empty where nothing was compared."""
    if row.is_baseline:
        return ""
    compared = row.difference is not None and row.difference.difference is not None
    return p_value(row.corrected_p) if compared else NOT_MEASURED


def warnings(group: GroupComparison, dataset: str) -> list[str]:
    """What a reader must know before the numbers: mixed arithmetic, gaps, failures."""
    found = []
    if group.mixed_numerics:
        found.append(
            f"Mixed numerics: these runs computed in {' and '.join(group.numerics)}. A difference "
            "may come from the arithmetic instead of the variant."
        )
    found += [
        f"Damaged: {line.variant} seed {line.run.seed}: {', '.join(line.run.damaged)}."
        for line in group.runs
        if line.run.damaged
    ]
    for row in group.on(dataset):
        if not row.complete:
            states = sorted(
                {line.run.state for line in group.runs if line.variant == row.variant}
                - {"finished"}
            )
            found.append(
                f"Unfinished: {row.variant} has {row.runs_finished} of {row.runs_wanted} runs "
                f"({', '.join(states)})."
            )
        found.extend(_gaps(row, group.measure))
    return found


def finding(group: GroupComparison, dataset: str) -> str:
    """One plain sentence: what this table shows, and what it does not."""
    rows = group.on(dataset)
    baseline = next(row for row in rows if row.is_baseline)
    if baseline.judged.mean is None:
        return f"The baseline {group.baseline} has no result on {dataset}: nothing is compared yet."
    opening = f"On {dataset}, {group.baseline} (the baseline) {_result(baseline, group.measure)}"
    compared = [row for row in rows if row.corrected_p is not None]
    if not compared:
        return f"{opening}; no difference to it can be tested."
    clear = [_in_words(row, group.measure) for row in compared if row.significant]
    level = f"after correction for {_counted(group.comparisons, 'comparison')}"
    if not clear:
        return (
            f"{opening}; no variant differs significantly from it {level}, which is no proof that "
            "they are equal: the intervals say how large a difference may still be."
        )
    rest = len(compared) - len(clear)
    unclear = f"; {_counted(rest, 'other variant')} cannot be told apart from it" if rest else ""
    return f"{opening}; {_listed(clear)} (p below {SIGNIFICANCE} {level}){unclear}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _result(row: Row, measure: Measure) -> str:
    """What a row comes to: 'answers 71.9 % of 48 questions about 12 videos correctly'."""
    seen, value = row.judged, amount(measure, row.judged.mean)
    about = f"{_counted(seen.questions, 'question')} about {_counted(seen.videos, 'video')}"
    return {
        "accuracy": f"answers {value} of {about} correctly",
        "needle_recall": f"has a needle recall of {value} over {about}",
        "visual_tokens": f"has {value} per question over {about}",
        "seconds_per_question": f"takes {value} per question over {about}",
        "peak_memory_mib": f"needs {value} at its peak over {_counted(seen.questions, 'run')}",
    }[measure.metric]


def _in_words(row: Row, measure: Measure) -> str:
    assert row.difference is not None and row.difference.difference is not None
    found = row.difference.difference
    unfinished = "" if row.complete else f" (with {runs(row)} runs)"
    size = f"{gap(measure, abs(found)).lstrip('+')} {gap_unit(measure)}"
    good = (found < 0) == measure.lower_is_better
    if measure.is_share:
        return f"{row.variant}{unfinished} is {size} {'better' if good else 'worse'}"
    return f"{row.variant}{unfinished} is {size} {'below' if good else 'above'} the baseline"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _gaps(row: Row, measure: Measure) -> list[str]:
    found = []
    noun = "run" if measure.by_run else "question"
    if 0 < row.judged.questions < row.questions:
        found.append(
            f"{row.variant} is measured on {row.judged.questions} of "
            f"{_counted(row.questions, noun)}."
        )
    shared = row.difference.questions if row.difference else row.questions
    if 0 < shared < row.judged.questions:
        found.append(f"{row.variant} shares {_counted(shared, noun)} with the baseline.")
    if row.unscored:
        found.append(
            f"{row.variant}: not scored, since the benchmark keeps the answer secret: "
            f"{_counted(row.unscored, 'question')}."
        )
    if row.failed:
        names = list(dict.fromkeys(f"{f.question_id} ({f.failure})" for f in row.failed))
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        found.append(
            f"{row.variant} failed on {_counted(len(names), 'question')}, counted as wrong"
            f"{'' if measure.metric == 'accuracy' else ' in its accuracy'}: "
            f"{'; '.join(names[:5])}{more}."
        )
    return found
