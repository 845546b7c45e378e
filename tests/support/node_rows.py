"""Rows of nodes as Ray's dashboard gives them."""

from collections.abc import Callable
from typing import Any

from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.nodes.ray_nodes import ray_nodes


def node_row(ray_id: str, **changes: Any) -> dict[str, Any]:
    """A node as Ray 2.60's dashboard reports it, without what is not read."""
    raylet = {
        "nodeId": ray_id,
        "nodeName": "192.0.2.7",
        "nodeManagerHostname": "gpu1",
        "resourcesTotal": {"CPU": 16.0, "GPU": 2.0, "memory": 1024.0**3},
        "labels": {"ray.io/node-id": ray_id},
        "state": "ALIVE",
    }
    gpu = {"index": 0, "name": "Tesla V100-SXM2-32GB", "memoryTotal": 32510, "memoryUsed": 512}
    row: dict[str, Any] = {"mem": [64 * 1024**3, 0, 0.0, 0], "gpus": [gpu], "raylet": raylet}
    raylet |= changes.pop("raylet", {})
    return {**row, **changes}


def reading(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    class Answer:
        def raise_for_status(self) -> None: ...

        def json(self) -> Any:
            return {"result": True, "data": {"summary": list(rows)}}

    class Dashboard:
        _do_request: Callable[..., Answer] = lambda *_: Answer()

    return ray_nodes("HOST:6379", JobClient("HOST:6379", connect=lambda _: Dashboard()))
