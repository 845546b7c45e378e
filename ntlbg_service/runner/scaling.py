"""How many workers, what each of them holds, and which nodes they may go to."""

from collections.abc import Mapping, Sequence

from ray.train import ScalingConfig

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.labels import NODE, PROFILE
from ntlbg_service.domain.hardware.profiles import PROFILES


def scaling_of(
    fit: Fit, labels: Sequence[Mapping[str, str]], placed: Sequence[str] = ()
) -> ScalingConfig:
    """Ray Train's way to say where a fit runs: on the nodes of these Ray ids (`placed`).

    Without them on any node labelled with its kind; where no node is labelled with a kind
    (`labels` are those of the cluster's nodes), all of them count as the fit's.
    """
    return ScalingConfig(
        num_workers=fit.workers,
        use_gpu=fit.profile != "cpu",
        resources_per_worker=fit.resources,
        placement_strategy=strategy(fit),
        label_selector=_on_nodes(fit, placed) if placed else _of_kind(fit, labels),
    )


def _on_nodes(fit: Fit, placed: Sequence[str]) -> list[dict[str, str]]:
    """An even share of the workers on each node."""
    share = -(-fit.workers // len(placed))
    return [{NODE: node} for node in placed for _ in range(share)][: fit.workers]


def _of_kind(fit: Fit, labels: Sequence[Mapping[str, str]]) -> dict[str, str] | None:
    if not any(PROFILE in of_node for of_node in labels):
        return None
    names = names_of(fit.profile)
    return {PROFILE: names[0] if len(names) == 1 else f"in({','.join(names)})"}


def names_of(profile: str) -> tuple[str, ...]:
    """What a label may call a kind."""
    return (profile, *(PROFILES[profile].aliases if profile in PROFILES else ()))


def strategy(fit: Fit) -> str:
    """A gang of one node stays on it; one worker a node is exactly that. Several on each of
    several nodes fill whole nodes, which packing does."""
    if fit.nodes == 1:
        return "STRICT_PACK" if fit.workers > 1 else "PACK"
    return "STRICT_SPREAD" if fit.nodes == fit.workers else "PACK"
