"""What NVML says of this machine's GPUs, as plain values: one row a GPU, or a MIG slice of one.

A card or a driver that cannot say something leaves that None. A GPU that fails is a row with
NVML's words in `error`. Standard library, pynvml and psutil only: a cluster's nodes are sent this
file as it is (`node_job`).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import psutil
import pynvml

GIB = 1024**3
Owner = Callable[[int], bool | None]
"""Whether a process is one of ours; None for one that cannot be seen from here."""

DEAD = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_IRQ_ISSUE,
        pynvml.NVML_ERROR_INSUFFICIENT_POWER,
    }
)
"""What no reading answers with on a GPU that works."""
UNABLE = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
    }
)
"""Answers that say nothing of the GPU's health, even where its name or memory was asked for."""


class NvmlReading(NamedTuple):
    """What there is to read."""

    gpus: list[dict[str, Any]]
    note: str = ""
    """Why there is nothing, in NVML's words."""


def read_gpus(owner: Owner) -> NvmlReading:
    """Every GPU and MIG slice of this machine; `owner` knows our own processes."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return NvmlReading([], str(error))
    try:
        driver = {"driver": _said("nvmlSystemGetDriverVersion") or "", "cuda": _cuda()}
        count = pynvml.nvmlDeviceGetCount()
        rows = [row for index in range(count) for row in _rows(index, owner)]
        return NvmlReading([{**row, **driver} for row in rows])
    except pynvml.NVMLError as error:
        return NvmlReading([], str(error))
    finally:
        pynvml.nvmlShutdown()


def compute_processes(handle: Any) -> list[Any]:
    """Processes that compute on a GPU, also where the driver is older than pynvml. Raises
    NVMLError."""
    try:
        return list(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except pynvml.NVMLLibraryMismatchError:
        return list(pynvml.nvmlDeviceGetComputeRunningProcesses_v2(handle))


def _said(name: str, *arguments: Any) -> Any:
    """An answer of NVML; None where library, driver or card cannot say. Raises NVMLError for a
    GPU that is gone."""
    try:
        return getattr(pynvml, name)(*arguments)
    except pynvml.NVMLError as error:
        if error.value in DEAD:
            raise
    except (pynvml.NVMLLibraryMismatchError, AttributeError):
        pass
    return None


def _needed(name: str, *arguments: Any) -> Any:
    """An answer without which a GPU is of no use; None only where it cannot be had by design."""
    try:
        return getattr(pynvml, name)(*arguments)
    except pynvml.NVMLError as error:
        if error.value not in UNABLE:
            raise
    return None


def _rows(index: int, owner: Owner) -> Iterator[dict[str, Any]]:
    """One GPU, or its slices where MIG has made some."""
    known: dict[str, Any] = {"index": index}
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        known |= _identity(handle)
        whole = known | _memory(handle) | _state(handle) | _links(handle)
        if not whole["mig"]:
            yield whole | {"processes": _processes(handle, owner)}
            return
        slices = [
            whole | {"slice": number} | _identity(part) | _memory(part) | _held(part, owner)
            for number, part in _slices(handle)
        ]
    except pynvml.NVMLError as error:
        yield known | {"error": str(error)}
        return
    yield from slices or [whole]


def _identity(handle: Any) -> dict[str, Any]:
    return {
        "product": _needed("nvmlDeviceGetName", handle) or "",
        "uuid": _said("nvmlDeviceGetUUID", handle) or "",
    }


def _memory(handle: Any) -> dict[str, Any]:
    memory = _needed("nvmlDeviceGetMemoryInfo", handle)
    return {
        "memory_gib": memory.total / GIB if memory else None,
        "used_gib": memory.used / GIB if memory else None,
    }


def _state(handle: Any) -> dict[str, Any]:
    mig = _said("nvmlDeviceGetMigMode", handle)
    rows = _said("nvmlDeviceGetRemappedRows", handle)
    pages = _said("nvmlDeviceGetRetiredPagesPendingStatus", handle)
    milliwatts = _said("nvmlDeviceGetPowerUsage", handle)
    limit = _said("nvmlDeviceGetEnforcedPowerLimit", handle)
    return {
        "capability": _said("nvmlDeviceGetCudaComputeCapability", handle),
        "mig": bool(mig[0]) if mig else None,
        "ecc_errors": _said(
            "nvmlDeviceGetTotalEccErrors",
            handle,
            pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
            pynvml.NVML_VOLATILE_ECC,
        ),
        "repair_pending": _either(pages, rows[2] if rows else None),
        "repair_failed": bool(rows[3]) if rows else None,
        "temperature_c": _said("nvmlDeviceGetTemperature", handle, pynvml.NVML_TEMPERATURE_GPU),
        "power_watts": None if milliwatts is None else milliwatts / 1000,
        "power_limit_watts": None if limit is None else limit / 1000,
    }


def _either(*answers: int | None) -> bool | None:
    said = [bool(answer) for answer in answers if answer is not None]
    return any(said) if said else None


def _links(handle: Any) -> dict[str, Any]:
    """How it is joined to others. The most its slot gives: an idle card slows its link down."""
    active: int | None = None
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        state = _said("nvmlDeviceGetNvLinkState", handle, link)
        if state is None:
            break
        active = (active or 0) + int(state)
    generation = _said("nvmlDeviceGetMaxPcieLinkGeneration", handle)
    width = _said("nvmlDeviceGetCurrPcieLinkWidth", handle)
    pcie = f"gen{generation} x{width}" if generation and width else None
    return {"nvlinks": active, "pcie": pcie}


def _slices(handle: Any) -> Iterator[tuple[int, Any]]:
    for number in range(_said("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = _said("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        if part is not None:
            yield number, part


def _held(part: Any, owner: Owner) -> dict[str, Any]:
    return {"processes": _processes(part, owner)}


def _processes(handle: Any, owner: Owner) -> list[dict[str, Any]] | None:
    """What holds its memory, each process once; None where NVML does not say."""
    try:
        computing = compute_processes(handle)
    except pynvml.NVMLError as error:
        if error.value in DEAD:
            raise
        return None
    drawing = _said("nvmlDeviceGetGraphicsRunningProcesses", handle) or []
    return [
        {
            "pid": process.pid,
            "memory_gib": None if held is None else held / GIB,
            "name": _name(process.pid),
            "ours": owner(process.pid),
        }
        for process in {process.pid: process for process in (*drawing, *computing)}.values()
        for held in [process.usedGpuMemory]
    ]


def _name(pid: int) -> str:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return f"{process.name()} of {process.username()}"
    return ""


def _cuda() -> str:
    number = _said("nvmlSystemGetCudaDriverVersion")
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def number_of_gpus() -> int:
    """How many GPUs NVML counts on this machine; none where it does not answer."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0
    finally:
        pynvml.nvmlShutdown()


def descendant_of(ours: Callable[[psutil.Process], bool]) -> Owner:
    """An owner of every process that is one of `ours`, or was started by one."""

    def owner(pid: int) -> bool | None:
        try:
            process = psutil.Process(pid)
            return any(ours(member) for member in (process, *process.parents()))
        except psutil.Error:
            return None

    return owner
