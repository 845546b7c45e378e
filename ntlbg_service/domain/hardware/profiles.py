"""The kinds of GPU that are known, by name and by what NVML says.

Further ones are described in files and handed on as `kinds`, beside these.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ntlbg_model.footprint import Rates
from ntlbg_service.domain.errors import UserError, nearest
from ntlbg_service.domain.hardware.profile import DeviceOffer, NodeShape, Profile, TensorCores

__all__ = [
    "CPU",
    "PROFILES",
    "DeviceOffer",
    "NodeShape",
    "Profile",
    "including",
    "profile_named",
    "recognise",
]

ASSUMED = "vendor's data sheet; efficiency assumed, not measured"
FACTS = "NVML's total; compute capability and tensor cores by NVIDIA's CUDA programming guide"
EFFICIENCY = 0.35
"""Share of the peak rate assumed for a training step."""
CLOSE = 0.06
"""How far NVML's total may be from a profile's, as a share: driver and ECC take some."""
OTHER_CARDS = frozenset({"d", "ti", "super", "laptop", "mig"})
"""Words after a GeForce's number that make it another card, and the one that makes a part of a
card: a slice of an A100 has the memory of a smaller one, and a share of its speed."""
TENSOR_CORES: Mapping[tuple[int, int], tuple[TensorCores, ...]] = MappingProxyType(
    {
        (7, 0): ("fp16",),
        (8, 0): ("fp16", "bf16", "tf32", "int8"),
        (8, 6): ("fp16", "bf16", "tf32", "int8"),
        (8, 9): ("fp16", "bf16", "tf32", "fp8", "int8"),
        (9, 0): ("fp16", "bf16", "tf32", "fp8", "int8"),
    }
)
"""By compute capability."""


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
    name: str,
    usable: float,
    capability: tuple[int, int],
    rates: Rates,
    *aliases: str,
    product: str | None = None,
) -> Profile:
    """A GPU by its name, which ends with its nominal memory and begins with its product's name
    where nothing else is said."""
    kind, memory = name.rsplit("-", 1)
    return Profile(
        name=name,
        memory_gib=float(memory.removesuffix("GB")),
        usable_gib=usable,
        capability=capability,
        tensor_cores=TENSOR_CORES[capability],
        rates=rates,
        products=(product or kind,),
        aliases=aliases,
        source=FACTS,
    )


def _geforce(
    number: str, usable: float, capability: tuple[int, int], rates: Rates, *aliases: str
) -> Profile:
    return _gpu(
        f"RTX{number.replace(' ', '')}-24GB",
        usable,
        capability,
        rates,
        *aliases,
        product=f"RTX {number}",
    )


CPU = Profile(
    name="cpu",
    memory_gib=8.0,
    usable_gib=8.0,
    capability=None,
    tensor_cores=(),
    rates=_rates(0.05, 0.05, 20, 20, 20, "one core in fp32, assumed"),
    source="a slot for one small run, assumed",
)

_V100, _A100 = (7, 0), (8, 0)
_AMPERE, _ADA, _HOPPER = (8, 6), (8, 9), (9, 0)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            _gpu("V100-16GB", 15.8, _V100, _rates(125, 15.7, 900, 150, 12), "V100_16GB"),
            _gpu("V100-32GB", 31.7, _V100, _rates(125, 15.7, 900, 150, 12), "V100_32GB", "V100"),
            _gpu(
                "A100-40GB", 39.4, _A100, _rates(312, 19.5, 1555, 300, 25), "A100_40GB", "A100-40G"
            ),
            _gpu(
                "A100-80GB", 79.2, _A100, _rates(312, 19.5, 2039, 300, 25), "A100_80GB", "A100-80G"
            ),
            _geforce("4090", 23.6, _ADA, _rates(165, 82.6, 1008, 25, 25), "RTX_4090"),
            _geforce("4090 D", 23.6, _ADA, _rates(147, 73.5, 1008, 25, 25), "RTX_4090_D"),
            _geforce("3090", 23.6, _AMPERE, _rates(71, 35.6, 936, 25, 25), "RTX_3090"),
            _gpu("H100-80GB", 79.6, _HOPPER, _rates(989, 67, 3350, 450, 55), "H100_80GB", "H100"),
            _gpu(
                "H100-PCIE-80GB",
                79.6,
                _HOPPER,
                _rates(756, 51, 2000, 55, 55),
                "H100_PCIE_80GB",
                product="H100 PCIe",
            ),
            _gpu(
                "H100-NVL-94GB",
                93.6,
                _HOPPER,
                _rates(835, 60, 3900, 300, 55),
                "H100_NVL_94GB",
                product="H100 NVL",
            ),
            _gpu(
                "H200-141GB", 140.4, _HOPPER, _rates(989, 67, 4800, 450, 55), "H200_141GB", "H200"
            ),
            _gpu("L4-24GB", 22.5, _ADA, _rates(121, 30.3, 300, 25, 25), "L4_24GB", "L4"),
            _gpu("L40S-48GB", 45.0, _ADA, _rates(362, 91.6, 864, 25, 25), "L40S_48GB", "L40S"),
            _gpu("A10-24GB", 22.5, _AMPERE, _rates(125, 31.2, 600, 25, 25), "A10_24GB", "A10"),
            _gpu("A10G-24GB", 22.5, _AMPERE, _rates(70, 31.5, 600, 25, 25), "A10G_24GB", "A10G"),
            CPU,
        )
    }
)


def profile_named(name: str, source: str = "profile", kinds: Iterable[Profile] = ()) -> Profile:
    """The profile of that name or alias, built in or of `kinds`. Raises UserError with the nearest
    name."""
    known = {profile.name: profile for profile in (*PROFILES.values(), *kinds)}
    for profile in known.values():
        if name == profile.name or name in profile.aliases:
            return profile
    raise UserError(f"{source}: unknown GPU kind '{name}'; {nearest(name, known)}")


def including(kinds: Sequence[Profile], more: Profile, source: str) -> tuple[Profile, ...]:
    """`kinds` and one more, once. Raises UserError where a name of it is taken by another kind."""
    if more in kinds:
        return tuple(kinds)
    for known in (*PROFILES.values(), *kinds):
        taken = {known.name, *known.aliases}.intersection((more.name, *more.aliases))
        if taken:
            where = "name" if more.name in taken else "aliases"
            raise UserError(f"{source}: {where}: '{min(taken)}' is a known GPU kind, {known.name}")
    return (*kinds, more)


def recognise(product: str, memory_gib: float, kinds: Iterable[Profile] = ()) -> Profile | None:
    """The profile of a GPU from what NVML says: product name, and total memory within 6 %."""
    said = _words(product)
    best: tuple[int, Profile] | None = None
    for profile in (*PROFILES.values(), *kinds):
        if abs(profile.usable_gib - memory_gib) > CLOSE * profile.usable_gib:
            continue
        for words in map(_words, profile.products):
            if words <= said and not (said - words) & OTHER_CARDS:
                best = max(best or (0, profile), (len(words), profile), key=lambda pair: pair[0])
    return best[1] if best else None


def _words(product: str) -> frozenset[str]:
    return frozenset(re.split(r"[\s_-]+", product.lower()))
