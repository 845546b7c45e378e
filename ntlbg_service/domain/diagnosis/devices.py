"""Whether each node's GPUs are what its label says, and what Ray hands out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ntlbg_service.domain.diagnosis.finding import Finding, Level, count, ok, problem, warning
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.labels import GPUS, PROFILE, simulated
from ntlbg_service.domain.hardware.profiles import Profile, profile_named, recognise


@dataclass(frozen=True, kw_only=True)
class Devices:
    """GPUs of a node: as Ray hands them out, as its label says, as NVML sees them."""

    name: str
    ray_gpus: int
    labels: Mapping[str, str]
    cards: tuple[tuple[str, float], ...]
    """Product and GiB of each."""
    on_ray: bool = True


def labels(nodes: Sequence[Devices], kinds: Sequence[Profile] = ()) -> Finding:
    """Whether each node's GPUs are what its label says, and are known at all."""
    found = [finding for node in nodes if (finding := _of_node(node, kinds)) is not None]
    worst = next((each for each in found if each.level is Level.PROBLEM), None)
    if worst or found:
        more = f"; {count(len(found) - 1, 'node')} more" if len(found) > 1 else ""
        first = worst or found[0]
        return Finding(check="labels", level=first.level, what=first.what + more, do=first.do)
    counted: Counter[str] = Counter()
    for node in nodes:
        counted.update(_kinds(node, kinds))
    said = ", ".join(f"{number} x {kind}" for kind, number in sorted(counted.items()))
    return ok("labels", said or "no GPUs: runs go to CPUs")


def _kinds(node: Devices, kinds: Sequence[Profile]) -> Counter[str]:
    if PROFILE in node.labels:
        named = profile_named(node.labels[PROFILE], kinds=kinds).name
        return Counter({named: node.ray_gpus} if node.ray_gpus else {})
    cards = [recognise(product, gib, kinds) for product, gib in node.cards]
    return Counter(card.name for card in cards if card)


def _of_node(node: Devices, kinds: Sequence[Profile]) -> Finding | None:
    """What is wrong with one node; None where nothing is."""
    seen = {
        found.name if (found := recognise(product, gib, kinds)) else ""
        for product, gib in node.cards
    }
    label = node.labels.get(PROFILE)
    start = f"start its Ray again with --labels {PROFILE}"
    if label is None:
        if "" in seen:
            product, gib = next(card for card in node.cards if not recognise(*card, kinds))
            return warning(
                "labels",
                f"{node.name}: no kind is known for {product} ({gib:.1f} GiB): it is not used",
                "describe it in a file that NTLBG_PROFILES names ('ntlbg config schema')",
            )
        return _handed_out(node)
    try:
        said = profile_named(label, kinds=kinds).name
    except UserError as error:
        return problem("labels", f"{node.name}: label {error}", f"{start}=KIND")
    if said == "cpu" or simulated(node.labels):
        return None
    if not node.cards:
        return problem(
            "labels",
            f"{node.name}: label says {said}, NVML shows no GPU there",
            f"mend the driver; for a rehearsal add {GPUS}=simulated",
        )
    other = sorted(seen - {said, ""})
    if other:
        return problem(
            "labels",
            f"{node.name}: label says {said}, NVML shows {' and '.join(other)}",
            f"{start}={other[0]}",
        )
    return _handed_out(node)


def _handed_out(node: Devices) -> Finding | None:
    if not node.on_ray or node.ray_gpus == len(node.cards):
        return None
    if node.ray_gpus > len(node.cards):
        return problem(
            "labels",
            f"{node.name}: Ray hands out {node.ray_gpus} GPUs, NVML shows {len(node.cards)}",
            "start its Ray again with the right --num-gpus",
        )
    return warning(
        "labels",
        f"{node.name}: Ray hands out {node.ray_gpus} of {len(node.cards)} GPUs",
        "start its Ray again without --num-gpus, unless the others are meant for somebody else",
    )
