"""A Ray cluster of several nodes on this machine, in a process of its own.

It is told what to do line by line, so that its environment, its warnings and its end are its own:
when the test process goes away, however that happens, so does the cluster.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from ntlbg_service.nodes.ray_nodes import ray_nodes


class RayCluster:
    """What a test sees of the cluster. Its token is that of the test process, which Ray's client
    has read by now."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._log = (self.folder / "cluster.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_cluster"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
                **self._rules,
                "RAY_TMPDIR": str(self.folder),
            },
            text=True,
        )
        try:
            self.address, self.dashboard = self._answer()
        except BaseException:
            self.stop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """What a client of the cluster needs."""
        return {"RAY_ADDRESS": self.dashboard, **self._rules}

    @property
    def _rules(self) -> dict[str, str]:
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": os.environ["RAY_AUTH_TOKEN"],
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def add_node(self, **options: Any) -> str:
        """One more node; its Ray id."""
        return str(self._ask("add", options))

    def reported(self) -> set[str]:
        """Ray's ids of the nodes of which the dashboard has heard: others it knows by half."""
        return {row["ray_id"] for row in ray_nodes(self.dashboard) if not row.get("note")}

    def remove_node(self, node: str, *, kill: bool = False) -> None:
        """Take a node away: in order, or with SIGKILL for all its processes."""
        self._ask("kill" if kill else "remove", node)

    def kill(self) -> None:
        """SIGKILL to the head, every node, and all that runs there: all at once, without a word."""
        cluster = psutil.Process(self._process.pid)
        processes = [*cluster.children(recursive=True), cluster]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(processes, timeout=30)

    def stop(self) -> None:
        """End it and all its processes."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        finally:
            self._process.kill()
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
            self._log.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, verb: str, what: Any) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([verb, what]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("answer: "):
                return json.loads(line.removeprefix("answer: "))
        raise AssertionError(f"no answer: {(self.folder / 'cluster.log').read_text()[-2000:]}")


def serve() -> None:
    """The cluster's process: one head, and nodes as it is told."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 4,
            "include_dashboard": True,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": _free_port(),
            # Else a second cluster on this machine has no agent that starts jobs.
            "dashboard_agent_listen_port": _free_port(),
        },
    )
    nodes: dict[str, Any] = {}
    try:
        _say([cluster.address, f"http://{cluster.head_node.webui_url}"])
        for line in sys.stdin:
            verb, what = json.loads(line)
            if verb == "add":
                node = cluster.add_node(**what)
                nodes[node.node_id] = node
                _say(node.node_id)
            else:
                cluster.remove_node(nodes.pop(what), allow_graceful=verb == "remove")
                _say(what)
    finally:
        cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _say(answer: Any) -> None:
    print(f"answer: {json.dumps(answer)}", flush=True)


if __name__ == "__main__":
    serve()
