"""`ntlbg ui`: MLflow's own interface on this home."""

import os
import sys

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.workspace import Workspace


@click.command()
@click.option("--port", type=int, default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@workspace_options
def command(port: int, host: str, workspace: Workspace) -> None:
    """Open MLflow on what was recorded. Ends with Ctrl-C."""
    from ntlbg_service.domain.errors import UserError

    if not (workspace.home / "mlflow.db").is_file():
        raise UserError(f"{workspace.home}: nothing is recorded yet; 'ntlbg run SUITE' comes first")
    click.echo(f"http://{host}:{port}/#/experiments")
    os.environ.update(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
    arguments = [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--backend-store-uri", workspace.tracking_uri, "--workers", "1"),
        *("--artifacts-destination", str(workspace.artifacts.resolve())),
    ]
    os.execv(sys.executable, arguments)
