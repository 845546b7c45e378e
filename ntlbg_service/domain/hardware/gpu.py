"""One GPU as NVML reports it, and whether a run may go there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ntlbg_service.domain.hardware.profile import Profile
from ntlbg_service.domain.hardware.profiles import recognise

FOREIGN_GIB = 1.0
"""Memory that processes of others may hold: a desktop or a monitor takes some hundred MiB."""
NAMED = 2
"""Processes that are named where more were meant."""


@dataclass(frozen=True, kw_only=True)
class GpuProcess:
    """A process that holds memory of a GPU."""

    pid: int
    memory_gib: float | None = None
    """None where NVML does not say."""
    name: str = ""
    ours: bool | None = None
    """One of a run's; None where it cannot be seen, as from inside a container."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU, or one MIG slice. None is not known: card, driver or library cannot say."""

    index: int
    product: str = ""
    memory_gib: float | None = None
    used_gib: float | None = None
    driver: str = ""
    cuda: str = ""
    """The newest that the driver supports."""
    uuid: str = ""
    slice: int | None = None
    """Number of the MIG slice; None for a whole GPU."""
    capability: tuple[int, int] | None = None
    mig: bool | None = None
    processes: tuple[GpuProcess, ...] | None = None
    ecc_errors: int | None = None
    """Uncorrected ones since the driver was loaded."""
    repair_pending: bool | None = None
    """A page to retire or a row to remap waits for a reset."""
    repair_failed: bool | None = None
    """No spare row was left for one."""
    temperature_c: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    nvlinks: int | None = None
    """NVLink links that are up."""
    pcie: str | None = None
    """The most its slot gives: `gen4 x16`."""
    error: str = ""
    """Why it could not be read, in NVML's words."""

    def planned_as(self, kinds: Sequence[Profile] = ()) -> str | None:
        """The kind it is planned as, built in or of `kinds`; None for a GPU that none describes."""
        if self.memory_gib is None:
            return None
        found = recognise(self.product, self.memory_gib, kinds)
        return found.name if found else None

    @property
    def called(self) -> str:
        """Its number, and that of the slice: `3` or `3.1`."""
        return str(self.index) if self.slice is None else f"{self.index}.{self.slice}"

    @property
    def health(self) -> "Health":
        """Whether it may be used."""
        return Health(sick=_sick(self), busy=_busy(self))


class Health(NamedTuple):
    """Why a GPU is not used; nothing said of one that is."""

    sick: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    """Others use it."""

    @property
    def usable(self) -> bool:
        """A run may go there."""
        return not self.sick and not self.busy

    @property
    def words(self) -> str:
        """`sick: ...; busy: ...`, empty for one that is usable."""
        said = [("sick", self.sick), ("busy", self.busy)]
        return "; ".join(f"{what}: {', '.join(why)}" for what, why in said if why)


def _sick(gpu: Gpu) -> tuple[str, ...]:
    reasons = []
    if gpu.error:
        reasons.append(f"NVML says '{gpu.error}'")
    if gpu.ecc_errors:
        reasons.append(f"{gpu.ecc_errors} uncorrected ECC errors since its driver was loaded")
    if gpu.repair_pending:
        reasons.append("a bad page or row waits for a reset of the GPU")
    if gpu.repair_failed:
        reasons.append("a bad row could not be replaced")
    if gpu.mig and gpu.slice is None:
        reasons.append("MIG is on and has no slice")
    return tuple(reasons)


def _busy(gpu: Gpu) -> tuple[str, ...]:
    """Memory that none of our processes holds."""
    foreign = [process for process in gpu.processes or () if process.ours is False]
    unknown = any(process.memory_gib is None for process in foreign)
    held = sum(process.memory_gib or 0.0 for process in foreign)
    if unknown and not any(process.ours for process in gpu.processes or ()):
        held = max(held, gpu.used_gib or 0.0)
    if held <= FOREIGN_GIB:
        return ()
    first = ", ".join(f"{row.pid} ({row.name})" if row.name else str(row.pid) for row in foreign)
    named = first if len(foreign) <= NAMED else f"{foreign[0].pid} and {len(foreign) - 1} more"
    return (f"{held:.1f} GiB held by process {named}",)


def offered(gpus: Sequence[Gpu], devices: int, visible: Sequence[str] | None) -> tuple[Gpu, ...]:
    """The GPUs that Ray hands out: the first `devices` of those in CUDA_VISIBLE_DEVICES (None:
    unset, all of them in NVML's order)."""
    if visible is None:
        return tuple(gpus)[:devices]
    named = [gpu for name in visible for gpu in gpus if _is(gpu, name)]
    return tuple(named)[:devices]


def ray_name(gpu: Gpu, place: int, visible: Sequence[str] | None) -> str:
    """What Ray calls a GPU that it hands out, `place` being its number among those."""
    return next((name for name in visible or () if _is(gpu, name)), str(place))


def _is(gpu: Gpu, name: str) -> bool:
    """Whether CUDA means this GPU by a name: a number, or the beginning of a UUID."""
    if name.isdigit():
        return gpu.slice is None and gpu.index == int(name)
    return bool(gpu.uuid) and gpu.uuid.startswith(name)
