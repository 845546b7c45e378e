"""Number, resources and nodes of an attempt's workers."""

from collections.abc import Mapping, Sequence

from ray.train import ScalingConfig

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.labels import NODE, PROFILE
from ntlbg_service.domain.hardware.profiles import PROFILES


def scaling_of(
    fit: Fit, labels: Sequence[Mapping[str, str]], placed: Sequence[str] = ()
) -> ScalingConfig:
    """Return Ray Train's scaling config for a fit on the nodes of these Ray ids (`placed`).

    Without them, workers go to any node labelled with the fit's kind; where no node has such a
    label (`labels` are those of the cluster's nodes), to any node.
    """
    return ScalingConfig(
        num_workers=fit.workers,
        use_gpu=fit.profile != "cpu",
        resources_per_worker=fit.resources,
        placement_strategy=strategy(fit),
        label_selector=_on_nodes(fit, placed) if placed else _of_kind(fit, labels),
    )


def _on_nodes(fit: Fit, placed: Sequence[str]) -> list[dict[str, str]]:
    """Return the label selectors that put an even share of the workers on each node."""
    share = -(-fit.workers // len(placed))
    return [{NODE: node} for node in placed for _ in range(share)][: fit.workers]


def _of_kind(fit: Fit, labels: Sequence[Mapping[str, str]]) -> dict[str, str] | None:
    if not any(PROFILE in of_node for of_node in labels):
        return None
    names = names_of(fit.profile)
    return {PROFILE: names[0] if len(names) == 1 else f"in({','.join(names)})"}


def names_of(profile: str) -> tuple[str, ...]:
    """Return the names that a label may use for a kind."""
    return (profile, *(PROFILES[profile].aliases if profile in PROFILES else ()))


def strategy(fit: Fit) -> str:
    """Return Ray's placement strategy for a fit.

    A gang on one node is packed strictly; one worker per node is spread strictly. Several workers
    on each of several nodes fill whole nodes, which packing does.
    """
    if fit.nodes == 1:
        return "STRICT_PACK" if fit.workers > 1 else "PACK"
    return "STRICT_SPREAD" if fit.nodes == fit.workers else "PACK"
