"""`ntlbg doctor`: whether a deployment is as it should be, and what to do where it is not."""

import json
import os
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.place import pasteable
from ntlbg_service.process.redaction import redacted
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.domain.diagnosis.finding import Finding

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(as_json: bool, workspace: Workspace) -> None:
    """Check this deployment, and say what mends it; exit code 4 where something does not work.

    Looked at are Ray and its token, the nodes' labels against their GPUs, versions, storage, clocks
    and disks of all machines, the database, who leads, and MLflow. On a cluster a task runs on
    every node for that; nothing is changed.
    """
    from dataclasses import asdict, replace

    from ntlbg_service.domain.diagnosis.finding import Level
    from ntlbg_service.domain.errors import InfrastructureError
    from ntlbg_service.maintenance.doctor import Examination

    examination = Examination(
        workspace=workspace, environment=os.environ, kinds=tuple(known_kinds())
    )
    found: list[Finding] = []
    for finding in examination.findings():
        finding = replace(finding, what=redacted(finding.what), do=pasteable(finding.do))
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    problems = sum(finding.level is Level.PROBLEM for finding in found)
    if problems:
        raise InfrastructureError(f"doctor: {problems} problem{'s' * (problems > 1)}")


def _print(finding: "Finding") -> None:
    from rich.text import Text

    from ntlbg_service.cli.console import DataConsole

    mark, colour = MARKS.get(finding.level, ("-", "white"))
    said = [Text.assemble((mark, colour), f" {finding.check:<15} {finding.what}")]
    if finding.do:
        said.append(Text(f"  {'':<15} -> {finding.do}"))
    for line in said:
        DataConsole().print(line, soft_wrap=True)
