"""From the results of a suite's runs to the rows of its comparison. Pure.

Only finished runs count. Variants are compared on the questions that both answered, and a row
says how many those are.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from statistics import fmean, median

from ntlbg_model.config import Metric
from ntlbg_model.statistics import (
    Estimate,
    Observation,
    estimate,
    holm,
    paired_difference,
)
from ntlbg_service.domain.measures import MEASURES, Measure
from ntlbg_service.report.comparison import (
    Comparison,
    FailedQuestion,
    GroupComparison,
    Row,
    RunLine,
)
from ntlbg_service.report.observing import observed, observed_of, predictions
from ntlbg_service.report.results import (
    GroupResult,
    RunFacts,
    RunResult,
    SuiteResult,
    VariantResult,
)

ACCURACY = MEASURES["accuracy"]


def compare(suite: SuiteResult) -> Comparison:
    """Compare every variant with the baseline that its group declares, by the suite's measure.

    Raises ValueError where a group's baseline is not one of its variants.
    """
    measure = MEASURES[suite.metric]
    groups = tuple(_group(group, measure) for group in suite.groups)
    return Comparison(suite=suite.name, measure=measure, groups=groups)


def _group(group: GroupResult, measure: Measure) -> GroupComparison:
    baseline = next((v for v in group.variants if v.name == group.baseline), None)
    if baseline is None:
        names = ", ".join(variant.name for variant in group.variants)
        raise ValueError(f"group {group.name}: baseline {group.baseline} is not among {names}")
    rows = [
        _row(variant, baseline, dataset, measure, _number(group, dataset, measure))
        for dataset in _datasets(group.variants)
        for variant in group.variants
    ]
    # What is measured by run is the same on every data set: it is compared once.
    once = len(group.variants) if measure.by_run else len(rows)
    corrected = holm([row.difference.p_value if row.difference else None for row in rows[:once]])
    runs = [(variant.name, run) for variant in group.variants for run in variant.runs]
    numerics = {run.numerics for _, run in runs if run.finished and run.numerics}
    return GroupComparison(
        name=group.name,
        baseline=group.baseline,
        measure=measure,
        metrics=_beside(group, measure),
        rows=tuple(
            replace(row, corrected_p=corrected[place % once]) for place, row in enumerate(rows)
        ),
        comparisons=sum(p is not None for p in corrected),
        numerics=tuple(sorted(numerics)),
        runs=tuple(RunLine(variant=name, run=_facts(run)) for name, run in runs),
    )


def _beside(group: GroupResult, measure: Measure) -> tuple[Metric, ...]:
    """What is shown beside the measure. A run's own has a prediction, which is shown there."""
    asked = {name for variant in group.variants for name in variant.metrics}
    shown = asked | {measure.metric} if measure.by_run else asked - {measure.metric}
    return tuple(name for name in MEASURES if name in shown)


def _row(
    variant: VariantResult, baseline: VariantResult, dataset: str, measure: Measure, number: int
) -> Row:
    finished = [run for run in variant.runs if run.finished]
    answered = [p for run in finished for p in predictions(run, dataset) if p.failure is None]
    judged, accuracy = (observed(variant, dataset, each) for each in (measure, ACCURACY))
    is_baseline = variant.name == baseline.name
    return Row(
        variant=variant.name,
        dataset=dataset,
        is_baseline=is_baseline,
        runs_finished=len(finished),
        runs_wanted=len(variant.runs),
        judged=estimate(judged),
        seed_values=tuple((run.seed, _mean(run, dataset, measure)) for run in variant.runs),
        difference=None
        if is_baseline
        else paired_difference(judged, observed(baseline, dataset, measure)),
        corrected_p=None,
        accuracy=estimate(accuracy),
        needle_recall=estimate(observed(variant, dataset, MEASURES["needle_recall"])),
        categories=_categories(finished, accuracy, dataset),
        visual_tokens=fmean(p.visual_tokens for p in answered) if answered else None,
        seconds=median(p.seconds for p in answered) if answered else None,
        questions=number,
        unscored=sum(p.gold is None for p in predictions(finished[0], dataset)) if finished else 0,
        failed=tuple(
            FailedQuestion(question_id=p.question_id, seed=run.seed, failure=p.failure)
            for run in finished
            for p in predictions(run, dataset)
            if p.failure is not None
        ),
    )


def _datasets(variants: Sequence[VariantResult]) -> list[str]:
    declared = [name for variant in variants for name in variant.datasets]
    measured = [name for variant in variants for run in variant.runs for name in run.predictions]
    return list(dict.fromkeys(declared + measured))


def _number(group: GroupResult, dataset: str, measure: Measure) -> int:
    """Questions, or runs, that anything is known of."""
    finished = [run for variant in group.variants for run in variant.runs if run.finished]
    return len({key for run in finished for key in observed_of(run, dataset, measure)})


def _mean(run: RunResult, dataset: str, measure: Measure) -> float | None:
    """A run's mean of a measure."""
    seen = observed_of(run, dataset, measure) if run.finished else {}
    return fmean(each.value for each in seen.values()) if seen else None


def _categories(
    finished: Sequence[RunResult], accuracy: dict[str, Observation], dataset: str
) -> tuple[tuple[str, Estimate], ...]:
    if not finished:
        return ()
    members: dict[str, dict[str, Observation]] = {}
    for p in predictions(finished[0], dataset):
        if p.question_id in accuracy:
            members.setdefault(p.category, {})[p.question_id] = accuracy[p.question_id]
    return tuple((name, estimate(members[name])) for name in sorted(members))


def _facts(run: RunResult) -> RunFacts:
    return RunFacts(**{item.name: getattr(run, item.name) for item in fields(RunFacts)})
