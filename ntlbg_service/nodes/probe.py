"""Reading of one machine, for `ntlbg doctor`.

Standard library alone, and sent as text: it runs on a cluster's nodes, where none of our packages
may be installed or reachable.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGES = ("ray", "torch", "transformers", "peft", "accelerate", "av", "numpy", "pydantic")
"""Packages that a worker needs."""
NODE_SECONDS = 60.0
"""Timeout for all nodes to run their tasks."""
MARK = "ntlbg doctor: "
GIB = 1024**3


def reading(storage: str | None, token: str) -> dict[str, Any]:
    """Return the fields of `machines.Reading` except name and clock; None skips the storage."""
    places = [tempfile.gettempdir()]
    trouble = ""
    if storage is not None:
        trouble = try_storage(Path(storage), token)
        places += [] if trouble else [storage]
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "storage": trouble,
        "free_gib": {place: shutil.disk_usage(place).free / GIB for place in places},
    }


def version(name: str) -> str:
    """Return a package's version without a local suffix (+cu130); empty where it is missing."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def try_storage(storage: Path, token: str) -> str:
    """Read the token in the storage, then write and delete a file; return the error, if any."""
    folder = storage / f".doctor-{token}"
    own = folder / f"{socket.gethostname()}-{os.getpid()}"
    try:
        if (folder / "token").read_text() != token:
            return f"{storage} is another folder here"
        own.write_text(token)
        own.unlink()
    except FileNotFoundError:
        return f"{storage} is not there, or is another folder"
    except OSError as error:
        return f"{storage}: {error.strerror or error}"
    return ""


def clock() -> float:
    """Return this machine's time."""
    return time.time()


def main() -> None:
    """Run a task on every node, from the head, and print one line of JSON for all of them."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    storage, token = sys.argv[-2:]
    ray.init(log_to_driver=False)
    read = ray.remote(num_cpus=0, max_retries=0)(reading)
    now = ray.remote(num_cpus=0, max_retries=0)(clock)
    asked, found = {}, {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = read.options(scheduling_strategy=there).remote(storage, token)
            asked[task] = (node["NodeID"], now.options(scheduling_strategy=there))
    deadline = time.monotonic() + NODE_SECONDS
    waiting = list(asked)
    while waiting and time.monotonic() < deadline:
        ended, waiting = ray.wait(waiting, timeout=max(0.1, deadline - time.monotonic()))
        for task in ended:
            node, there = asked[task]
            found[node] = told(ray, task, there)
    for task in waiting:
        found[asked[task][0]] = {"trouble": f"no answer within {NODE_SECONDS:g} s"}
    print(MARK + json.dumps({"nodes": found, "time": time.time()}), flush=True)


def told(ray: Any, task: Any, now: Any) -> dict[str, Any]:
    """Return a node's reading with a lower bound of its clock's offset from the head's."""
    try:
        said: dict[str, Any] = ray.get(task)
        before = time.time()
        there = ray.get(now.remote(), timeout=30)
        after = time.time()
    # A node may die meanwhile or run another Python; the other nodes are still reported.
    except Exception as error:
        return {"trouble": " ".join(str(error).split())[:200]}
    said["clock_off"] = min(0.0, there - before) + max(0.0, there - after)
    return said


if __name__ == "__main__":
    main()
