"""Commands in a text: quoted for a shell, and completed by what they lack."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.commands import QUOTED, command, completed


@given(st.lists(st.text(" ab'\"$\\()*~é", max_size=6), min_size=1, max_size=4))
def test_a_command_in_a_text_is_read_back_word_by_word(words: list[str]) -> None:
    found = QUOTED.fullmatch(command(*words))
    assert found is not None
    assert shlex.split(found["plain"] or found["quoting"]) == ["ntlbg", *words]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("'ntlbg gc' frees it", "'ntlbg gc --home x' frees it"),
        ("run 'ntlbg gc', then `ntlbg db upgrade`", None),
        ("it's 'ntlbg' that 'ntlbg'", "it's 'ntlbg' that 'ntlbg'"),
        ("`ntlbg watch 'my suite'`", "`ntlbg watch 'my suite' --home x`"),
        ("'ntlbg say \"'", "'ntlbg say \"'"),
    ],
)
def test_each_command_gets_what_it_lacks(text: str, whole: str | None) -> None:
    said = completed(text, lambda _: ["--home", "x"])
    assert said == (whole or "run 'ntlbg gc --home x', then 'ntlbg db upgrade --home x'")
    assert completed(text, lambda _: []) == text


def test_what_is_added_is_quoted_too() -> None:
    assert completed("'ntlbg gc'", lambda _: ["--home", "my lab"]) == "`ntlbg gc --home 'my lab'`"
