"""NVML readings of this machine's GPUs as plain values: one row per GPU or MIG slice.

Whatever a card or a driver cannot report is None. A GPU that fails is a row with NVML's message in
`error`. Standard library, pynvml and psutil only: this file is sent as it is to a cluster's nodes
(`node_job`).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import psutil
import pynvml

GIB = 1024**3
Owner = Callable[[int], bool | None]
"""Predicate on a pid: True for a process of ours, None for one that cannot be inspected."""

DEAD = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_IRQ_ISSUE,
        pynvml.NVML_ERROR_INSUFFICIENT_POWER,
    }
)
"""Errors that no reading of a working GPU returns."""
UNABLE = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
    }
)
"""Errors that do not concern the GPU's health, even for its name or memory."""


class NvmlReading(NamedTuple):
    """The GPUs that were found."""

    gpus: list[dict[str, Any]]
    note: str = ""
    """NVML's reason why there are none."""


def read_gpus(owner: Owner) -> NvmlReading:
    """Read every GPU and MIG slice of this machine; `owner` recognizes our own processes."""
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
    """Return the compute processes of a GPU, also where the driver is older than pynvml.

    Raises NVMLError.
    """
    try:
        return list(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except pynvml.NVMLLibraryMismatchError:
        return list(pynvml.nvmlDeviceGetComputeRunningProcesses_v2(handle))


def _said(name: str, *arguments: Any) -> Any:
    """Return a value of NVML; None where library, driver or card does not support it.

    Raises NVMLError for a GPU that is gone.
    """
    try:
        return getattr(pynvml, name)(*arguments)
    except pynvml.NVMLError as error:
        if error.value in DEAD:
            raise
    except (pynvml.NVMLLibraryMismatchError, AttributeError):
        pass
    return None


def _needed(name: str, *arguments: Any) -> Any:
    """Return a value that a usable GPU must have; None only where it is not supported."""
    try:
        return getattr(pynvml, name)(*arguments)
    except pynvml.NVMLError as error:
        if error.value not in UNABLE:
            raise
    return None


def _rows(index: int, owner: Owner) -> Iterator[dict[str, Any]]:
    """Yield the row of one GPU, or those of its MIG slices."""
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
    """Return the interconnects: active NVLinks, and the maximum PCIe link of the slot.

    The maximum counts, since an idle card slows its link down.
    """
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
    """Return the processes that hold memory, each once; None where NVML does not report them."""
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
    """Return the number of GPUs of this machine; 0 where NVML does not answer."""
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
    """Return an owner that accepts processes matching `ours` and their descendants."""

    def owner(pid: int) -> bool | None:
        try:
            process = psutil.Process(pid)
            return any(ours(member) for member in (process, *process.parents()))
        except psutil.Error:
            return None

    return owner
