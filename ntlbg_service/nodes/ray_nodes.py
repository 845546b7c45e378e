"""Nodes of a Ray cluster as its dashboard reports them, in one HTTP request.

It works for both forms of RAY_ADDRESS and keeps no connection. A controller can call it often: it
starts no process on any node.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.job_client import JobClient

GIB = 1024**3
REPORT = "/nodes?view=summary"
"""Endpoint of the dashboard's own page of nodes."""
NO_REPORT = "its Ray agent has not reported yet"


def ray_nodes(address: str, client: JobClient | None = None) -> list[dict[str, Any]]:
    """Return every live node as the fields of `inventory.Node`.

    Raises InfrastructureError where the cluster does not answer.
    """
    answer = (client or JobClient(address)).get(REPORT)
    try:
        alive = [row for row in answer["data"]["summary"] if row["raylet"]["state"] == "ALIVE"]
        found = [_node(row) for row in alive]
    except (KeyError, TypeError) as error:
        raise InfrastructureError(
            f"Ray at {address}: its list of nodes is not understood ({error!r})"
        ) from None
    return [{**node, "name": name} for node, name in zip(found, _distinct(found), strict=True)]


def _node(row: Mapping[str, Any]) -> dict[str, Any]:
    raylet, reported = row["raylet"], "mem" in row
    resources = raylet["resourcesTotal"]
    memory = row["mem"][0] if reported else resources.get("memory", 0.0)
    return {
        "name": _name(raylet),
        "ray_id": raylet["nodeId"],
        "labels": dict(raylet.get("labels", {})),
        # A container's quota can make Ray's count smaller than the machine's.
        "cores": int(resources.get("CPU", 0)),
        "devices": int(resources.get("GPU", 0)),
        "host_memory_gib": memory / GIB,
        "gpus": [_gpu(gpu) for gpu in row.get("gpus") or ()],
        "note": "" if reported else NO_REPORT,
        "disk_gib": _free_disk(row),
    }


def _name(raylet: Mapping[str, Any]) -> str:
    """Return the name given to `ray start --node-name`, else the machine's."""
    given = str(raylet.get("nodeName") or "")
    try:
        # Without --node-name Ray names a node by its IP address.
        ipaddress.ip_address(given)
    except ValueError:
        return given or str(raylet["nodeManagerHostname"])
    return str(raylet["nodeManagerHostname"])


def _free_disk(row: Mapping[str, Any]) -> float | None:
    """Return the free GiB on the root disk; None where Ray does not report it."""
    free = ((row.get("disk") or {}).get("/") or {}).get("free")
    return None if free is None else free / GIB


def _gpu(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "index": row["index"],
        "product": row["name"],
        "memory_gib": row["memoryTotal"] / 1024,
        "used_gib": row["memoryUsed"] / 1024,
        "uuid": row.get("uuid", ""),
        "temperature_c": row.get("temperatureC"),
        "power_watts": None if row.get("powerMw") is None else row["powerMw"] / 1000,
    }


def _distinct(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return unique names of nodes: those that share one get the prefix of their Ray id."""
    shared = Counter(node["name"] for node in nodes)
    return [
        node["name"] if shared[node["name"]] == 1 else f"{node['name']}-{node['ray_id'][:6]}"
        for node in nodes
    ]
