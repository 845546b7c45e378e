"""A node that is there, as it was read, and what of its GPUs a plan may count on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.gpu import Gpu, offered, ray_name
from ntlbg_service.domain.hardware.labels import PROFILE, simulated
from ntlbg_service.domain.hardware.profiles import Profile, profile_named


@dataclass(frozen=True, kw_only=True)
class LiveNode:
    """One node with its GPUs."""

    name: str
    cores: int
    host_memory_gib: float
    gpus: tuple[Gpu, ...]
    note: str = ""
    """Why no GPUs are listed, in NVML's words."""
    ray_id: str | None = None
    """Ray's id of the node, where Ray told of it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Ray's and the operator's labels."""
    devices: int = 0
    """GPUs that Ray hands out."""
    visible: tuple[str, ...] | None = None
    """CUDA_VISIBLE_DEVICES of what hands them out; None where it is not set or not known."""
    disk_gib: float | None = None
    """Free where temporary files go."""
    held: tuple[str, ...] = ()
    """GPUs that are kept from runs, as Ray calls them."""

    @property
    def offered(self) -> tuple[Gpu, ...]:
        """The GPUs that runs are given, whatever their health."""
        devices = len(self.gpus) if self.ray_id is None else self.devices
        return offered(self.gpus, devices, self.visible)

    def quarantined(self, known: Sequence[Profile] = ()) -> tuple[str, ...]:
        """GPUs that Ray hands out and that no run should be given, as Ray calls them: sick and busy
        ones, and where others are of a known kind, those of none."""
        known_kind = bool(self.kinds(known))
        return tuple(
            ray_name(gpu, place, self.visible)
            for place, gpu in enumerate(self.offered)
            if not gpu.health.usable or (known_kind and self.kind_of(gpu, known) is None)
        )

    def left_for_runs(self, known: Sequence[Profile] = ()) -> str | None:
        """CUDA_VISIBLE_DEVICES without those; None where it may stay as it is."""
        off = self.quarantined(known)
        if not off:
            return None
        names = [ray_name(gpu, place, self.visible) for place, gpu in enumerate(self.offered)]
        kept = [gpu for name, gpu in zip(names, self.offered, strict=True) if name not in off]
        return ",".join(gpu.uuid or str(gpu.index) for gpu in kept)

    def kinds(self, known: Sequence[Profile] = ()) -> dict[str, int]:
        """How many GPUs of which kind it has for runs. Left out are those that no kind describes,
        and those that are sick or that others use.

        The label says what all its GPUs are; without one NVML does. On a cluster no more count
        than Ray hands out, nor more than there are cores to go with them.
        """
        usable = [gpu for gpu in self.offered if gpu.health.usable]
        if PROFILE in self.labels:
            count = self.devices - (len(self.offered) - len(usable))
            found = Counter(dict.fromkeys(self._labelled(known), count))
        else:
            found = Counter(name for gpu in usable if (name := gpu.planned_as(known)))
        most = sum(found.values()) if self.ray_id is None else min(self.devices, self.cores)
        held = {kind: min(count, most) for kind, count in found.items()}
        return {kind: count for kind, count in held.items() if count > 0}

    def use_of(self, gpu: Gpu, known: Sequence[Profile] = ()) -> str:
        """What plans make of one of its GPUs: a kind, or why it is not used."""
        if not gpu.health.usable:
            return gpu.health.words
        if gpu not in self.offered:
            return "not handed out by Ray" if self.ray_id else "not in CUDA_VISIBLE_DEVICES"
        return (
            self.kind_of(gpu, known)
            or "no kind: 'ntlbg config schema --kind profile' describes one"
        )

    def kind_of(self, gpu: Gpu, known: Sequence[Profile] = ()) -> str | None:
        """The kind of one of its GPUs, by the label or by NVML; None for one that nobody knows."""
        if PROFILE in self.labels:
            return next(iter(self._labelled(known)), None)
        return gpu.planned_as(known)

    def _labelled(self, known: Sequence[Profile]) -> list[str]:
        with suppress(UserError):
            return [profile_named(self.labels[PROFILE], kinds=known).name]
        return []

    @property
    def simulated(self) -> bool:
        """Its GPUs are not there: what runs on them runs on the CPU."""
        return simulated(self.labels)
