"""Who makes wishes and submissions come true, for a person who has just made one."""

from typing import TYPE_CHECKING

from ntlbg_service.cli.place import pasteable

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger


def who_drives(ledger: "Ledger") -> str:
    """One clause: the controller that leads, or how to start one."""
    from ntlbg_service.controller.lease import in_words, seen_dead

    leader = ledger.leader()
    if leader is None or seen_dead(leader):
        return pasteable("no controller leads here now: 'ntlbg controller' starts one.")
    return f"controller {in_words(leader)} leads and runs them."
