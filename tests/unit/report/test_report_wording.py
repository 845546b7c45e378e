import dataclasses

import pytest

from ntlbg_model.statistics import Interval
from ntlbg_service.domain.measures import MEASURES
from ntlbg_service.report import wording
from ntlbg_service.report.compare import compare
from ntlbg_service.report.comparison import GroupComparison
from ntlbg_service.report.results import GroupResult, SuiteResult, VariantResult
from tests.support import made_up_suite as made_up

SHARE, TIME = MEASURES["accuracy"], MEASURES["seconds_per_question"]
MEMORY = MEASURES["peak_memory_mib"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (wording.percent(0.71875), "71.9 %"),
        (wording.percent(None), "not measured"),
        (wording.points(-0.052), "−5.2"),
        (wording.points(0.0), "0.0"),
        (wording.points(None), "not measured"),
        (wording.percent_interval(Interval(0.5, 1.0)), "50.0 to 100.0"),
        (wording.gaps(SHARE, None), "not estimable"),
        (wording.gaps(SHARE, Interval(-0.1, 0.02)), "−10.0 to +2.0"),
        (wording.amounts(SHARE, Interval(0.5, 1.0)), "50.0 to 100.0"),
        (wording.amount(TIME, 0.0421), "0.042 s"),
        (wording.amounts(TIME, Interval(0.04, 12.0)), "0.040 s to 12.0 s"),
        (wording.gap(TIME, -0.0134), "−0.013"),
        (wording.gap(TIME, -0.0001), "0.000"),
        (wording.amount(MEMORY, 12345.4), "12\u202f345 MiB"),
        (wording.gap(MEMORY, 12345.4), "+12\u202f345"),
        (wording.seed_text(MEMORY, 12345.4), "12\u202f345"),
        (wording.seed_text(TIME, None), "–"),
        (wording.p_value(0.00004), "< 0.001"),
        (wording.p_value(0.0421), "0.042"),
        (wording.p_value(None), "not estimable"),
        (wording.quantity(12345.4, "MiB"), "12\u202f345 MiB"),
        (wording.seconds(0.0421), "0.042 s"),
        (wording.seconds(93.02), "93.0 s"),
    ],
)
def test_numbers_in_words(written: str, words: str) -> None:
    assert written == words


@pytest.fixture(scope="module")
def group() -> GroupComparison:
    """A baseline, and a variant with a third of the questions, one secret and seven failed."""
    base = made_up.run("base", 1, 0.5)
    asked = base.predictions["needles"][:16]
    secret = dataclasses.replace(asked[0], gold=None, correct=False)
    failed = [made_up.failed(one, "unreadable video") for one in asked[1:8]]
    part = dataclasses.replace(base, predictions={"needles": (secret, *failed, *asked[8:])})
    variants = (
        VariantResult(name="base", runs=(base,)),
        VariantResult(name="part", runs=(part,)),
    )
    result = GroupResult(name="group", baseline="base", variants=variants)
    return compare(SuiteResult(name="suite", groups=(result,))).groups[0]


def test_every_gap_is_named(group: GroupComparison) -> None:
    assert wording.warnings(group, "needles") == [
        "part is measured on 15 of 48 questions.",
        "part: not scored, since the benchmark keeps the answer secret: 1 question.",
        "part failed on 7 questions, counted as wrong: v00-q1 (unreadable video); "
        "v00-q2 (unreadable video); v00-q3 (unreadable video); v01-q0 (unreadable video); "
        "v01-q1 (unreadable video) and 2 more.",
    ]


def test_questions_that_the_baseline_lacks_are_counted() -> None:
    whole = made_up.run("whole", 1, 0.5)
    part = dataclasses.replace(whole, predictions={"needles": whole.predictions["needles"][:16]})
    variants = (
        VariantResult(name="part", runs=(part,)),
        VariantResult(name="whole", runs=(whole,)),
    )
    result = GroupResult(name="group", baseline="part", variants=variants)
    group = compare(SuiteResult(name="suite", groups=(result,))).groups[0]
    assert "whole shares 16 questions with the baseline." in wording.warnings(group, "needles")


def test_one_video_allows_no_test() -> None:
    def single(name: str) -> VariantResult:
        run = made_up.run(name, 1, 0.5)
        first = {"needles": run.predictions["needles"][:4]}
        return VariantResult(name=name, runs=(dataclasses.replace(run, predictions=first),))

    result = GroupResult(name="g", baseline="a", variants=(single("a"), single("b")))
    group = compare(SuiteResult(name="suite", groups=(result,))).groups[0]
    assert wording.finding(group, "needles").endswith("no difference to it can be tested.")
    assert wording.p_text(group.rows[1]) == "not estimable"


def test_the_rest_of_a_group_with_a_finding_is_not_forgotten() -> None:
    variants = (
        made_up.variant("base", 0.5),
        made_up.variant("better", 0.9),
        made_up.variant("same", 0.5),
    )
    result = GroupResult(name="group", baseline="base", variants=variants)
    group = compare(SuiteResult(name="suite", groups=(result,))).groups[0]
    assert "; 1 other variant cannot be told apart from it." in wording.finding(group, "needles")
