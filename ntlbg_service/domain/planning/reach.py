"""Which kinds of GPU hold which of several configs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ntlbg_model.config import Config
from ntlbg_service.domain.fitting.analysis import NODE
from ntlbg_service.domain.fitting.fit import Fit, Misfit
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.profiles import Profile, profile_named
from ntlbg_service.domain.planning.fitter import Fitter


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one kind of GPU makes of the configs that may run on it."""

    profile: str
    fits: tuple[str, ...]
    """Configs that run there."""
    planned: tuple[str, ...]
    """Configs that fit only with settings that no runner has yet."""
    misfits: Mapping[str, str]
    """Configs that fit in no way, with the reason."""


def nodes_of(kinds: Sequence[str], more: Sequence[Profile] = ()) -> Inventory:
    """One node of each kind, as tables assume it; `more` are kinds beside those built in."""
    groups = tuple(
        NodeGroup(
            profile=kind,
            gpus=1 if kind == "cpu" else NODE.gpus,
            cores=NODE.cores,
            host_memory_gib=NODE.host_memory_gib,
        )
        for kind in kinds
    )
    return Inventory(name="one node a kind", groups=groups, kinds=tuple(more))


def reach(configs: Mapping[str, Config], inventory: Inventory) -> tuple[Reach, ...]:
    """For every kind in an inventory, which of the configs it holds.

    A config that names its kind is judged on that kind alone.
    """
    fitter = Fitter(inventory)
    found = {name: fitter(config) for name, config in configs.items()}
    kinds = []
    for profile in inventory.capacity():
        asked = {name for name, config in configs.items() if _may(config, profile, inventory)}
        if not asked:
            continue
        fits = {
            name: next((fit for fit in found[name][0] if fit.profile == profile), None)
            for name in configs
            if name in asked
        }
        kinds.append(_reach(profile, fits, {name: found[name][1] for name in asked}))
    return tuple(kinds)


def _reach(
    profile: str, fits: Mapping[str, Fit | None], misfits: Mapping[str, Sequence[Misfit]]
) -> Reach:
    return Reach(
        profile=profile,
        fits=tuple(name for name, fit in fits.items() if fit and fit.unsupported is None),
        planned=tuple(name for name, fit in fits.items() if fit and fit.unsupported is not None),
        misfits={
            name: "; ".join(miss.reason for miss in misfits[name] if miss.profile == profile)
            for name, fit in fits.items()
            if fit is None
        },
    )


def _may(config: Config, profile: str, inventory: Inventory) -> bool:
    wanted = config.hardware.profile
    return wanted is None or profile_named(wanted, inventory.name, inventory.kinds).name == profile


def too_many_gpus(config: Config, inventory: Inventory) -> str | None:
    """Why no node has as many GPUs as a config asks for; None where one does."""
    asked = config.hardware.num_gpus
    nodes = [
        group.gpus
        for group in inventory.groups
        if _may(config, inventory.profile_of(group).name, inventory)
    ]
    if asked is None or not nodes or asked <= max(nodes):
        return None
    return f"hardware.num_gpus {asked} is more than a node has ({max(nodes)})"
