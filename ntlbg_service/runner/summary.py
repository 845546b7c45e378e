"""Final metrics of an attempt, from its predictions."""

import statistics
from collections.abc import Sequence

from ntlbg_model.records import Prediction


def summarise(dataset: str, predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return `<data set>/<metric>` of one evaluation set. A failed question is a wrong answer."""
    scored = [row for row in predictions if row.gold is not None]
    if not scored:
        return {}
    answered = [row for row in scored if row.failure is None]
    recalls = [row.needle_recall for row in answered if row.needle_recall is not None]
    values = {
        "accuracy": statistics.fmean(row.correct for row in scored),
        "questions": float(len(scored)),
        "failed_questions": float(len(scored) - len(answered)),
    }
    if answered:
        values["seconds_per_question"] = statistics.median(row.seconds for row in answered)
        values["visual_tokens"] = statistics.fmean(row.visual_tokens for row in answered)
    if recalls:
        values["needle_recall"] = statistics.fmean(recalls)
    return {f"{dataset}/{name}": value for name, value in values.items()}
