import dataclasses
import json

import pytest

from ntlbg_model.config import Metric
from ntlbg_service.report.compare import compare
from ntlbg_service.report.comparison import GroupComparison, Row
from ntlbg_service.report.results import GroupResult, RunResult, SuiteResult, VariantResult
from tests.support import made_up_suite as made_up


def compared(*variants: VariantResult, metric: Metric = "accuracy") -> GroupComparison:
    """A group whose first variant is the baseline."""
    group = GroupResult(name="group", baseline=variants[0].name, variants=variants)
    return compare(SuiteResult(name="suite", groups=(group,), metric=metric)).groups[0]


def row(group: GroupComparison, variant: str, dataset: str = "needles") -> Row:
    return next(row for row in group.on(dataset) if row.variant == variant)


def with_predictions(run: RunResult, predictions: tuple) -> RunResult:
    return dataclasses.replace(run, predictions={"needles": predictions})


def test_a_question_counts_as_its_mean_over_the_seeds() -> None:
    group = compared(made_up.variant("base", 0.5), made_up.variant("better", 0.9))
    better = row(group, "better")
    shares = [share for _, share in better.seed_values if share is not None]
    assert better.accuracy.mean == pytest.approx(sum(shares) / 3)
    assert (better.accuracy.questions, better.accuracy.videos) == (48, 12)
    assert better.difference is not None
    assert better.difference.difference == pytest.approx(
        better.accuracy.mean - row(group, "base").accuracy.mean
    )


def slower(run: RunResult, seconds: float) -> RunResult:
    """The same answers, each later."""
    rows = run.predictions["needles"]
    return with_predictions(
        run, tuple(dataclasses.replace(row, seconds=row.seconds + seconds) for row in rows)
    )


def test_a_suite_is_judged_by_what_it_asks_for() -> None:
    base = made_up.variant("base", 0.5)
    late = VariantResult(
        name="late",
        runs=tuple(slower(run, 0.02) for run in made_up.variant("late", 0.5).runs),
        datasets=("needles",),
    )
    by_time = compared(base, late, metric="seconds_per_question")
    shown = row(by_time, "late")
    assert shown.difference is not None
    assert shown.difference.difference == pytest.approx(0.02)
    assert shown.significant
    assert shown.judged.mean == pytest.approx(row(by_time, "base").judged.mean + 0.02)
    assert "accuracy" in by_time.metrics and "seconds_per_question" not in by_time.metrics
    by_accuracy = row(compared(base, late), "late")
    assert by_accuracy.difference is not None and not by_accuracy.significant
    assert by_accuracy.judged == by_accuracy.accuracy == shown.accuracy


def test_recall_is_judged_on_the_questions_that_have_it() -> None:
    run = made_up.run("base", 1, 0.9)
    first, *others = run.predictions["needles"]
    run = with_predictions(run, (dataclasses.replace(first, needle_recall=None), *others))
    group = compared(VariantResult(name="base", runs=(run,)), metric="needle_recall")
    assert row(group, "base").judged == row(group, "base").needle_recall
    assert row(group, "base").judged.questions == 47


def test_a_failed_question_has_no_time() -> None:
    run = made_up.run("base", 1, 0.9)
    first, *others = run.predictions["needles"]
    run = with_predictions(run, (made_up.failed(first, "unreadable video"), *others))
    group = compared(VariantResult(name="base", runs=(run,)), metric="seconds_per_question")
    assert row(group, "base").judged.questions == 47


def test_memory_is_judged_run_by_run_of_the_same_seed() -> None:
    base = made_up.variant("base", 0.5)
    more = VariantResult(
        name="more",
        runs=tuple(
            dataclasses.replace(run, peak_memory_mib=run.peak_memory_mib + 100.0)
            for run in base.runs
            if run.peak_memory_mib is not None
        ),
        datasets=("needles",),
    )
    group = compared(base, more, metric="peak_memory_mib")
    shown = row(group, "more")
    assert shown.difference is not None
    assert (shown.difference.difference, shown.difference.questions) == (pytest.approx(100.0), 3)
    # Three runs cannot show more than that all of them moved the same way.
    assert shown.difference.p_value == 0.25
    assert (shown.questions, shown.judged.questions) == (3, 3)
    assert "peak_memory_mib" in group.metrics


def test_memory_is_compared_once_however_many_data_sets_there_are() -> None:
    sets = ("needles", "others")
    base, more = (
        dataclasses.replace(made_up.variant(name, 0.5), datasets=sets) for name in ("base", "more")
    )
    group = compared(base, more, metric="peak_memory_mib")
    assert (len(group.rows), group.comparisons) == (4, 1)
    by_accuracy = compared(base, more, made_up.variant("third", 0.5))
    assert by_accuracy.comparisons == 2
    assert row(group, "more", "needles").corrected_p == row(group, "more", "others").corrected_p


