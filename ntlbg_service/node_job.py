"""A Ray Job that reads every live node: a task on each says what NVML and the machine say there.

It is sent to the cluster with `nvml` beside it and nothing else of this package, and prints one
line of JSON: readings by Ray's id of the node.
"""

import json
import os
import sys
from typing import Any

MARK = "ntlbg-nodes: "
"""What the line begins with, among what Ray prints."""
NODE_SECONDS = 45.0
"""How long nodes may take, all together; one that takes longer is left out."""


def read_here() -> dict[str, Any]:
    """What this node says, from a task on it: ours are all processes of this node's Ray."""
    import psutil
    from nvml import descendant_of, read_gpus  # type: ignore[import-not-found]

    raylet = psutil.Process(os.getppid())
    found = read_gpus(descendant_of(lambda process: process == raylet))
    try:
        # A task without GPUs sees none, so it is asked of what starts tasks.
        visible = raylet.environ().get("CUDA_VISIBLE_DEVICES")
    except psutil.Error:
        visible = None
    named = None if visible is None else [name for name in visible.split(",") if name]
    return {"gpus": found.gpus, "note": found.note, "visible": named}


def main() -> None:
    """Read all nodes at once."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(log_to_driver=False)
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
            found[asked[answer]] = ray.get(answer)
        except ray.exceptions.RayError as error:
            words = " ".join(str(error).split())[-200:]
            print(f"node {asked[answer]}: {words}", file=sys.stderr)
    print(MARK + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
