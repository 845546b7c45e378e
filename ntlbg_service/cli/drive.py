"""The loop around a suite: lead or watch, show, wait; Ctrl-C or SIGTERM stops its runs."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from ntlbg_service.cli.notify import NOTIFY, NOTIFY_ON, read_states, read_webhook
from ntlbg_service.cli.options import read_caps
from ntlbg_service.cli.progress import ProgressView
from ntlbg_service.cli.signals import terminable
from ntlbg_service.controller.lease import Lease
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.controller.service import Service
from ntlbg_service.domain.states import TERMINAL
from ntlbg_service.executors.choice import executor
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import RunFilter
from ntlbg_service.process.wakeup import Wakeup, notify
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.tracking import Tracker

POLL_SECONDS = 0.5


def drive(
    ledger: Ledger,
    workspace: Workspace,
    suite_key: str,
    ground: ClusterView,
    environment: Mapping[str, str],
    at_end: Callable[[], None] = lambda: None,
) -> bool:
    """Drive a suite to its end; where another controller leads, watch until it has. Returns whether
    this process led at the end, so that MLflow was told by it.

    A watcher takes over where the leader goes. `at_end` is called when the last run has ended,
    before MLflow is told the rest: what it writes can go along.
    """
    storage = LocalStorage(workspace.storage)
    caps = environment.get("NTLBG_CAPS")
    service = Service(
        ledger=ledger,
        storage=storage,
        executor=executor(storage, environment),
        tracker=Tracker(workspace.tracking_uri, workspace.artifact_root),
        workspace=workspace,
        ground=ground,
        lease=Lease(ledger, time.monotonic),
        clock=time.monotonic,
        caps=read_caps(Path(caps) if caps else None),
        suite_key=suite_key,
        webhook=read_webhook(environment.get(NOTIFY), NOTIFY),
        notify_on=read_states(environment.get(NOTIFY_ON, "").split(), NOTIFY_ON),
    )
    notify(workspace.wake)
    with ProgressView(ledger, storage, suite_key) as progress, terminable():
        try:
            _until_ended(service, progress, Wakeup(workspace.wake, ledger.news()))
            at_end()
            if not service.leads:
                ledger.post("suite_finished", suite_key)  # With what `at_end` wrote.
                notify(workspace.wake)
            else:
                service.flush()
            return service.leads
        except KeyboardInterrupt:
            _leave(service, progress)
            raise
        finally:
            service.resign()


def _until_ended(service: Service, progress: ProgressView, wake: Wakeup) -> None:
    watching = False
    while not _ended(service):
        service.step()
        if not service.leads and not watching:
            click.echo(f"A controller leads here ({service.leader()}); watching.")
        watching = not service.leads
        wake.listen(service.leads)
        progress.update()
        wake.wait(POLL_SECONDS)
    wake.close()
    progress.update()


def _ended(service: Service) -> bool:
    assert service.suite_key is not None
    return service.ledger.count(RunFilter(suite=service.suite_key)).keys() <= TERMINAL


def _leave(service: Service, progress: ProgressView) -> None:
    if not service.leads:
        progress.note("the runs go on; the same command watches them again")
        return
    progress.note("stopping the runs; the same command goes on from their checkpoints")
    service.controller.interrupt()
