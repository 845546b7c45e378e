"""Whether the machines of a deployment agree, reach each other's files and have room."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ntlbg_service.domain.diagnosis.finding import (
    Finding,
    Level,
    by_value,
    count,
    names,
    not_checked,
    ok,
    problem,
)

CLOCK_WARNING = 2.0
"""Seconds that a node's clock may be off: logs of several nodes are read side by side."""
CLOCK_PROBLEM = 20.0
"""Ages of heartbeats and tokens of clouds no longer mean what they say."""
DISK_WARNING_GIB = 20.0
DISK_PROBLEM_GIB = 2.0
EVERYWHERE = ("ray",)
"""Packages that speak to each other, so that this machine must have the nodes' version."""


@dataclass(frozen=True, kw_only=True)
class MachineReading:
    """What one machine says of itself."""

    name: str
    trouble: str = ""
    """Why nothing was read; then nothing below means anything."""
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Version by name; empty where a package is not there."""
    clock_off: float = 0.0
    """Seconds that it is ahead of whoever asked; 0 where it may be right."""
    storage: str = ""
    """Why it could not read there what was written for it, or write; empty where it could."""
    free_gib: Mapping[str, float] = field(default_factory=dict)
    """Free disk by place."""


def versions(here: MachineReading, nodes: Sequence[MachineReading]) -> Finding:
    """Whether all run the same: nodes among each other in everything, this machine in Python and
    what speaks to them."""
    told = [node for node in nodes if not node.trouble]
    everyone = [here, *told]
    missing = {
        name: [each.name for each in (told or everyone) if not each.packages.get(name)]
        for name in here.packages
    }
    for name, where in missing.items():
        if where:
            return problem(
                "versions",
                f"{name} is not installed on {names(where)}",
                f"pip install {name} there, in the Python that Ray runs with",
            )
    for name, of in _compared(here, told):
        if len(set(of.values())) > 1:
            must = name == "Python" or name in EVERYWHERE
            return Finding(
                check="versions",
                level=Level.PROBLEM if must else Level.WARNING,
                what=f"{name} differs: {by_value(of)}",
                do=f"install the same {name} everywhere"
                + ("" if must else ": results of one suite may differ by node"),
            )
    said = f"Python {here.python}, ray {here.packages.get('ray', '?')}"
    return ok("versions", f"{said} on {count(len(everyone), 'machine')}")


def _compared(
    here: MachineReading, nodes: Sequence[MachineReading]
) -> Iterable[tuple[str, dict[str, str]]]:
    yield "Python", {each.name: each.python for each in (here, *nodes)}
    for name in here.packages:
        of = {node.name: node.packages[name] for node in nodes}
        if name in EVERYWHERE:
            of[here.name] = here.packages[name]
        yield name, of


def reached(nodes: Sequence[MachineReading]) -> Finding:
    """Whether a task ran on every node."""
    lost = [node for node in nodes if node.trouble]
    if lost:
        return problem(
            "nodes",
            f"no task ran on {names([node.name for node in lost])}: {lost[0].trouble}",
            "look at the node's raylet.out; 'ntlbg cluster drain NODE' keeps runs off it",
        )
    return ok("nodes", f"a task ran on each of {count(len(nodes), 'node')}")


def storage(here: MachineReading, nodes: Sequence[MachineReading], root: str) -> Finding:
    """Whether every machine reads and writes the same storage."""
    if here.storage:
        return problem("storage", f"{here.storage}", "give the folder to this user, or --home")
    bad = [node for node in nodes if not node.trouble and node.storage]
    if bad:
        return problem(
            "storage",
            f"{names([node.name for node in bad])}: {bad[0].storage}",
            f"mount {root} there at the same path, writable for the user of Ray",
        )
    told = sum(not node.trouble for node in nodes)
    also = f", from here and {count(told, 'node')}" if told else ""
    return ok("storage", f"{root} is written and read{also}")


def clocks(readings: Sequence[MachineReading]) -> Finding:
    """Whether the clocks agree."""
    told = [each for each in readings if not each.trouble]
    if not told:
        return not_checked("clocks", "no machine was read")
    worst = max(told, key=lambda each: abs(each.clock_off))
    off = abs(worst.clock_off)
    if off < CLOCK_WARNING:
        return ok("clocks", f"within {max(off, 0.1):.1f} s on {count(len(told), 'machine')}")
    way = "ahead" if worst.clock_off > 0 else "behind"
    return Finding(
        check="clocks",
        level=Level.WARNING if off < CLOCK_PROBLEM else Level.PROBLEM,
        what=f"the clock of {worst.name} is {off:.1f} s {way}",
        do="let chrony or ntpd set it",
    )


def disk(readings: Sequence[MachineReading]) -> Finding:
    """Whether there is room: where the home, the storage and the nodes' temporary files are."""
    places = [
        (gib, f"{place} of {each.name}")
        for each in readings
        if not each.trouble
        for place, gib in each.free_gib.items()
    ]
    if not places:
        return not_checked("disk", "no machine was read")
    least, where = min(places)
    said = f"least free: {least:.1f} GiB in {where}"
    if least >= DISK_WARNING_GIB:
        return ok("disk", said)
    level = Level.WARNING if least >= DISK_PROBLEM_GIB else Level.PROBLEM
    do = "'ntlbg gc' takes away what no run needs; checkpoints want the most"
    return Finding(check="disk", level=level, what=said, do=do)
