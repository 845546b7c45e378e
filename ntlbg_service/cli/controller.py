"""`ntlbg controller`: the daemon that runs whatever is queued on a ledger."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.inventory_choice import choose_ground
from ntlbg_service.cli.notify import notify_options, read_states, read_webhook
from ntlbg_service.cli.options import caps_option, open_ledger, read_caps, workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.staging import stage_options
from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.retention import KEPT
from ntlbg_service.process.redaction import redacted
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.controller.service import Service
    from ntlbg_service.monitoring.snapshot import HealthCheck
    from ntlbg_service.process.wakeup import Wakeup

BUSY_SECONDS = 1.0
"""How often it looks while something runs."""
IDLE_SECONDS = 5.0
"""How often it looks by itself; news wakes it at once."""


@click.command()
@click.option("--inventory", type=FILE, help="Place runs on these nodes instead of what is found.")
@click.option("--parallel", type=click.IntRange(min=1), help="Runs at once on a CPU.")
@click.option(
    "--executor",
    "executor_name",
    type=click.Choice(["local", "ray_jobs"]),
    help="What starts runs. [default: ray_jobs where RAY_ADDRESS names a cluster, else local]",
)
@click.option(
    "--lease",
    type=click.FloatRange(min=3.0),
    default=30.0,
    show_default=True,
    help="Seconds after which another controller takes over from one that was cut off.",
)
@click.option(
    "--heartbeat-timeout",
    type=click.FloatRange(min=5.0),
    default=Timeouts.heartbeat,
    show_default=True,
    help="Seconds without a heartbeat after which a run is stopped as hung, and goes on anew.",
)
@click.option(
    "--progress-timeout",
    type=click.FloatRange(min=5.0),
    default=Timeouts.progress,
    show_default=True,
    help="The same for one that beats, but has done no step and given no answer.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=KEPT,
    show_default=True,
    help="Newest checkpoints of each run that stay while it goes on, beside the best; 0: all.",
)
@caps_option
@notify_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Answer /healthz, /readyz and /metrics (Prometheus) here; 0: any free port.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where --port listens.")
@click.option("--until-idle", is_flag=True, help="End when nothing is queued or running.")
@workspace_options
@stage_options
def command(
    inventory: Path | None,
    parallel: int | None,
    executor_name: str | None,
    lease: float,
    heartbeat_timeout: float,
    progress_timeout: float,
    keep: int,
    caps: Path | None,
    notify: str | None,
    notify_on: tuple[str, ...],
    port: int | None,
    host: str,
    until_idle: bool,
    workspace: Workspace,
) -> None:
    """Run what is queued, from whichever suite, until it is stopped.

    Of several on one ledger one leads and the others stand by. It may be killed at any moment:
    what runs goes on, and the next controller adopts it. SIGTERM and Ctrl-C stop it alone, not
    the runs; `ntlbg cancel` and `ntlbg pause` stop those.
    """
    from ntlbg_service.controller.lease import Lease
    from ntlbg_service.controller.service import Service
    from ntlbg_service.estimates.trace_cache import open_estimates
    from ntlbg_service.executors.choice import executor
    from ntlbg_service.process.wakeup import Wakeup
    from ntlbg_service.results.peak_memory import read_calibrations
    from ntlbg_service.storage.local import LocalStorage
    from ntlbg_service.tracking import Tracker

    limits = read_caps(caps)
    webhook, states = read_webhook(notify, "--notify"), read_states(notify_on, "--notify-on")
    ledger = open_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    learned = read_calibrations(workspace)
    estimates = open_estimates(workspace.home, trace=False, learned=learned)
    service = Service(
        ledger=ledger,
        storage=storage,
        executor=executor(storage, os.environ, executor_name),
        tracker=Tracker(workspace.tracking_uri, workspace.artifact_root),
        workspace=workspace,
        ground=choose_ground(inventory, parallel, estimates, executor_name),
        lease=Lease(ledger, time.monotonic, seconds=lease),
        clock=time.monotonic,
        timeouts=Timeouts(heartbeat=heartbeat_timeout, progress=progress_timeout),
        keep=keep or None,
        caps=limits,
        webhook=webhook,
        notify_on=states,
        note=_say,
    )
    with ExitStack() as stack:
        if port is not None:
            from ntlbg_service.monitoring.health_checks import health_checks

            asks = health_checks(storage, os.environ, executor_name)
            stack.enter_context(_watched(service, asks, host, port))
        serve(service, Wakeup(workspace.wake, ledger.news()), until_idle)


@contextmanager
def _watched(
    service: "Service", asks: "Mapping[str, HealthCheck]", host: str, port: int
) -> Iterator[None]:
    """The port, open while the service steps."""
    from ntlbg_service.monitoring.port import Port
    from ntlbg_service.monitoring.sampling import Sampler

    nodes = lambda: service.ground.inventory.nodes()  # noqa: E731 - the nodes change
    sampler = Sampler(service.ledger, service.storage, nodes, asks)
    opened = Port(host, port, service.loop_metrics, sampler, _say)
    opened.open()
    _say(f"health and metrics on {opened.url}")
    try:
        yield
    finally:
        opened.close()


def serve(service: "Service", wake: "Wakeup", until_idle: bool) -> None:
    """Step until a signal or, where that is asked for, until nothing is left."""
    known: bool | None = None
    with _told_to_stop(wake) as told:
        try:
            while not told:
                going = service.step()
                wake.listen(service.leads)
                if service.leads is not known:
                    known = service.leads
                    _say("leads" if known else f"stands by: {service.leader()} leads")
                if until_idle and not going and service.flush():
                    break
                wake.wait(BUSY_SECONDS if going and service.leads else IDLE_SECONDS)
        finally:
            service.resign()
            wake.close()
    _say("stopped; what runs goes on" if told else "nothing is left to do")


@contextmanager
def _told_to_stop(wake: "Wakeup") -> Iterator[list[int]]:
    """Holds the signal once SIGTERM or Ctrl-C came; the step in progress is finished first."""
    told: list[int] = []

    def stop(number: int, _: object) -> None:
        told.append(number)
        wake.alarm()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(words: str) -> None:
    click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {redacted(words)}")
