"""Quarantine of GPUs: an idle actor holds each GPU that no run should get.

Ray assigns GPUs by number and has no notion of their health. Part of `node_job`: it is sent to a
cluster together with that, and imports nothing else of this package.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

NAMESPACE = "ntlbg"
PREFIX = "ntlbg-hold-"
ANSWER_SECONDS = 10.0
"""Timeout for an actor to start; one that takes longer got no GPU, since all are in use."""
MOST = 16
"""Limit of GPUs per node that are tried."""

Held = dict[str, list[str]]
"""Names of GPUs, as Ray calls them, by Ray's id of the node."""


class Holder:
    """Actor that occupies one GPU for its lifetime and never uses it."""

    def given(self) -> tuple[str, str]:
        """Return the node, and the GPU that Ray assigned."""
        context = ray.get_runtime_context()
        return context.get_node_id(), str(context.get_accelerator_ids()["GPU"][0])


def held_after(wanted: Mapping[str, Sequence[str]] | None) -> Held:
    """Quarantine exactly the `wanted` GPUs, as far as they are free; return those held.

    None changes nothing.
    """
    held: Held = {}
    for actor in _holders():
        try:
            node, gpu = ray.get(actor.given.remote(), timeout=ANSWER_SECONDS)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
            ray.kill(actor)
            continue
        if wanted is not None and gpu not in wanted.get(node, ()):
            ray.kill(actor)
        else:
            held.setdefault(node, []).append(gpu)
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    for node, gpus in (wanted or {}).items():
        missing = set(gpus).difference(held.get(node, ()))
        if node in alive and missing:
            held.setdefault(node, []).extend(_hold(node, missing))
    return held


def _holders() -> list[Any]:
    names = ray.util.list_named_actors(all_namespaces=True)
    ours = (row["name"] for row in names if row["namespace"] == NAMESPACE)
    return [ray.get_actor(name, NAMESPACE) for name in ours if name.startswith(PREFIX)]


def _hold(node: str, wanted: set[str]) -> list[str]:
    """Allocate free GPUs of a node until the wanted ones are among them; release the others."""
    spare: list[Any] = []
    found: list[str] = []
    try:
        while wanted.difference(found) and len(spare) + len(found) < MOST:
            actor = _started(node)
            try:
                _, gpu = ray.get(actor.given.remote(), timeout=ANSWER_SECONDS)
            except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
                spare.append(actor)
                break  # The GPU is in use; the next reading tries again.
            if gpu in wanted:
                found.append(gpu)
            else:
                spare.append(actor)
    finally:
        for actor in spare:
            ray.kill(actor)
    return found


def _started(node: str) -> Any:
    return (
        ray.remote(Holder)
        .options(
            name=f"{PREFIX}{secrets.token_hex(4)}",
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            num_gpus=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        .remote()
    )
