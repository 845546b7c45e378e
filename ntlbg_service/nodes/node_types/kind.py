"""What kind of GPU a node type has."""

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
    """The kind that the label says, else the one of NVIDIA's product name with its memory.

    Raises UserError at `where`, the labels' place, for a kind that nobody knows.
    """
    if PROFILE in labels:
        return profile_named(labels[PROFILE], f"{where.path}: {where.place}.{PROFILE}", kinds).name
    found = of_product(product, kinds) if product else None
    if found is None:
        shown = f" ('{product}' is not known)" if product else ""
        raise where.wrong(f"must say '{PROFILE}', the kind of its GPUs{shown}")
    return found


def of_product(product: str, kinds: Iterable[Profile]) -> str | None:
    """The kind of a product whose name has the memory in it: `NVIDIA-A100-SXM4-40GB`."""
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
    """The group with numbers of a file; what cannot be is an error of that place."""
    try:
        return replace(group, **changes)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(f"{where.path}: {where.place}: {error}") from None
