"""`ntlbg ui`: MLflow's own interface on this home."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace

import click

from ntlbg_service.cli.options import open_ledger, require_writable, workspace_options
from ntlbg_service.cli.signals import terminable
from ntlbg_service.process.workspace import Workspace

START_SECONDS = 120


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@workspace_options
def command(port: int, host: str, workspace: Workspace) -> None:
    """Open MLflow on what was recorded. Prints where each suite's runs are; ends with Ctrl-C."""
    from ntlbg_service.domain.errors import UserError

    if workspace.mlflow is not None:
        _show(workspace)
        return
    if not (workspace.home / "mlflow.db").is_file():
        raise UserError(f"{workspace.home}: nothing is recorded yet; 'ntlbg run SUITE' comes first")
    require_writable(workspace)
    _follow(workspace)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
            *("--backend-store-uri", workspace.tracking_uri, "--workers", "1"),
            *("--artifacts-destination", workspace.artifacts.resolve().as_uri()),
        ],
        env={
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with terminable():
            _wait(server, address)
            _show(replace(workspace, mlflow=address))
            click.echo(f"MLflow is at {address}; Ctrl-C ends it.")
            server.wait()
    except KeyboardInterrupt:
        click.echo("MLflow has ended.")
    finally:
        server.terminate()
        server.wait()


def _follow(workspace: Workspace) -> None:
    """Have the home's MLflow look for files where the home lies now."""
    from sqlalchemy.exc import SQLAlchemyError

    from ntlbg_service.domain.errors import InfrastructureError
    from ntlbg_service.tracking.artifact_places import follow_home

    if workspace.artifact_root is not None:
        try:
            follow_home(workspace.tracking_uri, workspace.artifact_root)
        except SQLAlchemyError as error:
            said = str(error).splitlines()[0]
            raise InfrastructureError(f"{workspace.home / 'mlflow.db'}: {said}") from None


def _show(workspace: Workspace) -> None:
    """Where each suite's runs are on a server."""
    from ntlbg_service.tracking import Tracker

    tracker = Tracker(workspace.tracking_uri)
    for key in open_ledger(workspace, to_read=True).suite_keys():
        click.echo(f"{key}: {tracker.suite_link(key) or 'not told to MLflow yet'}")


def _wait(server: "subprocess.Popen[bytes]", address: str) -> None:
    from ntlbg_service.domain.errors import InfrastructureError

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise InfrastructureError(
                f"MLflow did not start on {address}; is the port taken? --port chooses another"
            )
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):  # nosec B310 # http only
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.3)
    raise InfrastructureError(f"MLflow did not answer on {address} within {START_SECONDS} s")
