"""The acting user, under whose name submissions and run requests are recorded."""

import getpass
from collections.abc import Mapping

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.users import user_name
from ntlbg_service.process.redaction import redacted

USER = "NTLBG_USER"
"""Environment variable that overrides the operating system's user name."""


def name_to_keep(text: str, source: str) -> str:
    """Return a user name for the ledger; raise UserError if it is invalid or a secret."""
    name = user_name(text, source)
    if redacted(name) != name:
        raise UserError(f"{source}: looks like a secret, which the ledger does not keep")
    return name


def acting_user(environment: Mapping[str, str]) -> str:
    """Return NTLBG_USER, else the operating system's user; raise UserError if it is invalid."""
    named = environment.get(USER)
    if named:
        return name_to_keep(named, USER)
    try:
        return name_to_keep(getpass.getuser(), "the operating system")
    except (OSError, KeyError):  # No passwd entry, as in containers: KeyError until Python 3.12.
        raise UserError(
            f"the operating system has no name for this user; {USER} says who acts"
        ) from None
