"""Kinds of GPU as the planner sees them, and what a node offers beside them."""

import difflib
from dataclasses import dataclass

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
    peak_tflops: float
    """Dense 16-bit tensor-core peak from the vendor's data sheet; for a CPU the rate of one core
    in fp32, an assumption until calibrated."""
    aliases: tuple[str, ...] = ()
    """Names in other tools' files."""

    @property
    def is_cpu(self) -> bool:
        """True for the profile that stands for one CPU slot."""
        return self.capability is None


CPU = Profile(
    name="cpu",
    memory_gib=8.0,
    usable_gib=8.0,
    bf16=False,
    flash_attention=False,
    capability=None,
    peak_tflops=0.05,
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="V100-32GB",
            memory_gib=32,
            usable_gib=31.7,
            bf16=False,
            flash_attention=False,
            capability=(7, 0),
            peak_tflops=125,
            aliases=("V100_32GB", "V100"),
        ),
        Profile(
            name="A100-40GB",
            memory_gib=40,
            usable_gib=39.4,
            bf16=True,
            flash_attention=True,
            capability=(8, 0),
            peak_tflops=312,
            aliases=("A100_40GB", "A100-40G"),
        ),
        Profile(
            name="A100-80GB",
            memory_gib=80,
            usable_gib=79.2,
            bf16=True,
            flash_attention=True,
            capability=(8, 0),
            peak_tflops=312,
            aliases=("A100_80GB", "A100-80G"),
        ),
        Profile(
            name="RTX4090-24GB",
            memory_gib=24,
            usable_gib=23.6,
            bf16=True,
            flash_attention=True,
            capability=(8, 9),
            peak_tflops=165,
            aliases=("RTX_4090",),
        ),
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
    families = {"V100": "V100", "A100": "A100", "4090": "RTX4090"}
    for mark, family in families.items():
        if mark in product:
            for profile in PROFILES.values():
                close = abs(profile.usable_gib - memory_gib) <= 0.06 * profile.usable_gib
                if profile.name.startswith(family) and close:
                    return profile
    return None


@dataclass(frozen=True, kw_only=True)
class NodeShape:
    """What a node offers beside its GPUs."""

    cores: int
    host_memory_gib: float
    gpus: int = 1
    """Devices of one kind in the node."""
