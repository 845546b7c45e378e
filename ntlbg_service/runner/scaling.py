"""How many workers, what each of them holds, and which nodes they may go to."""

from collections.abc import Mapping, Sequence

from ray.train import ScalingConfig

from ntlbg_service.domain.fit import Fit

PROFILE = "ntlbg.io/profile"
"""The label by which a node says what kind its GPUs are, as `ray start` is given it. Ray's own
label knows a card's name, not how much memory it has."""


def scaling_of(fit: Fit, labels: Sequence[Mapping[str, str]]) -> ScalingConfig:
    """Ray Train's way to say where a fit runs; `labels` are those of the cluster's nodes.

    Where no node is labelled with its kind, all of them count as the fit's.
    """
    labelled = any(PROFILE in of_node for of_node in labels)
    return ScalingConfig(
        num_workers=fit.workers,
        use_gpu=fit.profile != "cpu",
        resources_per_worker=fit.resources,
        placement_strategy=strategy(fit),
        label_selector={PROFILE: fit.profile} if labelled else None,
    )


def strategy(fit: Fit) -> str:
    """A gang of one node stays on it; one worker a node is exactly that. Several on each of
    several nodes fill whole nodes, which packing does."""
    if fit.nodes == 1:
        return "STRICT_PACK" if fit.workers > 1 else "PACK"
    return "STRICT_SPREAD" if fit.nodes == fit.workers else "PACK"
