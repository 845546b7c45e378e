"""Who acts: the user that submissions and wishes are noted under."""

import getpass
from collections.abc import Mapping

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.users import user_name

USER = "NTLBG_USER"
"""Environment variable that says who acts, in place of the operating system."""


def acting_user(environment: Mapping[str, str]) -> str:
    """NTLBG_USER, else the user of the operating system. Raises UserError for what is no name."""
    named = environment.get(USER)
    if named:
        return user_name(named, USER)
    try:
        return user_name(getpass.getuser(), "the operating system")
    except (OSError, KeyError):  # A container's user without an entry: KeyError until Python 3.12.
        raise UserError(
            f"the operating system has no name for this user; {USER} says who acts"
        ) from None
