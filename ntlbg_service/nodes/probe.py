"""What one machine says of itself. Standard library alone, and sent as text: `ntlbg doctor` runs
it on a cluster's nodes, where nothing of ours may be installed or reached."""

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
"""What a worker needs."""
NODE_SECONDS = 60.0
"""How long the nodes may take to run their tasks, all together."""
MARK = "ntlbg doctor: "
GIB = 1024**3


def reading(storage: str | None, token: str) -> dict[str, Any]:
    """The fields of `machines.Reading`, but for name and clock; without storage none is tried."""
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
    """Of a package; empty where it is not there. A build's own suffix (+cu130) does not count."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def try_storage(storage: Path, token: str) -> str:
    """Read the token that was left there, leave one of its own, take that back. What failed."""
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
    """This machine's time."""
    return time.time()


def main() -> None:
    """On the head: a task on every node, one line of JSON for all of them."""
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
    """A node's reading, with how far its clock is off the head's as far as that is beyond doubt."""
    try:
        said: dict[str, Any] = ray.get(task)
        before = time.time()
        there = ray.get(now.remote(), timeout=30)
        after = time.time()
    # A node that dies meanwhile, or runs another Python: the others are still told of.
    except Exception as error:
        return {"trouble": " ".join(str(error).split())[:200]}
    said["clock_off"] = min(0.0, there - before) + max(0.0, there - after)
    return said


if __name__ == "__main__":
    main()
