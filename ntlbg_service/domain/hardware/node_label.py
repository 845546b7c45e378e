"""What a node should say of its GPUs when it joins a cluster."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.gpu import Gpu
from ntlbg_service.domain.hardware.profile import Profile
from ntlbg_service.domain.hardware.profiles import PROFILES


class StartWords(NamedTuple):
    """What `ray start` is given."""

    kind: str
    gpus: int
    visible: tuple[str, ...] = ()
    """For CUDA_VISIBLE_DEVICES; empty where Ray may hand out all."""
    notes: tuple[str, ...] = ()
    """What is left out, and why."""


def start_words(gpus: Sequence[Gpu], kinds: Sequence[Profile], note: str = "") -> StartWords:
    """One node is of one kind: the one that most of its usable GPUs are of.

    Raises UserError where no usable GPU is of a known kind; `note` is why none was found.
    """
    if not gpus:
        why = note or "no GPU"
        raise UserError(f"cluster label: this machine has none (NVML: {why}); --kind names a kind")
    usable = [(gpu, gpu.planned_as(kinds)) for gpu in gpus if gpu.health.usable]
    known = Counter(kind for _, kind in usable if kind)
    if not known:
        found = "; ".join(_left_out(gpu) for gpu in gpus)
        valid = ", ".join(name for name in (*PROFILES, *(k.name for k in kinds)) if name != "cpu")
        raise UserError(f"cluster label: no GPU to use here: {found}; --kind is one of: {valid}")
    kind, count = known.most_common(1)[0]
    chosen = [gpu for gpu, planned in usable if planned == kind]
    others = [gpu for gpu in gpus if gpu not in chosen]
    return StartWords(
        kind=kind,
        gpus=count,
        visible=tuple(map(_cuda_name, chosen)) if others or _has_slice(chosen) else (),
        notes=tuple(f"left out: {_left_out(gpu, kinds)}" for gpu in others),
    )


def _has_slice(gpus: Sequence[Gpu]) -> bool:
    """CUDA shows one slice alone unless each is named."""
    return any(gpu.slice is not None for gpu in gpus)


def _cuda_name(gpu: Gpu) -> str:
    return gpu.uuid or str(gpu.index)


def _left_out(gpu: Gpu, kinds: Sequence[Profile] = ()) -> str:
    why = gpu.health.words or gpu.planned_as(kinds) or "of no known kind"
    memory = "" if gpu.memory_gib is None else f" {gpu.memory_gib:.1f} GiB"
    return f"GPU {gpu.called} ({gpu.product or 'unnamed'}{memory}): {why}"
