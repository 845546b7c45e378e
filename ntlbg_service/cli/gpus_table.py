"""The table of nodes and GPUs: one line a GPU or MIG slice; '-' is not known."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntlbg_service.domain.hardware.labels import PROFILE

if TYPE_CHECKING:
    from rich.table import Table

    from ntlbg_service.domain.hardware.gpu import Gpu
    from ntlbg_service.domain.hardware.profile import Profile
    from ntlbg_service.nodes.inventory import LiveNode

NODE = ("node", "cores", "host GiB", "free disk")
GPU = ("gpu", "product", "GiB used / total", "state", "links", "driver", "planned as")


def table_of(nodes: "Sequence[LiveNode]", kinds: "Sequence[Profile]") -> "Table":
    """All nodes; what is said of a node stands on its first line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in (*NODE, *GPU):
        table.add_column(heading)
    for node in nodes:
        shape: tuple[str, ...] = (
            node.name,
            str(node.cores),
            f"{node.host_memory_gib:.0f}",
            "-" if node.disk_gib is None else f"{node.disk_gib:.0f} GiB",
        )
        for row in rows(node, kinds):
            table.add_row(*map(Text, (*shape, *row)))
            shape = ("",) * len(NODE)
    return table


def rows(node: "LiveNode", kinds: "Sequence[Profile]") -> "Iterator[tuple[str, ...]]":
    """What is known of each GPU, and what it is planned as or why it is not used."""
    for gpu in node.gpus:
        simulated = " (simulated)" if node.simulated else ""
        product = f"{gpu.product or '-'}{simulated}"
        use = node.use_of(gpu, kinds)
        yield gpu.called, product, _memory(gpu), _state(gpu), _links(gpu), _driver(gpu), use
    if node.gpus:
        return
    kind = next(iter(node.kinds(kinds)), None)
    nothing = ("-",) * 4
    if node.devices and PROFILE in node.labels:
        said = "simulated" if node.simulated else f"label {node.labels[PROFILE]}"
        use = kind or f"no kind is called {node.labels[PROFILE]}: not used"
        yield (f"{node.devices} in all", said, *nothing, use)
    else:
        yield ("-", "none", *nothing, "cpu")


def _memory(gpu: "Gpu") -> str:
    return f"{_told(gpu.used_gib, '.1f')} / {_told(gpu.memory_gib, '.1f')}"


def _state(gpu: "Gpu") -> str:
    """Temperature, power, and who holds memory."""
    words = [f"{_told(gpu.temperature_c)} °C", f"{_told(gpu.power_watts, '.0f')} W"]
    if gpu.processes:
        words.append(f"{len(gpu.processes)} process{'es' * (len(gpu.processes) > 1)}")
    return ", ".join(words)


def _links(gpu: "Gpu") -> str:
    """NVLink links that are up, and the slot."""
    links = f"{gpu.nvlinks} NVLink" if gpu.nvlinks else None
    return ", ".join(filter(None, (links, gpu.pcie))) or "-"


def _driver(gpu: "Gpu") -> str:
    cuda = f" (CUDA {gpu.cuda})" if gpu.cuda else ""
    return f"{gpu.driver}{cuda}" if gpu.driver else "-"


def _told(value: float | None, form: str = "") -> str:
    return "-" if value is None else f"{value:{form}}"
