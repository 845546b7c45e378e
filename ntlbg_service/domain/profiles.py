"""Kinds of GPU as the planner sees them, and what a node offers beside them."""

import difflib
import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from ntlbg_model.footprint import Rates
from ntlbg_service.domain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of device."""

    name: str
    memory_gib: float
    """What the vendor calls it, in GiB."""
    usable_gib: float
    """What NVML reports as the total (facts of the cards; a V100-32GB shows 31.7)."""
    bf16: bool
    """Native bfloat16 arithmetic."""
    flash_attention: bool
    """FlashAttention-2 exists for it (compute capability 8.0 and up)."""
    capability: tuple[int, int] | None
    """CUDA compute capability; None for a CPU."""
    rates: Rates
    """How fast it is."""
    aliases: tuple[str, ...] = ()
    """Names in other tools' files."""

    @property
    def is_cpu(self) -> bool:
        """True for the profile that stands for one CPU slot."""
        return self.capability is None


ASSUMED = "vendor's data sheet; efficiency assumed, not measured"
EFFICIENCY = 0.35
"""Share of the peak rate assumed for a training step."""


def _rates(
    half: float, full: float, bandwidth: float, link: float, host: float, source: str = ASSUMED
) -> Rates:
    return Rates(
        half_tflops=half,
        full_tflops=full,
        bandwidth_gbs=bandwidth,
        link_gbs=link,
        host_gbs=host,
        efficiency=EFFICIENCY,
        source=source,
    )


def _gpu(
    name: str, usable: float, capability: tuple[int, int], rates: Rates, *aliases: str
) -> Profile:
    """A GPU by its name, which ends with its nominal memory."""
    modern = capability >= (8, 0)
    return Profile(
        name=name,
        memory_gib=float(name.rsplit("-", 1)[1].removesuffix("GB")),
        usable_gib=usable,
        bf16=modern,
        flash_attention=modern,
        capability=capability,
        rates=rates,
        aliases=aliases,
    )


CPU = Profile(
    name="cpu",
    memory_gib=8.0,
    usable_gib=8.0,
    bf16=False,
    flash_attention=False,
    capability=None,
    rates=_rates(0.05, 0.05, 20, 20, 20, "one core in fp32, assumed"),
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        _gpu("V100-16GB", 15.8, (7, 0), _rates(125, 15.7, 900, 150, 12), "V100_16GB"),
        _gpu("V100-32GB", 31.7, (7, 0), _rates(125, 15.7, 900, 150, 12), "V100_32GB", "V100"),
        _gpu("A100-40GB", 39.4, (8, 0), _rates(312, 19.5, 1555, 300, 25), "A100_40GB", "A100-40G"),
        _gpu("A100-80GB", 79.2, (8, 0), _rates(312, 19.5, 2039, 300, 25), "A100_80GB", "A100-80G"),
        _gpu("RTX4090-24GB", 23.6, (8, 9), _rates(165, 82.6, 1008, 25, 25), "RTX_4090"),
        _gpu("RTX3090-24GB", 23.6, (8, 6), _rates(71, 35.6, 936, 25, 25), "RTX_3090"),
        _gpu("H100-80GB", 79.6, (9, 0), _rates(989, 67, 3350, 450, 55), "H100_80GB", "H100"),
        _gpu("H200-141GB", 140.4, (9, 0), _rates(989, 67, 4800, 450, 55), "H200_141GB", "H200"),
        _gpu("L4-24GB", 22.5, (8, 9), _rates(121, 30.3, 300, 25, 25), "L4_24GB", "L4"),
        _gpu("A10-24GB", 22.5, (8, 6), _rates(125, 31.2, 600, 25, 25), "A10_24GB", "A10"),
        CPU,
    )
}


def profile_named(name: str, source: str = "profile") -> Profile:
    """The profile of that name or alias. Raises UserError with the nearest name."""
    for profile in PROFILES.values():
        if name == profile.name or name in profile.aliases:
            return profile
    near = difflib.get_close_matches(name, PROFILES, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(PROFILES)}"
    raise UserError(f"{source}: unknown GPU kind '{name}'; {hint}")


def recognise(product: str, memory_gib: float) -> Profile | None:
    """The profile of a GPU from what NVML says: product name, and total memory within 6 %."""
    for mark in ("V100", "A100", "4090", "3090", "H100", "H200", "L4", "A10"):
        if re.search(rf"(?<![A-Z0-9]){mark}(?![A-Z0-9])", product):
            for profile in PROFILES.values():
                close = abs(profile.usable_gib - memory_gib) <= 0.06 * profile.usable_gib
                if profile.name.split("-")[0].endswith(mark) and close:
                    return profile
    return None


@dataclass(frozen=True, kw_only=True)
class NodeShape:
    """What a node offers beside its GPUs."""

    cores: int
    host_memory_gib: float
    gpus: int = 1
    """Devices of one kind in the node."""
    network_gbits: float | None = None
    """Between nodes, 10^9 bits a second, where it is known."""

    @property
    def decoding_cores(self) -> int:
        """Cores of a GPU's worker: an even share, less one for the driver of its run."""
        return max(1, self.cores // self.gpus - 1)


class Place(NamedTuple):
    """Like nodes with one kind of device."""

    profile: Profile
    node: NodeShape
    nodes: int = 1

    @property
    def rates(self) -> Rates:
        """How fast the devices are, with the network between their nodes."""
        if self.node.network_gbits is None:
            return self.profile.rates
        return replace(self.profile.rates, network_gbs=max(self.node.network_gbits, 1e-3) / 8)

    @property
    def cores(self) -> int:
        """CPU cores of one worker; on a CPU a worker is one."""
        return 1 if self.profile.is_cpu else self.node.decoding_cores
