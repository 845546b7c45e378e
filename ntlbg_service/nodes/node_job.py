"""Ray Job that reads every live node: a task on each reports NVML and the environment.

It is sent to the cluster with `nvml` and `gpu_quarantine` beside it and nothing else of this
package. Its argument is which GPUs of which node to quarantine (JSON; null changes nothing), and it
prints one line of JSON: readings by Ray's id of the node.
"""

import json
import os
import sys
from typing import Any

MARK = "ntlbg-nodes: "
"""Prefix of the answer's line within Ray's output."""
NODE_SECONDS = 45.0
"""Timeout for all nodes together; a node that takes longer is left out."""


def read_here() -> dict[str, Any]:
    """Read this node, from a task on it; processes of the node's Ray count as ours."""
    import psutil
    from nvml import descendant_of, read_gpus  # type: ignore[import-not-found]

    raylet = psutil.Process(os.getppid())
    found = read_gpus(descendant_of(lambda process: process == raylet))
    try:
        # A task without GPUs sees none, so the environment of its parent, the raylet, is read.
        visible = raylet.environ().get("CUDA_VISIBLE_DEVICES")
    except psutil.Error:
        visible = None
    named = None if visible is None else [name for name in visible.split(",") if name]
    return {"gpus": found.gpus, "note": found.note, "visible": named}


def main() -> None:
    """Quarantine the GPUs in the argument, and read all nodes concurrently."""
    import ray
    from gpu_quarantine import NAMESPACE, held_after  # type: ignore[import-not-found]
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(namespace=NAMESPACE, log_to_driver=False)
    held = held_after(json.loads(sys.argv[1]))
    task = ray.remote(num_cpus=0, max_retries=0)(read_here)
    asked = {
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(): node["NodeID"]
        for node in ray.nodes()
        if node["Alive"]
    }
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
    found: dict[str, Any] = {}
    for answer in ready:
        try:
            node = asked[answer]
            found[node] = {**ray.get(answer), "held": held.get(node, [])}
        except ray.exceptions.RayError as error:
            words = " ".join(str(error).split())[-200:]
            print(f"node {asked[answer]}: {words}", file=sys.stderr)
    print(MARK + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
