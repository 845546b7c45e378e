"""The loop around a controller: step, publish, show, wait; stop on Ctrl-C or SIGTERM."""

import time
from collections.abc import Callable, Mapping

import click

from ntlbg_service.cli.progress import Progress
from ntlbg_service.cli.signals import terminable
from ntlbg_service.controller import Controller
from ntlbg_service.domain.inventory import Node
from ntlbg_service.domain.states import TERMINAL
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.leadership import leadership
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.publishing import Publisher
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.tracking import Tracker
from ntlbg_service.workspace import Workspace

POLL_SECONDS = 0.5


def drive(
    ledger: Ledger,
    workspace: Workspace,
    suite_key: str,
    nodes: tuple[Node, ...],
    environment: Mapping[str, str],
    at_end: Callable[[], None] = lambda: None,
) -> None:
    """Drive a suite to its end; where another controller leads, watch until it has.

    `at_end` is called when the last run has ended, before MLflow is told the rest: what it writes
    can go along.
    """
    storage = LocalStorage(workspace.storage)
    with leadership(workspace.lock) as leads, Progress(ledger, storage, suite_key) as progress:
        if not leads:
            click.echo("Another ntlbg leads on this home; watching.")
            _watch(ledger, suite_key, progress)
            return
        executor = LocalExecutor(storage, environment)
        controller = Controller(ledger, storage, executor, workspace, nodes, suite_key)
        tracker = Tracker(workspace.tracking_uri, str(workspace.artifacts.resolve()))
        publisher = Publisher(ledger, storage, tracker, workspace, time.monotonic)
        _lead(controller, publisher, progress, at_end)


def _lead(
    controller: Controller, publisher: Publisher, progress: Progress, at_end: Callable[[], None]
) -> None:
    with terminable():
        try:
            while controller.step():
                publisher.step()
                progress.update()
                time.sleep(POLL_SECONDS)
            progress.update()
            at_end()
            if not publisher.flush():
                progress.note("MLflow did not answer; it is told when the command runs again")
        except KeyboardInterrupt:
            progress.note("stopping the runs; the same command goes on from their checkpoints")
            controller.interrupt()
            raise


def _watch(ledger: Ledger, suite_key: str, progress: Progress) -> None:
    while not all(run.state in TERMINAL for run in ledger.current_runs(suite_key)):
        progress.update()
        time.sleep(POLL_SECONDS)
