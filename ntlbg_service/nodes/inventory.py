"""Nodes and GPUs present now: those of the Ray cluster where one is named, else this machine."""

import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psutil

from ntlbg_service.domain.hardware.gpu import Gpu
from ntlbg_service.domain.hardware.live_inventory import inventory_of, ray_ids_of
from ntlbg_service.domain.hardware.live_node import LiveNode
from ntlbg_service.domain.resolve import parse
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.executors.nvml import GIB, descendant_of, read_gpus
from ntlbg_service.nodes.ray_nodes import ray_nodes
from ntlbg_service.nodes.readings import NodeReadings

__all__ = ["LiveNode", "gpu_of", "inventory_of", "ray_ids_of", "read_node", "read_nodes"]

DRIVER = "ntlbg_service.runner"
"""Module name in the command line of every local run."""


def read_node() -> LiveNode:
    """Read this machine."""
    found = read_gpus(descendant_of(_is_driver))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return LiveNode(
        name=socket.gethostname(),
        cores=os.cpu_count() or 1,
        host_memory_gib=psutil.virtual_memory().total / GIB,
        gpus=tuple(map(gpu_of, found.gpus)),
        note=found.note,
        visible=None if visible is None else tuple(filter(None, visible.split(","))),
        disk_gib=psutil.disk_usage(tempfile.gettempdir()).free / GIB,
    )


def _is_driver(process: psutil.Process) -> bool:
    """Return True for a local executor's driver, which starts its own Ray and all workers."""
    return DRIVER in process.cmdline()


def gpu_of(row: Mapping[str, Any]) -> Gpu:
    """Return a GPU from the plain values of `nvml` or of Ray's dashboard."""
    return parse(Gpu, row, f"GPU {row.get('index')}")


def read_nodes(
    environment: Mapping[str, str],
    client: JobClient | None = None,
    readings: NodeReadings | None = None,
) -> tuple[LiveNode, ...]:
    """Read every live node of the Ray cluster in RAY_ADDRESS, else this machine alone.

    `client` is an existing connection to the cluster, for frequent callers. With `readings`, the
    nodes' own readings of their GPUs take precedence over Ray's dashboard. Raises
    InfrastructureError where the cluster does not answer.
    """
    address = environment.get("RAY_ADDRESS")
    if not address:
        return (read_node(),)
    rows = ray_nodes(address, client)
    said = readings.newest([row["ray_id"] for row in rows]) if readings else {}
    return tuple(_joined(row, said.get(row["ray_id"])) for row in rows)


def _joined(row: Mapping[str, Any], said: Mapping[str, Any] | None) -> LiveNode:
    """Merge Ray's report of a node with the node's own reading.

    Memory in use is taken from Ray, whose report is the newer one.
    """
    gpus = tuple(map(gpu_of, row["gpus"]))
    if said is None:
        return LiveNode(**{**row, "gpus": gpus})
    used = {gpu.uuid: gpu.used_gib for gpu in gpus if gpu.uuid}
    own = (gpu_of(each) for each in said["gpus"])
    gpus = tuple(replace(gpu, used_gib=used.get(gpu.uuid, gpu.used_gib)) for gpu in own)
    visible = None if said["visible"] is None else tuple(said["visible"])
    own_word = {"note": said["note"], "visible": visible, "held": tuple(said["held"])}
    return LiveNode(**{**row, "gpus": gpus, **own_word})
