"""Node types of a KubeRay resource: RayCluster, or the cluster within a RayJob or RayService."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ntlbg_service.domain.hardware.inventory import NodeGroup
from ntlbg_service.domain.hardware.labels import PROFILE
from ntlbg_service.domain.hardware.profiles import Profile
from ntlbg_service.nodes.node_types.documents import At
from ntlbg_service.nodes.node_types.kind import checked, kind_of

WITHIN = {"RayCluster": "", "RayJob": "rayClusterSpec", "RayService": "rayClusterConfig"}
"""Key of the cluster in the spec of each kind of resource."""
GPU = "nvidia.com/gpu"
PRODUCT = "nvidia.com/gpu.product"
"""Label of NVIDIA's GPU feature discovery with the product name."""
UNITS: Mapping[str, Decimal] = {
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTP", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTP", start=1)},
}
"""Suffixes of Kubernetes quantities."""


@dataclass(frozen=True)
class KubeRay:
    """Reader of `workerGroupSpecs`: replicas, labels and the limits of their first container."""

    path: Path
    document: Mapping[str, Any]
    kinds: tuple[Profile, ...] = ()

    def groups(self) -> tuple[NodeGroup, ...]:
        """Return the groups that have GPUs and a maximum of at least one node."""
        whole = At(self.path, "", self.document)
        kind = whole.at("kind").value
        if not isinstance(kind, str) or kind not in WITHIN:
            raise whole.at("kind").wrong(f"must be one of {', '.join(WITHIN)}, got {kind!r}")
        cluster = whole.at("spec")
        cluster = cluster.at(WITHIN[kind]) if WITHIN[kind] else cluster
        scales = bool(cluster.at("enableInTreeAutoscaling").value)
        found = [self._group(of, scales) for of in cluster.at("workerGroupSpecs").each()]
        return tuple(group for group in found if group is not None)

    def _group(self, of: At, scales: bool) -> NodeGroup | None:
        pod = of.at("template").at("spec")
        start, limits = of.at("rayStartParams"), _limits(pod)
        labels = _labels(of, start)
        gpus = start.at("num-gpus").count(quantity(limits.at(GPU)))
        hosts = of.at("numOfHosts").count(1)
        asked = of.at("replicas").count(0)
        most = of.at("maxReplicas").count(asked) if scales else asked
        if not gpus and labels.get(PROFILE, "cpu") != "cpu":
            raise limits.at(GPU).wrong("must say how many GPUs a node has")
        if not gpus or not most or of.at("suspend").value:
            return None
        product = pod.at("nodeSelector").at(PRODUCT).value
        if product is not None and not isinstance(product, str):
            raise pod.at("nodeSelector").at(PRODUCT).wrong("must be a text")
        group = NodeGroup(
            profile=kind_of(labels, of.at("labels"), self.kinds, product),
            gpus=gpus,
            nodes=0,
            max_nodes=most * hosts,
            name=str(of.at("groupName").value or ""),
        )
        memory = quantity(limits.at("memory")) / 1024**3
        return checked(
            group,
            of,
            min_nodes=(of.at("minReplicas").count(0) if scales else asked) * hosts,
            cores=start.at("num-cpus").count(quantity(limits.at("cpu")) or group.cores),
            host_memory_gib=memory or group.host_memory_gib,
        )


def _limits(pod: At) -> At:
    """Return the limits of the Ray container, which is the first."""
    containers = pod.at("containers")
    return (containers.each() or [containers])[0].at("resources").at("limits")


def _labels(of: At, start: At) -> dict[str, str]:
    """Return the labels of the group and those of `ray start --labels`, as `a=b,c=d`."""
    said = start.at("labels").value
    pairs = [pair.partition("=") for pair in str(said).split(",")] if said else []
    return {key.strip(): value.strip() for key, _, value in pairs} | of.at("labels").texts()


def quantity(at: At) -> int:
    """Parse a Kubernetes quantity, rounded down: `8`, `500m`, `320Gi`; 0 where it is missing."""
    if at.value is None:
        return 0
    said = str(at.value)
    unit = next((unit for unit in sorted(UNITS, key=len)[::-1] if said.endswith(unit)), "")
    try:
        number = Decimal(said.removesuffix(unit)) * (UNITS[unit] if unit else 1)
    except InvalidOperation:
        raise at.wrong(f"must be a quantity as '8' or '320Gi', got {said!r}") from None
    if not number.is_finite() or number < 0:
        raise at.wrong(f"must be at least 0, got {said!r}")
    return int(number)
