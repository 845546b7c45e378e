"""The service: suites, fit, plan, queue, runs, tracking and comparison.

Each public name is imported when it is asked for. What is not in `__all__` is private and may move.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntlbg_service.config_files.loader import load_inventory, load_suite
    from ntlbg_service.domain.expansion import expand
    from ntlbg_service.domain.planning.plan import plan
    from ntlbg_service.ledger.database import open_database
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.process.workspace import Workspace
    from ntlbg_service.report.suite_report import read_report
    from ntlbg_service.submission import prepare_suite, prepare_sweep, submit

__all__ = [
    "Ledger",
    "Workspace",
    "expand",
    "load_inventory",
    "load_suite",
    "open_database",
    "plan",
    "prepare_suite",
    "prepare_sweep",
    "read_report",
    "submit",
]

_PLACES = {
    "Ledger": "ledger.ledger",
    "Workspace": "process.workspace",
    "expand": "domain.expansion",
    "load_inventory": "config_files.loader",
    "load_suite": "config_files.loader",
    "open_database": "ledger.database",
    "plan": "domain.planning.plan",
    "prepare_suite": "submission",
    "prepare_sweep": "submission",
    "read_report": "report.suite_report",
    "submit": "submission",
}
"""Module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name. Raises AttributeError for any other."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
