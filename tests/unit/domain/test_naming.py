"""Names of runs: each is found by all that it is called, and nothing is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.naming import RunName, find_run, find_runs, find_suite, newest

runs = st.lists(
    st.builds(
        RunName,
        run_id=st.text("0123456789abcdef", min_size=16, max_size=16),
        suite=st.sampled_from(["small", "small@laptop"]),
        group=st.sampled_from(["g", "h"]),
        variant=st.sampled_from(["ntlbg", "uniform"]),
        seed=st.integers(1, 3),
        submission=st.integers(1, 5),
    ),
    unique_by=(
        lambda name: name.run_id,
        lambda name: (name.suite, name.label, name.submission),
    ),
    max_size=12,
)


@given(runs)
def test_an_id_and_its_whole_label_find_the_run(names: list[RunName]) -> None:
    for name in names:
        assert find_run(name.run_id, names) is name
    for name in newest(names):
        assert find_run(f"{name.suite}/{name.label}", names) is name


@given(runs, st.integers(1, 16))
def test_a_beginning_finds_the_one_run_that_has_it(names: list[RunName], length: int) -> None:
    for name in names:
        word = name.run_id[:length]
        alike = [each for each in names if each.run_id.startswith(word)]
        if len(alike) == 1:
            assert find_run(word, names) is name
        else:
            with pytest.raises(UserError, match=f"is {len(alike)} runs"):
                find_run(word, names)


@given(runs)
def test_of_repeated_runs_the_newest_is_meant(names: list[RunName]) -> None:
    chosen = newest(names)
    assert len({(name.suite, name.label) for name in chosen}) == len(chosen)
    for name in names:
        same = [each for each in chosen if (each.suite, each.label) == (name.suite, name.label)]
        assert len(same) == 1 and same[0].submission >= name.submission


@given(runs)
def test_a_suite_is_its_newest_runs(names: list[RunName]) -> None:
    suites = sorted({name.suite for name in names})
    for suite in suites:
        key, found = find_runs(suite, names, suites)
        assert key == suite
        assert set(found) == {name for name in newest(names) if name.suite == suite}


def named(run_id: str, suite: str) -> RunName:
    return RunName(run_id=run_id, suite=suite, group="g", variant="ntlbg", seed=1, submission=1)


def test_a_label_of_two_suites_is_an_error_that_names_both() -> None:
    names = [named("aaaa", "s"), named("bbbb", "t")]
    with pytest.raises(UserError) as error:
        find_run("ntlbg:1", names)
    said = "'ntlbg:1' is 2 runs: aaaa (s g/ntlbg:1), bbbb (t g/ntlbg:1)"
    assert str(error.value) == said
    assert find_run("t/ntlbg:1", names).run_id == "bbbb"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("g/ntlgb:1", "unknown suite or run 'g/ntlgb:1'; did you mean 'g/ntlbg:1'?"),
        ("smal", "unknown suite or run 'smal'; did you mean 'small'?"),
        ("zzz", "unknown suite or run 'zzz'; known: small, g/ntlbg:1"),
        ("", "unknown suite or run ''; known: small, g/ntlbg:1"),
    ],
)
def test_what_is_unknown_gets_the_nearest(word: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        find_runs(word, [named("aaaa", "small")], ["small"])
    assert str(error.value) == said


def test_where_nothing_was_submitted_that_is_said() -> None:
    with pytest.raises(UserError, match="nothing was submitted here yet"):
        find_suite("s", [])
