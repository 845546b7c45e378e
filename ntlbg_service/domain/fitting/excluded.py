"""What keeps a variant off a kind of node, whatever the settings."""

from ntlbg_model.config import Config
from ntlbg_service.domain.fitting.candidates import nodes_for
from ntlbg_service.domain.hardware.profiles import DeviceOffer, Profile


def excluded(config: Config, place: DeviceOffer) -> str | None:
    """Why a config can never run on such nodes; None where settings decide."""
    return _by_kind(config, place.profile) or _by_number(config, place)


def _by_kind(config: Config, profile: Profile) -> str | None:
    wanted = config.hardware.profile
    if wanted is not None and wanted != profile.name and wanted not in profile.aliases:
        return f"hardware.profile asks for {wanted}"
    if config.training.precision == "bf16" and not (profile.bf16 or profile.is_cpu):
        return "training.precision is bf16, which it lacks"
    if config.training.precision == "fp16" and profile.is_cpu:
        return "training.precision is fp16; a CPU has none"
    return None


def _by_number(config: Config, place: DeviceOffer) -> str | None:
    node, workers = place.node, config.hardware.num_gpus or 1
    if config.training.global_batch % workers:
        return (
            f"training.global_batch {config.training.global_batch} is not a multiple of "
            f"hardware.num_gpus {workers}"
        )
    if workers > node.gpus * place.nodes:
        return f"needs {workers} devices, there are {node.gpus * place.nodes}"
    spread = nodes_for(workers, node, place.nodes)
    if spread is None:
        return (
            f"hardware.num_gpus {workers} cannot be the same on each of up to {place.nodes} nodes "
            f"of {node.gpus}"
        )
    if workers // spread > node.cores:
        return (
            f"a node has {node.cores} cores for {workers // spread} workers, and each needs one "
            "to decode with"
        )
    return None
