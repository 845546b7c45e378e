"""A kind of GPU as the planner sees it, and what a node offers beside it."""

from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal, NamedTuple

from ntlbg_model.config import STRICT
from ntlbg_model.footprint import Rates

TensorCores = Literal["fp16", "bf16", "tf32", "fp8", "int8"]
"""What tensor cores multiply."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of device."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    """What fits, plans and inventories call it: 'A100-40GB'."""
    memory_gib: float
    """What the vendor calls it, in GiB."""
    usable_gib: float
    """What NVML reports as the total (facts of the cards; a V100-32GB shows 31.7)."""
    capability: tuple[int, int] | None
    """CUDA compute capability; None for a CPU."""
    tensor_cores: tuple[TensorCores, ...]
    """What its tensor cores multiply; with bf16, the fit computes in it."""
    rates: Rates
    """How fast it is."""
    products: tuple[str, ...] = ()
    """Words of NVML's product name by which it is known: 'H100 NVL'. All must be there; of several
    kinds the one with the most such words is taken. Empty: it is not found on a node."""
    aliases: tuple[str, ...] = ()
    """Names in other tools' files."""
    source: str = ""
    """Where memory, capability and tensor cores are from."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")
        if self.capability is None and self.name != "cpu":
            raise ValueError("capability must be the two numbers of a GPU, got none")
        for name in ("memory_gib", "usable_gib"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for field in fields(self.rates):
            value = getattr(self.rates, field.name)
            if not isinstance(value, str) and value <= 0:
                raise ValueError(f"rates.{field.name} must be above 0, got {value}")
        if self.rates.efficiency > 1:
            raise ValueError(f"rates.efficiency must be at most 1, got {self.rates.efficiency}")

    @property
    def is_cpu(self) -> bool:
        """True for the profile that stands for one CPU slot."""
        return self.capability is None

    @property
    def bf16(self) -> bool:
        """Native bfloat16 arithmetic."""
        return "bf16" in self.tensor_cores

    @property
    def flash_attention(self) -> bool:
        """FlashAttention-2 exists for it (compute capability 8.0 and up)."""
        return self.capability is not None and self.capability >= (8, 0)


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


class DeviceOffer(NamedTuple):
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
