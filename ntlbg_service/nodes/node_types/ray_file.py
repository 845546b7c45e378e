"""Node types of Ray's own cluster YAML, the one of `ray up`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntlbg_service.domain.hardware.inventory import NodeGroup
from ntlbg_service.domain.hardware.labels import PROFILE
from ntlbg_service.domain.hardware.profiles import Profile
from ntlbg_service.nodes.node_types.documents import At
from ntlbg_service.nodes.node_types.kind import checked, kind_of

MOST = 2
"""Ray's default of `max_workers`."""


@dataclass(frozen=True)
class RayFile:
    """Reader of `available_node_types`: `resources`, `labels`, `min_workers`, `max_workers`."""

    path: Path
    document: Mapping[str, Any]
    kinds: tuple[Profile, ...] = ()

    def groups(self) -> tuple[NodeGroup, ...]:
        """Return the types that have GPUs and a maximum of at least one worker."""
        whole = At(self.path, "", self.document)
        most = whole.at("max_workers").count(MOST)
        head = whole.at("head_node_type").value
        found = [
            self._group(name, of, most)
            for name, of in whole.at("available_node_types").items()
            if name != head
        ]
        return tuple(group for group in found if group is not None)

    def _group(self, name: str, of: At, most: int) -> NodeGroup | None:
        resources, labels = of.at("resources"), of.at("labels")
        limit = min(of.at("max_workers").count(most), most)
        gpus = resources.at("GPU").count(0)
        if not gpus and labels.texts().get(PROFILE, "cpu") != "cpu":
            raise resources.at("GPU").wrong("must say how many GPUs a node has")
        if not gpus or not limit:
            return None
        memory = resources.at("memory").count(0)
        group = NodeGroup(
            profile=kind_of(labels.texts(), labels, self.kinds),
            gpus=gpus,
            nodes=0,
            max_nodes=limit,
            name=name,
        )
        return checked(
            group,
            of,
            min_nodes=of.at("min_workers").count(0),
            cores=resources.at("CPU").count(group.cores),
            host_memory_gib=memory / 1024**3 if memory else group.host_memory_gib,
        )
