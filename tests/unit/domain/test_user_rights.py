"""What a user is called, and who may act on whose runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.users import (
    LONGEST,
    NotAllowedError,
    check_operator,
    check_owner,
    user_name,
)

NAMES = st.sampled_from(["ada", "bob", "eve"])


def test_a_name_is_taken_without_blanks() -> None:
    assert user_name(" Ada Lovelace\n", "X") == "Ada Lovelace"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ", "is empty"),
        ("*", "stands for every user"),
        ("a" * (LONGEST + 1), "at most 200 characters"),
        ("a\x1b[31mb", "only printable characters"),
        ("a\udc80", "only printable characters"),
    ],
)
def test_what_is_no_name_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"^NTLBG_USER: .*{said}") as refused:
        user_name(text, "NTLBG_USER")
    assert str(refused.value).isprintable()


@given(text=st.text())
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = user_name(text, "X")
    except UserError:
        return
    assert name and name == user_name(name, "X") and name.isprintable()


@given(who=NAMES, owner=NAMES, operators=st.sets(NAMES))
def test_owners_and_operators_may_and_nobody_else(
    who: str, owner: str, operators: set[str]
) -> None:
    if who == owner or who in operators:
        check_owner(who, owner, "run 1", "cancel", operators)
        return
    with pytest.raises(NotAllowedError, match=f"run 1 is {owner}'s: only {owner}") as refused:
        check_owner(who, owner, "run 1", "cancel", sorted(operators))
    assert all(name in str(refused.value) for name in operators)
    assert ("add-operator" in str(refused.value)) == (not operators)


@given(who=NAMES, operators=st.sets(NAMES))
def test_what_concerns_everybody_is_for_operators_where_there_are_any(
    who: str, operators: set[str]
) -> None:
    if not operators or who in operators:
        check_operator(who, "drain n1", operators)
        return
    with pytest.raises(NotAllowedError, match=f"may drain n1, not {who}"):
        check_operator(who, "drain n1", operators)
