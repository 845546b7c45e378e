import dataclasses
from io import StringIO

from rich.console import Console

from ntlbg_model.config import Metric
from ntlbg_service.report.compare import compare
from ntlbg_service.report.results import GroupResult, SuiteResult, VariantResult
from ntlbg_service.report.table import print_comparison
from tests.support import made_up_suite as made_up


def printed(suite: SuiteResult, *, terminal: bool = False) -> str:
    console = Console(file=StringIO(), width=80, force_terminal=terminal)
    print_comparison(compare(suite), console)
    assert console.width == 80
    return console.file.getvalue()


def one_group(*variants: VariantResult) -> SuiteResult:
    group = GroupResult(name="group", baseline=variants[0].name, variants=variants)
    return SuiteResult(name="suite", groups=(group,))


def test_without_a_terminal_every_row_is_one_plain_line() -> None:
    text = printed(made_up.suite())
    assert "\x1b" not in text
    lines = [line.split() for line in text.splitlines() if "median_contour  " in line]
    assert lines[0][:4] == ["median_contour", "3", "20.1", "(5.6"]
    assert len(lines) == 2


def test_the_sentence_names_what_differs_and_what_was_corrected_for() -> None:
    text = printed(one_group(made_up.variant("base", 0.5), made_up.variant("better", 0.9)))
    assert "better is 34.0 points better (p below 0.05 after correction for 1 comparison)." in text


def test_the_sentence_says_that_no_proof_of_difference_is_no_proof_of_equality() -> None:
    text = printed(one_group(made_up.variant("base", 0.5), made_up.variant("same", 0.5)))
    assert "no variant differs significantly" in text
    assert "no proof that they are equal" in text


def test_without_a_result_of_the_baseline_nothing_is_claimed() -> None:
    waiting = VariantResult(
        name="base", runs=(made_up.waiting("base-1", 1),), datasets=("needles",)
    )
    text = printed(one_group(waiting, made_up.variant("other", 0.9)))
    assert "The baseline base has no result on needles: nothing is compared yet." in text
    assert "not measured" in text
    assert "0 of 1" in text
    assert "Unfinished: base has 0 of 1 runs (queued)." in text


def test_nothing_measured_at_all() -> None:
    waiting = VariantResult(name="base", runs=(made_up.waiting("base-1", 1),))
    assert "group: nothing measured yet" in printed(one_group(waiting))


def test_mixed_numerics_stand_in_every_title_and_below() -> None:
    text = printed(made_up.suite())
    assert text.count("[mixed numerics: bf16, fp32]") == 2
    assert "may come from the arithmetic" in text


def judged_by(metric: Metric, suite: SuiteResult) -> str:
    return printed(dataclasses.replace(suite, metric=metric))


def test_a_suite_may_be_judged_by_recall() -> None:
    text = judged_by(
        "needle_recall", one_group(made_up.variant("base", 0.1), made_up.variant("better", 0.9))
    )
    assert "group on needles: needle recall" in text
    assert "has a needle recall of" in text and "points better (p below 0.05" in text
    heads = [line.split() for line in text.splitlines() if line.split()[:1] == ["variant"]]
    assert heads[1][1] == "accuracy" and "recall" not in heads[1]


def test_a_suite_may_be_judged_by_time_and_memory() -> None:
    suite = one_group(made_up.variant("base", 0.5), made_up.variant("other", 0.5))
    text = judged_by("seconds_per_question", suite)
    assert "time per question s (95 %)" in text and "difference, s" in text
    assert "takes 0.045 s per question over 48 questions about 12 videos" in text
    text = judged_by("peak_memory_mib", suite)
    assert "difference, MiB" in text and "at its peak over 3 runs" in text
    text = judged_by("visual_tokens", suite)
    assert "has 1\u202f024 tokens per question over 48 questions" in text


def test_a_variant_below_the_baseline_in_cost_says_so() -> None:
    base, other = made_up.variant("base", 0.5), made_up.variant("other", 0.5)
    quick = dataclasses.replace(
        other,
        runs=tuple(
            dataclasses.replace(
                run,
                predictions={
                    "needles": tuple(
                        dataclasses.replace(row, seconds=row.seconds - 0.01)
                        for row in run.predictions["needles"]
                    )
                },
            )
            for run in other.runs
        ),
    )
    text = judged_by("seconds_per_question", one_group(base, quick))
    assert "other is 0.010 s below the baseline (p below 0.05" in text


def test_only_what_the_configs_ask_to_see_is_shown() -> None:
    few = dataclasses.replace(made_up.variant("base", 0.5), metrics=("accuracy", "visual_tokens"))
    text = printed(one_group(few))
    assert "tokens/question" in text and " s/question" not in text and "predicted" not in text
    none = dataclasses.replace(few, metrics=("accuracy",))
    assert "frames and cost" not in printed(one_group(none))


def test_a_terminal_gets_a_drawn_table() -> None:
    assert "─" in printed(made_up.suite(), terminal=True)
