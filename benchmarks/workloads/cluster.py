"""The cluster that the workloads are planned on, in nodes of eight GPUs."""

from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup


def mixed_cluster(nodes: int = 64) -> Inventory:
    """V100-32GB, A100-40GB and A100-80GB as 3 : 3 : 2; 64 nodes are 512 GPUs."""
    shares = {"V100-32GB": 3, "A100-40GB": 3, "A100-80GB": 2}
    host = {"V100-32GB": 768.0, "A100-40GB": 1152.0, "A100-80GB": 1152.0}
    return Inventory(
        name=f"{8 * nodes} GPUs",
        groups=tuple(
            NodeGroup(
                profile=profile,
                gpus=8,
                nodes=nodes * share // 8,
                cores=96,
                host_memory_gib=host[profile],
            )
            for profile, share in shares.items()
        ),
    )
