"""GPU kind of a node type."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.inventory import NodeGroup
from ntlbg_service.domain.hardware.labels import PROFILE
from ntlbg_service.domain.hardware.profiles import PROFILES, Profile, profile_named
from ntlbg_service.nodes.node_types.documents import At


def kind_of(
    labels: Mapping[str, str], where: At, kinds: Iterable[Profile], product: str | None = None
) -> str:
    """Return the kind in the label, else that of NVIDIA's product name with its memory.

    Raises UserError at `where`, the labels' place, for an unknown kind.
    """
    if PROFILE in labels:
        return profile_named(labels[PROFILE], f"{where.path}: {where.place}.{PROFILE}", kinds).name
    found = of_product(product, kinds) if product else None
    if found is None:
        shown = f" ('{product}' is not known)" if product else ""
        raise where.wrong(f"must say '{PROFILE}', the kind of its GPUs{shown}")
    return found


def of_product(product: str, kinds: Iterable[Profile]) -> str | None:
    """Return the kind of a product whose name includes the memory: `NVIDIA-A100-SXM4-40GB`."""
    said = frozenset(re.split(r"[\s_-]+", product.lower()))
    fitting = [
        (len(words), profile.name)
        for profile in (*PROFILES.values(), *kinds)
        if f"{profile.memory_gib:g}gb" in said
        for words in [frozenset(re.split(r"[\s_-]+", " ".join(profile.products).lower()))]
        if profile.products and words <= said
    ]
    return max(fitting)[1] if fitting else None


def checked(group: NodeGroup, where: At, **changes: int | float) -> NodeGroup:
    """Return the group with numbers of a file; raise UserError at that place for invalid ones."""
    try:
        return replace(group, **changes)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(f"{where.path}: {where.place}: {error}") from None
