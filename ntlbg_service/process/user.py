"""Who acts: the user that submissions and wishes are noted under."""

import getpass
from collections.abc import Mapping

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.users import user_name
from ntlbg_service.process.redaction import redacted

USER = "NTLBG_USER"
"""Environment variable that says who acts, in place of the operating system."""


def name_to_keep(text: str, source: str) -> str:
    """A user's name that the ledger may hold. Raises UserError for what is none, or is a secret."""
    name = user_name(text, source)
    if redacted(name) != name:
        raise UserError(f"{source}: looks like a secret, which the ledger does not keep")
    return name


def acting_user(environment: Mapping[str, str]) -> str:
    """NTLBG_USER, else the user of the operating system. Raises UserError for what is no name."""
    named = environment.get(USER)
    if named:
        return name_to_keep(named, USER)
    try:
        return name_to_keep(getpass.getuser(), "the operating system")
    except (OSError, KeyError):  # A container's user without an entry: KeyError until Python 3.12.
        raise UserError(
            f"the operating system has no name for this user; {USER} says who acts"
        ) from None
