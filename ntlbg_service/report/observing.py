"""Values of each measure in a run's results: one per question, or one per run."""

from collections.abc import Callable, Mapping, Sequence

from ntlbg_model.config import Metric
from ntlbg_model.records import Prediction
from ntlbg_model.statistics import Observation, mean_over_seeds
from ntlbg_service.domain.measures import Measure
from ntlbg_service.report.results import RunResult, VariantResult

Observed = dict[str, Observation]


def observed(variant: VariantResult, dataset: str, measure: Measure) -> Observed:
    """Return a variant's values: per question the mean over its finished runs, or one per run."""
    seen = [observed_of(run, dataset, measure) for run in variant.runs if run.finished]
    if measure.by_run:
        return {key: value for run in seen for key, value in run.items()}
    return mean_over_seeds(seen)


def observed_of(run: RunResult, dataset: str, measure: Measure) -> Observed:
    """Return the values of one run, for each question that has one."""
    if measure.by_run:
        return _of_run(run)
    value = _VALUES[measure.metric]
    return {
        row.question_id: Observation(row.video_id, found)
        for row in predictions(run, dataset)
        if (found := value(row)) is not None
    }


def predictions(run: RunResult, dataset: str) -> Sequence[Prediction]:
    """Return a run's predictions on a data set."""
    return tuple(run.predictions.get(dataset, ()))


def _of_run(run: RunResult) -> Observed:
    """Return a run's value by its seed, which pairs runs; each run is a cluster, as a video is."""
    if run.peak_memory_mib is None:
        return {}
    name = f"seed {run.seed}"
    return {name: Observation(name, run.peak_memory_mib)}


def _correct(row: Prediction) -> float | None:
    """Return 0.0 also for a failed question, and None for one whose answer is secret."""
    return None if row.gold is None else float(row.correct)


def _if_answered(value: Callable[[Prediction], float | None]) -> Callable[..., float | None]:
    return lambda row: value(row) if row.failure is None else None


_VALUES: Mapping[Metric, Callable[[Prediction], float | None]] = {
    "accuracy": _correct,
    "needle_recall": lambda row: row.needle_recall,
    "visual_tokens": _if_answered(lambda row: float(row.visual_tokens)),
    "seconds_per_question": _if_answered(lambda row: row.seconds),
}
