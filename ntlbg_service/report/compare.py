"""From the results of a suite's runs to the rows of its comparison. Pure.

Only finished runs count. Variants are compared on the questions that both answered, and a row
says how many those are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from statistics import fmean, median

from ntlbg_model.data.records import Prediction
from ntlbg_model.statistics import (
    Estimate,
    Observation,
    estimate,
    holm,
    mean_over_seeds,
    paired_difference,
)
from ntlbg_service.report.comparison import (
    Comparison,
    FailedQuestion,
    GroupComparison,
    Row,
    RunLine,
)
from ntlbg_service.report.results import (
    GroupResult,
    RunFacts,
    RunResult,
    SuiteResult,
    VariantResult,
)


def compare(suite: SuiteResult) -> Comparison:
    """Compare every variant with the baseline that its group declares.

    Raises ValueError where a group's baseline is not one of its variants.
    """
    return Comparison(suite=suite.name, groups=tuple(_group(group) for group in suite.groups))


def _group(group: GroupResult) -> GroupComparison:
    baseline = next((v for v in group.variants if v.name == group.baseline), None)
    if baseline is None:
        names = ", ".join(variant.name for variant in group.variants)
        raise ValueError(f"group {group.name}: baseline {group.baseline} is not among {names}")
    rows = [
        _row(variant, baseline, dataset, _questions(group, dataset))
        for dataset in _datasets(group.variants)
        for variant in group.variants
    ]
    corrected = holm([row.difference.p_value if row.difference else None for row in rows])
    runs = [(variant.name, run) for variant in group.variants for run in variant.runs]
    numerics = {run.numerics for _, run in runs if run.finished and run.numerics}
    return GroupComparison(
        name=group.name,
        baseline=group.baseline,
        rows=tuple(replace(row, corrected_p=p) for row, p in zip(rows, corrected, strict=True)),
        comparisons=sum(p is not None for p in corrected),
        numerics=tuple(sorted(numerics)),
        runs=tuple(RunLine(variant=name, run=_facts(run)) for name, run in runs),
    )


def _row(variant: VariantResult, baseline: VariantResult, dataset: str, questions: int) -> Row:
    finished = [run for run in variant.runs if run.finished]
    answered = [p for run in finished for p in _predictions(run, dataset) if p.failure is None]
    accuracy = _accuracy(variant, dataset)
    is_baseline = variant.name == baseline.name
    return Row(
        variant=variant.name,
        dataset=dataset,
        is_baseline=is_baseline,
        runs_finished=len(finished),
        runs_wanted=len(variant.runs),
        accuracy=estimate(accuracy),
        seed_accuracies=tuple((run.seed, _seed_accuracy(run, dataset)) for run in variant.runs),
        difference=None
        if is_baseline
        else paired_difference(accuracy, _accuracy(baseline, dataset)),
        corrected_p=None,
        needle_recall=estimate(
            mean_over_seeds([_needle_recall(_predictions(run, dataset)) for run in finished])
        ),
        categories=_categories(finished, accuracy, dataset),
        visual_tokens=fmean(p.visual_tokens for p in answered) if answered else None,
        seconds=median(p.seconds for p in answered) if answered else None,
        questions=questions,
        unscored=sum(p.gold is None for p in _predictions(finished[0], dataset)) if finished else 0,
        failed=tuple(
            FailedQuestion(question_id=p.question_id, seed=run.seed, failure=p.failure)
            for run in finished
            for p in _predictions(run, dataset)
            if p.failure is not None
        ),
    )


def _datasets(variants: Sequence[VariantResult]) -> list[str]:
    declared = [name for variant in variants for name in variant.datasets]
    measured = [name for variant in variants for run in variant.runs for name in run.predictions]
    return list(dict.fromkeys(declared + measured))


def _questions(group: GroupResult, dataset: str) -> int:
    finished = [run for variant in group.variants for run in variant.runs if run.finished]
    return len({question for run in finished for question in _correct(_predictions(run, dataset))})


def _predictions(run: RunResult, dataset: str) -> tuple[Prediction, ...]:
    return tuple(run.predictions.get(dataset, ()))


def _accuracy(variant: VariantResult, dataset: str) -> dict[str, Observation]:
    return mean_over_seeds(
        [_correct(_predictions(run, dataset)) for run in variant.runs if run.finished]
    )


def _correct(predictions: Iterable[Prediction]) -> dict[str, Observation]:
    return {
        p.question_id: Observation(p.video_id, float(p.correct))
        for p in predictions
        if p.gold is not None
    }


def _needle_recall(predictions: Iterable[Prediction]) -> dict[str, Observation]:
    return {
        p.question_id: Observation(p.video_id, p.needle_recall)
        for p in predictions
        if p.needle_recall is not None
    }


def _seed_accuracy(run: RunResult, dataset: str) -> float | None:
    if not run.finished:
        return None
    correct = _correct(_predictions(run, dataset))
    return fmean(seen.value for seen in correct.values()) if correct else None


def _categories(
    finished: Sequence[RunResult], accuracy: dict[str, Observation], dataset: str
) -> tuple[tuple[str, Estimate], ...]:
    if not finished:
        return ()
    members: dict[str, dict[str, Observation]] = {}
    for p in _predictions(finished[0], dataset):
        if p.question_id in accuracy:
            members.setdefault(p.category, {})[p.question_id] = accuracy[p.question_id]
    return tuple((name, estimate(members[name])) for name in sorted(members))


def _facts(run: RunResult) -> RunFacts:
    return RunFacts(**{item.name: getattr(run, item.name) for item in fields(RunFacts)})