def test_only_the_baseline_is_compared_with_nothing() -> None:
    group = compared(made_up.variant("base", 0.5), made_up.variant("same", 0.5))
    base, same = row(group, "base"), row(group, "same")
    assert base.is_baseline and base.difference is None and base.corrected_p is None
    assert same.corrected_p == 1.0
    assert not same.significant


def test_p_is_corrected_over_all_comparisons_of_the_group() -> None:
    alone = compared(made_up.variant("base", 0.5), made_up.variant("better", 0.9))
    among = compared(
        made_up.variant("base", 0.5),
        made_up.variant("better", 0.9),
        made_up.variant("same", 0.5),
        made_up.variant("other", 0.5),
    )
    assert (alone.comparisons, among.comparisons) == (1, 3)
    raw = row(alone, "better").corrected_p
    assert raw is not None
    assert row(among, "better").corrected_p == pytest.approx(3 * raw)


def test_an_unfinished_run_adds_nothing_and_is_shown() -> None:
    half = dataclasses.replace(made_up.run("half", 2, 1.0), state="running")
    group = compared(
        made_up.variant("base", 0.5),
        VariantResult(name="half", runs=(made_up.run("half", 1, 0.5), half)),
        VariantResult(name="waiting", runs=(made_up.waiting("w", 1),), datasets=("needles",)),
    )
    shown, waiting = row(group, "half"), row(group, "waiting")
    assert (shown.runs_finished, shown.runs_wanted, shown.complete) == (1, 2, False)
    assert shown.accuracy.mean == shown.seed_values[0][1]
    assert shown.seed_values[1] == (2, None)
    assert waiting.accuracy.mean is None
    assert waiting.seconds is None and waiting.visual_tokens is None
    assert waiting.difference is not None and waiting.difference.difference is None
    assert group.comparisons == 1


def test_variants_are_compared_on_common_questions_and_say_how_many() -> None:
    base = made_up.run("base", 1, 0.5)
    part = with_predictions(base, base.predictions["needles"][:20])
    group = compared(
        VariantResult(name="base", runs=(base,)), VariantResult(name="part", runs=(part,))
    )
    shown = row(group, "part")
    assert shown.difference is not None
    assert (shown.difference.questions, shown.accuracy.questions, shown.questions) == (20, 20, 48)
    assert shown.difference.difference == 0


def test_a_failed_question_is_wrong_and_named() -> None:
    run = made_up.run("base", 7, 1.5)
    first, *others = run.predictions["needles"]
    run = with_predictions(run, (made_up.failed(first, "unreadable video"), *others))
    shown = row(compared(VariantResult(name="base", runs=(run,))), "base")
    assert shown.accuracy.mean == pytest.approx(47 / 48)
    assert [(f.question_id, f.seed, f.failure) for f in shown.failed] == [
        ("v00-q0", 7, "unreadable video")
    ]
    assert shown.needle_recall.questions == 47
    assert shown.visual_tokens == 1024


def test_secret_answers_enter_no_accuracy() -> None:
    run = made_up.run("base", 1, 1.5)
    first, *others = run.predictions["needles"]
    secret = dataclasses.replace(first, gold=None, correct=False)
    shown = row(
        compared(VariantResult(name="base", runs=(with_predictions(run, (secret, *others)),))),
        "base",
    )
    assert (shown.accuracy.questions, shown.accuracy.mean, shown.unscored) == (47, 1.0, 1)


def test_categories_partition_the_questions() -> None:
    shown = row(compared(made_up.variant("base", 0.5)), "base")
    assert [name for name, _ in shown.categories] == list(made_up.CATEGORIES)
    assert sum(seen.questions for _, seen in shown.categories) == 48


def test_mixed_numerics_are_flagged() -> None:
    mixed = compared(made_up.variant("base", 0.5), made_up.variant("other", 0.5, numerics="bf16"))
    assert mixed.mixed_numerics and mixed.numerics == ("bf16", "fp32")
    assert not compared(made_up.variant("base", 0.5)).mixed_numerics


def test_an_unknown_baseline_is_refused() -> None:
    group = GroupResult(name="g", baseline="nobody", variants=(made_up.variant("base", 0.5),))
    with pytest.raises(ValueError, match="group g: baseline nobody is not among base"):
        compare(SuiteResult(name="s", groups=(group,)))


def test_the_comparison_is_plain_data() -> None:
    text = json.dumps(dataclasses.asdict(compare(made_up.suite())))
    assert "NaN" not in text
    assert "predictions" not in text
