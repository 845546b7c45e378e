"""Read-only checks of a deployment; the readings are judged in `domain.diagnosis`."""

import ipaddress
import json
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ntlbg_service.controller.lease import in_words
from ntlbg_service.domain.diagnosis import devices, machines, services
from ntlbg_service.domain.diagnosis.finding import Finding, count, failed, not_checked, ok
from ntlbg_service.domain.diagnosis.machines import MachineReading
from ntlbg_service.domain.errors import InfrastructureError, NtlbgError
from ntlbg_service.domain.hardware.profiles import Profile
from ntlbg_service.executors.dashboard import VERSION, Dashboard, DashboardRefusedError
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.ledger.database import (
    create_database_engine,
    failures_in_a_line,
    parse_url,
    shown,
)
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.schema import HEAD, revision
from ntlbg_service.nodes.inventory import LiveNode, read_nodes
from ntlbg_service.nodes.probing import left_in, read_cluster, read_here
from ntlbg_service.process.sqlite_file import connect_to_read
from ntlbg_service.process.workspace import Workspace

MLFLOW_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Checks of one workspace from this machine."""

    workspace: Workspace
    environment: Mapping[str, str]
    kinds: Sequence[Profile] = ()

    def findings(self) -> Iterator[Finding]:
        """Yield the findings of each check as it is made."""
        nodes = yield from self._cluster()
        yield from self._machines(nodes)
        yield from self._database()
        yield self._mlflow()

    def _cluster(self) -> Generator[Finding, None, Sequence[LiveNode]]:
        """Check Ray, its authentication and GPUs; return the nodes, without Ray this machine."""
        address = self.environment.get("RAY_ADDRESS")
        if address:
            yield from self._guard(Dashboard(self.environment))
        else:
            yield not_checked("ray", "RAY_ADDRESS names no cluster: runs start on this machine")
        try:
            nodes = read_nodes(self.environment)
        except NtlbgError as error:
            yield failed("ray", error, "is the head up, and RAY_ADDRESS its address?")
            return ()
        if address:
            yield ok("ray", f"{address}: {count(len(nodes), 'node')}")
        yield devices.labels([_devices(node) for node in nodes], self.kinds)
        return nodes

    def _guard(self, head: Dashboard) -> Iterator[Finding]:
        try:
            asks = head.asks_for_token()
            works = True
            try:
                head.get(VERSION)
            except DashboardRefusedError:
                works = False
            yield services.authentication(asks, works, on_loopback(head.url))
        except InfrastructureError as error:
            yield failed("authentication", error, "is the head up, and RAY_ADDRESS its address?")

    def _machines(self, nodes: Sequence[LiveNode]) -> Iterator[Finding]:
        storage, home = self.workspace.storage, self.workspace.home
        on_ray = {node.ray_id: node.name for node in nodes if node.ray_id is not None}
        if not home.is_dir() and not on_ray:
            here = read_here(None, "", home)
            yield machines.versions(here, ())
            yield not_checked("storage", f"{home} is not there yet: nothing was submitted")
            yield machines.disk([here])
            return
        try:
            with left_in(storage) as token:
                here = read_here(storage, token, home)
                told: tuple[MachineReading, ...] = ()
                if on_ray:
                    told = yield from self._nodes(on_ray, token)
        except InfrastructureError as error:
            yield failed("storage", error, "give the folder to this user, or name another --home")
            return
        yield machines.versions(here, told)
        yield machines.storage(here, told, str(storage.resolve()))
        yield machines.clocks(told) if told else not_checked("clocks", "one machine has one clock")
        yield machines.disk([here, *told])

    def _nodes(
        self, names: Mapping[str, str], token: str
    ) -> Generator[Finding, None, tuple[MachineReading, ...]]:
        client = JobClient(self.environment["RAY_ADDRESS"])
        python = self.environment.get("NTLBG_PYTHON", sys.executable)
        found: tuple[MachineReading, ...] = ()
        try:
            found = read_cluster(client, names, self.workspace.storage, token, python)
        except InfrastructureError as error:
            do = "'ray job list' shows it; NTLBG_PYTHON names the Python on the head"
            yield failed("nodes", error, do)
            return ()
        yield machines.reached(found)
        return found

    def _database(self) -> Iterator[Finding]:
        if not self.workspace.ledger_exists:
            yield not_checked("database", "no ledger yet: the first submission makes it")
            yield not_checked("leader", "no ledger yet")
            return
        try:
            url = parse_url(self.workspace.ledger_url)
            engine = create_database_engine(url)
            try:
                with failures_in_a_line(url), engine.connect() as connection:
                    schema = revision(connection)
                yield services.database(schema, HEAD, shown(url))
                if schema == HEAD:
                    figures = Ledger(engine, time.time).figures()
                    holder = in_words(figures.leader) if figures.leader else ""
                    yield services.leader(holder, figures.waiting["place"])
                    yield services.mlflow_copy(
                        figures.unsent, figures.oldest_unsent, figures.refused
                    )
            finally:
                engine.dispose()
        except NtlbgError as error:
            yield failed("database", error, "is it up? 'ntlbg db check' looks closer")

    def _mlflow(self) -> Finding:
        where = self.workspace.tracking_uri
        try:
            if where.startswith(("http://", "https://")):
                return services.mlflow(store_behind(where), where)
            file = self.workspace.home / "mlflow.db"
            if not file.is_file():
                return not_checked("mlflow", f"{file}: the first run makes it")
            with closing(connect_to_read(file)) as runs:
                runs.execute("SELECT count(*) FROM experiments").fetchone()
        except (OSError, ValueError, sqlite3.Error) as error:
            return failed("mlflow", InfrastructureError(f"{where}: {error}"), MEND_MLFLOW)
        return services.mlflow("SQLite", str(file))


MEND_MLFLOW = "runs go on without it; start it, or mend --mlflow, and it is told the rest"


def _ask(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not an address of HTTP")
    with urllib.request.urlopen(url, timeout=MLFLOW_SECONDS) as answer:  # nosec B310 # see above
        return bytes(answer.read())


def store_behind(server: str) -> str | None:
    """Return an MLflow server's store type, or None if unknown. Raises OSError, ValueError."""
    _ask(f"{server.rstrip('/')}/health")
    try:
        said: Any = json.loads(_ask(f"{server.rstrip('/')}/api/3.0/mlflow/server-info"))
    except urllib.error.HTTPError as error:
        error.close()
        return None  # An older server, or one with a login.
    store = said.get("store_type") if isinstance(said, dict) else None
    return str(store) if store else None


def on_loopback(url: str) -> bool:
    """Return True if only this machine can reach an address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _devices(node: LiveNode) -> devices.Devices:
    return devices.Devices(
        name=node.name,
        ray_gpus=node.devices,
        labels=node.labels,
        cards=tuple(
            (gpu.product, gpu.memory_gib) for gpu in node.gpus if gpu.memory_gib is not None
        ),
        on_ray=node.ray_id is not None,
    )
