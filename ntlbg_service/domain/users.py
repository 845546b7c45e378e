"""Users: what one is called, and who may act on whose runs."""

from collections.abc import Collection

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.scheduling.caps import ANYONE

LONGEST = 200
"""Characters of a name."""


class NotAllowedError(UserError):
    """What is asked for is another user's to do; nothing was done."""


def user_name(text: str, source: str) -> str:
    """A user's name, without blanks around it. Raises UserError, which names `source`.

    Any printable one but `*`, which stands for everybody in a caps file.
    """
    name = text.strip()
    if not name:
        raise UserError(f"{source}: a user's name is empty")
    if name == ANYONE:
        raise UserError(f"{source}: '{ANYONE}' stands for every user and is no name of one")
    if len(name) > LONGEST:
        raise UserError(f"{source}: a user's name has at most {LONGEST} characters")
    if not name.isprintable():
        raise UserError(f"{source}: a user's name has only printable characters")
    return name


def check_owner(who: str, owner: str, run: str, doing: str, operators: Collection[str]) -> None:
    """Raise NotAllowedError unless `who` may act on a run of `owner`: its own, or as an operator.

    `run`: what it is called. `doing`: what is asked for, for example 'cancel'.
    """
    if who == owner or who in operators:
        return
    others = f" or an operator ({', '.join(operators)})" if operators else ""
    hint = "" if operators else "; 'ntlbg users add-operator' names people who may as well"
    raise NotAllowedError(
        f"{run} is {owner}'s: only {owner}{others} may {doing} it, not {who}{hint}"
    )


def check_operator(who: str, doing: str, operators: Collection[str]) -> None:
    """Raise NotAllowedError unless `who` may do what concerns everybody: any user as long as there
    is no operator, then operators."""
    if operators and who not in operators:
        raise NotAllowedError(f"only an operator ({', '.join(operators)}) may {doing}, not {who}")
